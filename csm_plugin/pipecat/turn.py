"""A turn of a conversation: when the user spoke, and when which part of the answer came and was heard."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Stretch:
    """Speech without a pause, in seconds since the pipeline began; it goes on while it has no end."""

    start_s: float
    end_s: float | None = None


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word of the agent's, and when it was heard, in seconds since the pipeline began."""

    text: str
    at_s: float


@dataclass(slots=True)
class Turn:
    """What the user said, and what became of the answer. Times are in seconds since the pipeline began.

    Args:
        number: from 1.
        user_speech: where voice activity detection heard the user.
        user_text: what was understood.
        first_token_s: when the LLM's answer began.
        first_audio_s: when the first sound came out of the service.
        agent_speech: where the agent was heard.
        said: what was given to the voice to say.
        words: what was heard of it, by the word.
        interrupted_s: when the user cut it off.
        heard: what the LLM's context has of it.
        answered: whether the agent has begun to answer.
        made_s: how much sound came out of the service, in seconds.
    """

    number: int
    user_speech: list[Stretch] = field(default_factory=list)
    user_text: str = ""
    first_token_s: float | None = None
    first_audio_s: float | None = None
    agent_speech: list[Stretch] = field(default_factory=list)
    said: str = ""
    words: list[HeardWord] = field(default_factory=list)
    interrupted_s: float | None = None
    heard: str = ""
    answered: bool = False
    made_s: float = 0.0

    @property
    def spoken(self) -> list[Stretch]:
        """Where the agent was heard; without a transport that tells, where its sound would be, played at once."""
        if self.agent_speech or self.first_audio_s is None:
            return self.agent_speech
        end_s = self.first_audio_s + self.made_s
        return [Stretch(self.first_audio_s, end_s if self.interrupted_s is None else min(end_s, self.interrupted_s))]

    @property
    def reply_delay_s(self) -> float | None:
        """From the end of the user's speech to the beginning of the agent's, None if one of them is missing."""
        ends = [stretch.end_s for stretch in self.user_speech if stretch.end_s is not None]
        return self.agent_speech[0].start_s - max(ends) if ends and self.agent_speech else None

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it, with `reply_delay_s`."""
        return asdict(self) | {"reply_delay_s": self.reply_delay_s}
