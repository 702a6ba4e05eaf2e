"""An `AgentSession` without a room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from livekit.agents import Agent, AgentSession
from livekit.agents import llm as llms
from livekit.agents import tts as base
from livekit.agents.voice.transcription import TranscriptSynchronizer

from csm_plugin.livekit.testing.clocked_output import ClockedOutput


@dataclass(frozen=True, slots=True)
class ClockedSession:
    """A session and what it plays on."""

    session: AgentSession[Any]
    output: ClockedOutput

    @property
    def said(self) -> list[tuple[str, bool]]:
        """What the session's history has of the agent: each reply, and whether it was interrupted."""
        return [
            (item.text_content or "", item.interrupted)
            for item in self.session.history.items
            if isinstance(item, llms.ChatMessage) and item.role == "assistant"
        ]


@asynccontextmanager
async def clocked_session(
    tts: base.TTS[Any],
    llm: llms.LLM[Any] | None = None,
    *,
    agent: Agent | None = None,
    output: ClockedOutput | None = None,
    start: bool = True,
    **options: Any,
) -> AsyncIterator[ClockedSession]:
    """Run a session that plays on a `ClockedOutput`; text turns come from `session.run` or `session.generate_reply`.

    Args:
        tts: the session's voice.
        llm: what answers.
        agent: instead of one without instructions.
        output: what to play on.
        start: whether to start it; otherwise the caller does.
        **options: further arguments of `AgentSession`.
    """
    output = output or ClockedOutput()
    shown = TranscriptSynchronizer(next_in_chain_audio=output, next_in_chain_text=None)
    given: dict[str, Any] = {
        "vad": None,
        "turn_handling": {"turn_detection": None},
        "use_tts_aligned_transcript": True,
        "aec_warmup_duration": None,
        "user_away_timeout": None,
    } | options
    session: AgentSession[Any] = AgentSession(tts=tts, **(given if llm is None else given | {"llm": llm}))
    session.output.audio = shown.audio_output
    session.output.transcription = shown.text_output
    try:
        if start:
            await session.start(agent or Agent(instructions=""))
        yield ClockedSession(session, output)
    finally:
        await session.aclose()
        await shown.aclose()
