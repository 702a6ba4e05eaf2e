"""What is spoken under which condition, through the engine."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from csm_plugin.conversation import VoicePrompt
from csm_plugin.engine import Engine
from csm_plugin.settings import Sampling


class Condition(StrEnum):
    """How a sentence comes to be spoken."""

    DEFAULT = "default voice"
    PROMPT = "voice prompt"
    EARLIER = "earlier turns"  # of two speakers, one of whom goes on
    SPEAKER_ID = "speaker id"  # without any context
    ALONE = "20 turns, one speaker"
    ANSWERED = "20 turns, two speakers"


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that a conversation listens to, as a turn of a speaker."""

    prompt: VoicePrompt
    speaker: int


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation to hold.

    Args:
        condition: what it shows.
        turns: a text is spoken, a recording listened to.
        sampling: how it speaks; with a seed each utterance has its own, one after the other.
        voice: the voice prompt in front of it.
        speaker: the number under which it speaks.
        wanted: the voice that it should be in, where that is known.
        heard: whether its words are recognised; that takes most of the time.
    """

    condition: Condition
    turns: tuple[str | Recording, ...]
    sampling: Sampling
    voice: VoicePrompt | None = None
    speaker: int = 0
    wanted: str | None = None
    heard: bool = True

    @property
    def utterances(self) -> int:
        """How many of its turns are spoken."""
        return sum(isinstance(turn, str) for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance as the engine made it.

    Args:
        turn: its number among the spoken turns, from 0.
        text: as the model read it, numbers written out.
        pcm: float32 [samples] at 24 kHz.
        ended: whether it ended by itself.
    """

    turn: int
    text: str
    pcm: np.ndarray
    ended: bool


def speak(engine: Engine, dialogue: Dialogue) -> Iterator[Spoken]:
    """Hold a dialogue, turn by turn. Blocks.

    Raises:
        CSMError: as `Conversation.speak` and `Utterance` do.
    """
    turn = 0
    with engine.conversation(dialogue.voice, dialogue.speaker, dialogue.sampling) as talk:
        for item in dialogue.turns:
            if isinstance(item, Recording):
                talk.listen(item.prompt.text, item.prompt.pcm, speaker=item.speaker).wait()
                continue
            utterance = talk.speak(item)
            pieces = [chunk.pcm for chunk in utterance]
            pcm = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
            yield Spoken(turn, utterance.text, pcm, utterance.finish_reason == "end")
            turn += 1
