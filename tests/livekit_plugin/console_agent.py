"""An agent with a scripted engine and a scripted LLM, for the console: no model, no keys.

Its reply has a long pause in the middle of a sentence. What LiveKit notes as played is in the file `noted`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from livekit.agents import Agent, AgentServer, AgentSession, JobContext
from livekit.plugins import csm

from csm_plugin.livekit.testing import ScriptedLLM
from tests.scripted_engine import Script, ScriptedEngine
from tests.spoken_script import spoken_script

BEFORE = "There is a cup of tea"
REPLY = f"{BEFORE} on the table for you."
PAUSE_S = 60.0
"""Far longer than the stream runs ahead: at its beginning nobody has been told yet which words come after it."""

NOTED = "noted"
server = AgentServer()


def script(text: str) -> Script:
    pause_s = PAUSE_S if text == REPLY else 0.0
    return spoken_script(text, pause_after=len(BEFORE.split()), pause_s=pause_s)


@server.rtc_session()
async def entrypoint(job: JobContext) -> None:
    tts = csm.TTS(engine=ScriptedEngine(script))
    session = AgentSession(
        tts=tts,
        llm=ScriptedLLM(lambda context: " ".join(segment.text for segment in kept(tts)) or REPLY),
        vad=None,
        turn_handling={"turn_detection": None},
        use_tts_aligned_transcript=True,
        aec_warmup_duration=None,
    )
    tts.attach(session)
    await session.start(Agent(instructions=""), room=job.room)
    session.noting = asyncio.create_task(note(session))


def kept(tts: csm.TTS) -> tuple[object, ...]:
    return tts.context.segments if tts.context is not None else ()


async def note(session: AgentSession) -> None:
    """Tell what the session notes as played; it does so a moment after the words, and has no event for it."""
    while True:
        write(session.output.audio._synchronizer._impl.synchronized_transcript)
        await asyncio.sleep(0.02)


def write(noted: str) -> None:
    Path(NOTED).write_text(noted)
