"""What these systems hand over, and how it is spoken: earlier segments with their sound, then a text."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from csm_plugin.errors import AudioError, InputError
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling
from csm_plugin.text.parts import split_utterances

if TYPE_CHECKING:
    from csm_plugin.engine import Engine

Pcm = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A segment that was spoken before.

    Args:
        pcm: float32 [samples], 24 kHz.
    """

    text: str
    speaker: int
    pcm: Pcm


def speak_after(
    engine: Engine, context: Sequence[Spoken], text: str, speaker: int, sampling: Sampling
) -> Generator[Pcm, None, None]:
    """Speak a text after earlier segments. Blocks between pieces; closing the iterator stops it.

    Args:
        sampling: its `max_seconds` holds for the whole text.

    Yields:
        float32 [samples], as it is made.

    Raises:
        CSMError: as `Conversation.listen`, `Conversation.speak` and iterating an utterance do.
    """
    left = None if sampling.max_seconds is None else round(sampling.max_seconds * SAMPLE_RATE_HZ)
    with engine.conversation(speaker=speaker, sampling=sampling) as talk:
        for turn in [talk.listen(one.text, one.pcm, SAMPLE_RATE_HZ, one.speaker) for one in context]:
            turn.wait()
        for part in split_utterances(text):
            for chunk in talk.speak(part):
                yield chunk.pcm[:left]
                if left is not None and (left := left - len(chunk.pcm)) <= 0:
                    return


def samples_of(audio: object) -> Pcm:
    """Take sound in: a tensor, an array or a list of numbers in [-1, 1], one channel, 24 kHz: float32 [samples].

    Raises:
        AudioError: it is none of these.
    """
    if isinstance(audio, torch.Tensor):
        audio = audio.detach().cpu().float().numpy()
    try:
        samples = np.asarray(audio, dtype=np.float32)
    except (TypeError, ValueError):
        raise AudioError(f"the audio is of type {type(audio).__name__}; pass a tensor or an array of samples") from None
    return np.squeeze(samples) if samples.ndim > 1 else samples


def speaker_of(given: object) -> int:
    """Take a speaker in: a number, or one in a string.

    Raises:
        InputError: it is neither.
    """
    try:
        return int(given)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise InputError(f"a speaker is of type {type(given).__name__}; it is a number from 0 to 99") from None


def field_of(segment: object, name: str) -> Any:
    """Take a field of a dictionary, or of an object with attributes.

    Raises:
        InputError: there is none of that name.
    """
    if isinstance(segment, Mapping) and name in segment:
        return segment[name]
    if not isinstance(segment, Mapping) and hasattr(segment, name):
        return getattr(segment, name)
    raise InputError(f"a segment has no {name!r}; each needs it")
