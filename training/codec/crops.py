"""Pieces of the corpus of one length, for training the codec."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from training.codec import codes
from training.codec.codebooks import Coder
from training.codec.codes import Coded
from training.corpus import corpus
from training.corpus.phonemes import phonemes_at
from training.corpus.synthesis import SAMPLE_RATE
from training.corpus.voices import VOICES
from training.sizes import FRAME_SAMPLES

PHONEME_SAMPLES = 120  # between two phonemes of a crop


@dataclass(frozen=True, slots=True)
class Crops:
    """A batch.

    Args:
        audio: float32 [B, samples].
        codes: int64 [B, frames, codebooks].
        phonemes: int64 [B, samples / PHONEME_SAMPLES].
        usual_hz: float32 [B], usual pitch of the voice.
    """

    audio: np.ndarray
    codes: np.ndarray
    phonemes: np.ndarray
    usual_hz: np.ndarray


class CropSampler:
    """Batches of crops. A crop is one voice; half of them start where a sentence starts, as a codec does."""

    def __init__(self, coded: Iterable[Coded], usual_hz: Tensor, frames: int) -> None:
        """
        Args:
            coded: sentences with their codes.
            usual_hz: usual pitch of each voice.
            frames: length of a crop, 80 ms each.
        """
        self._frames = frames
        self._usual_hz = usual_hz.numpy()
        self._by_voice: dict[int, list[Coded]] = defaultdict(list)
        for sentence in coded:
            self._by_voice[sentence.said.voice].append(sentence)
        self._voices = sorted(self._by_voice)
        shares = np.array([VOICES[voice].share for voice in self._voices])
        self._chances = shares / shares.sum()

    def batch(self, size: int, seed: tuple[int, int]) -> Crops:
        """The batch that belongs to a seed."""
        rng = np.random.default_rng(seed)
        voices = rng.choice(self._voices, size, p=self._chances)
        pieces = [self._crop(int(voice), rng) for voice in voices]
        return Crops(
            audio=np.stack([audio for audio, _, _ in pieces]),
            codes=np.stack([coded for _, coded, _ in pieces]),
            phonemes=np.stack([phonemes for _, _, phonemes in pieces]),
            usual_hz=self._usual_hz[voices].astype(np.float32),
        )

    def _crop(self, voice: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        sentence = self._pick(voice, rng)
        longest = max(0, len(sentence.codes) - self._frames)
        first = int(rng.integers(longest + 1)) if rng.random() < 0.5 else 0
        audio, coded = [_whole_frames(sentence)[first * FRAME_SAMPLES :]], [sentence.codes[first:]]
        phonemes = [_phonemes(sentence)[first * FRAME_SAMPLES // PHONEME_SAMPLES :]]
        while sum(map(len, coded)) < self._frames:
            sentence = self._pick(voice, rng)
            audio.append(_whole_frames(sentence))
            coded.append(sentence.codes)
            phonemes.append(_phonemes(sentence))
        samples = self._frames * FRAME_SAMPLES
        return (
            np.concatenate(audio)[:samples],
            np.concatenate(coded)[: self._frames].astype(np.int64),
            np.concatenate(phonemes)[: samples // PHONEME_SAMPLES],
        )

    def _pick(self, voice: int, rng: np.random.Generator) -> Coded:
        sentences = self._by_voice[voice]
        return sentences[int(rng.integers(len(sentences)))]


def crops_of(folder: Path, coder: Coder, shards: int, frames: int) -> CropSampler:
    """Crops of the first shards, which are coded if they are not yet.

    Args:
        folder: of the stages.
        coder: with the codebooks.
        shards: how many at most.
        frames: length of a crop, 80 ms each.

    Raises:
        MissingInput: there is no corpus.
    """
    present = min(shards, len(corpus.shard_numbers(folder)))
    place = codes.prepare(folder, coder, present)
    return CropSampler(codes.coded(folder, place, present), coder.usual_hz, frames)


def _whole_frames(sentence: Coded) -> np.ndarray:
    audio = sentence.shard.audio(sentence.said)
    return np.pad(audio, (0, len(sentence.codes) * FRAME_SAMPLES - len(audio)))


def _phonemes(sentence: Coded) -> np.ndarray:
    positions = len(sentence.codes) * FRAME_SAMPLES // PHONEME_SAMPLES
    times_s = (np.arange(positions) + 0.5) * PHONEME_SAMPLES / SAMPLE_RATE
    return phonemes_at(times_s, sentence.said.phoneme_ends_s, sentence.said.phonemes)
