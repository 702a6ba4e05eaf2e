"""Pieces of the corpus of one length, for training the codec."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from csm_plugin.training.corpus import Sentence, Shard
from csm_plugin.training.phonemes import phonemes_at
from csm_plugin.training.pitch import pitch_hz
from csm_plugin.training.sizes import FRAME_SAMPLES
from csm_plugin.training.synthesis import SAMPLE_RATE

# where in an 80 ms frame its phoneme is asked for
PHONEME_TIMES_S = (0.02, 0.06)
_PITCH_FROM = 10  # sentences that tell a voice's usual pitch
_UNKNOWN_HZ = 130.0


@dataclass(frozen=True, slots=True)
class Crops:
    """A batch: float32 [B, samples], int64 [B, frames, 2] phonemes, float32 [B] usual pitch of the voice in Hz."""

    audio: np.ndarray
    phonemes: np.ndarray
    usual_hz: np.ndarray


class CropSampler:
    """Batches of crops. A crop is one voice; half of them start where a sentence starts, as a decoder does."""

    def __init__(self, shards: Sequence[Shard], frames: int) -> None:
        """
        Args:
            shards: where the sentences come from.
            frames: length of a crop, 80 ms each.
        """
        self._frames = frames
        self._by_voice: dict[int, list[tuple[Shard, Sentence]]] = defaultdict(list)
        for shard in shards:
            for sentence in shard.sentences:
                self._by_voice[sentence.voice].append((shard, sentence))
        self._voices = sorted(self._by_voice)
        self._usual_hz = {voice: self._usual_pitch(voice) for voice in self._voices}

    def _usual_pitch(self, voice: int) -> float:
        found = np.concatenate([pitch_hz(shard.audio(said)) for shard, said in self._by_voice[voice][:_PITCH_FROM]])
        return float(np.median(found[found > 0])) if (found > 0).any() else _UNKNOWN_HZ

    def batch(self, size: int, seed: tuple[int, int]) -> Crops:
        """The batch that belongs to a seed."""
        rng = np.random.default_rng(seed)
        voices = rng.choice(self._voices, size)
        pieces = [self._crop(int(voice), rng) for voice in voices]
        return Crops(
            audio=np.stack([audio for audio, _ in pieces]),
            phonemes=np.stack([phonemes for _, phonemes in pieces]),
            usual_hz=np.array([self._usual_hz[int(voice)] for voice in voices], np.float32),
        )

    def _crop(self, voice: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        wanted = self._frames * FRAME_SAMPLES
        shard, sentence = self._pick(voice, rng)
        longest = max(0, sentence.samples - wanted)
        offset = int(rng.integers(longest + 1)) if rng.random() < 0.5 else 0
        audio: list[np.ndarray] = []
        ends: list[float] = []
        numbers: list[int] = []
        at_s = -offset / SAMPLE_RATE
        have = -offset
        while True:
            audio.append(shard.audio(sentence))
            ends.extend(at_s + end for end in sentence.phoneme_ends_s)
            numbers.extend(sentence.phonemes)
            have += sentence.samples
            if have >= wanted:
                break
            ends.append(have / SAMPLE_RATE)
            numbers.append(0)
            at_s = have / SAMPLE_RATE
            shard, sentence = self._pick(voice, rng)
        times_s = (np.arange(self._frames)[:, None] * FRAME_SAMPLES / SAMPLE_RATE + PHONEME_TIMES_S).ravel()
        spoken = phonemes_at(times_s, np.maximum.accumulate(ends).tolist(), numbers)
        return np.concatenate(audio)[offset : offset + wanted], spoken.reshape(self._frames, len(PHONEME_TIMES_S))

    def _pick(self, voice: int, rng: np.random.Generator) -> tuple[Shard, Sentence]:
        sentences = self._by_voice[voice]
        return sentences[int(rng.integers(len(sentences)))]
