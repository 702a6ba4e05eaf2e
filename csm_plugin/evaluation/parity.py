"""transformers' own generate with a checkpoint, beside the engine: the same greedy codes, the same word error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers.utils import logging

from csm_plugin.conversation import VoicePrompt, longest_utterance
from csm_plugin.engine import Engine
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.evaluation.reference import Reference
from csm_plugin.settings import FRAME_SAMPLES, Sampling
from csm_plugin.text import normalize

GREEDY_SENTENCES = 10
SAMPLED_SENTENCES = 100
_BATCH = 10

_GREEDY = Sampling(temperature=0, trim_silence=False)


@dataclass(frozen=True, slots=True)
class GreedyPair:
    """One sentence, greedy, from both sides.

    Args:
        text: what was spoken.
        voice: of the recording in front of it, None without.
        ours, theirs: frames made.
        alike: frames from the start that are equal, all codebooks of them.
        recorded, otherwise: codes of the recording, and how many of them the two codecs chose differently: two vectors
            of a codebook may be equally near but for rounding, and what is read after that is another context.
    """

    text: str
    voice: str | None
    ours: int
    theirs: int
    alike: int
    recorded: int = 0
    otherwise: int = 0

    @property
    def equal(self) -> bool:
        return self.ours == self.theirs == self.alike

    @property
    def comparable(self) -> bool:
        """Whether both sides had the same codes in front of them."""
        return self.otherwise == 0


@dataclass(frozen=True, slots=True)
class SampledReading:
    """One sentence, sampled by transformers, and what the recogniser heard."""

    text: str
    heard: str
    words: int
    word_errors: int


@dataclass(frozen=True, slots=True)
class Parity:
    """What both sides made of the same checkpoint."""

    greedy: list[GreedyPair]
    sampled: list[SampledReading]


def utterances(sentences: int) -> int:
    """How many utterances `compare` makes of so many sentences."""
    return min(GREEDY_SENTENCES, sentences) + min(SAMPLED_SENTENCES, sentences)


def compare(
    folder: Path,
    sentences: Sequence[str],
    voices: Sequence[VoicePrompt],
    sampling: Sampling,
    advance: Callable[[int], None],
) -> Parity:
    """Speak with both sides, on the CPU and in float32. Blocks; transformers is several times slower than real time.

    Args:
        folder: of the checkpoint.
        sentences: what is read; the first of them.
        voices: half of the greedy sentences are read after one of these.
        sampling: of the sentences whose words are heard.
        advance: called with the number of utterances that were made.

    Raises:
        EvaluationError: transformers cannot load the checkpoint, or the recogniser is not installed.
    """
    logging.set_verbosity_error()
    texts = [normalize(text) for text in sentences]
    reference = Reference(folder)
    greedy, sampled = [], []
    with Engine.load(folder, device="cpu", dtype="float32", max_conversations=1) as engine:
        for number, text in enumerate(texts[:GREEDY_SENTENCES]):
            voice = _whole_frames(voices[number // 2 % len(voices)]) if voices and number % 2 else None
            greedy.append(_pair(engine, reference, text, voice))
            advance(1)
    for start in range(0, min(SAMPLED_SENTENCES, len(texts)), _BATCH):
        batch = texts[start : min(start + _BATCH, SAMPLED_SENTENCES)]
        for text, audio in zip(batch, reference.say(batch, [0] * len(batch), sampling=sampling), strict=True):
            heard = hear(audio)
            wrong, words = errors(plain(text), heard)
            sampled.append(SampledReading(text, heard, words, wrong))
        advance(len(batch))
    return Parity(greedy, sampled)


def _pair(engine: Engine, reference: Reference, text: str, voice: VoicePrompt | None) -> GreedyPair:
    context, recorded, otherwise = [], 0, 0
    with engine.conversation(speaker=0, sampling=_GREEDY) as talk:
        if voice is not None:
            talk.listen(voice.text, voice.pcm, speaker=0).wait()
            context = [[(0, voice.text, voice.pcm)]]
            codes = talk.segments[0].codes
            recorded, otherwise = codes.size, int((codes != reference.encode(voice.pcm).numpy()).sum())
        pieces = [chunk.codes for chunk in talk.speak(text, normalize=False)]
    (theirs,) = reference.codes([text], [0], context, max_frames=longest_utterance(text, None))
    ours, other = np.concatenate(pieces) if pieces else np.zeros((0, 1)), theirs.numpy()
    both = min(len(ours), len(other))
    same = (ours[:both] == other[:both]).all(axis=1) if both else np.zeros(0, bool)
    alike = both if same.all() else int(same.argmin())
    return GreedyPair(text, voice.name if voice else None, len(ours), len(other), alike, recorded, otherwise)


def _whole_frames(voice: VoicePrompt) -> VoicePrompt:
    """The voice prompt without the part of a frame at its end, which the two sides fill up differently."""
    return VoicePrompt(voice.name, voice.text, voice.pcm[: len(voice.pcm) // FRAME_SAMPLES * FRAME_SAMPLES])
