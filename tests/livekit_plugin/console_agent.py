"""An agent with a scripted engine and a scripted LLM, for the console: no model, no keys."""

from __future__ import annotations

from livekit.agents import Agent, AgentServer, AgentSession, JobContext
from livekit.plugins import csm

from csm_plugin.livekit.testing import ScriptedLLM
from tests.scripted_engine import ScriptedEngine

REPLY = "It is spoken in a moment, word by word. The rest of it comes after that, and nobody hears it."

server = AgentServer()
engine = ScriptedEngine()


@server.rtc_session()
async def entrypoint(job: JobContext) -> None:
    tts = csm.TTS(engine=engine)
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


def kept(tts: csm.TTS) -> tuple[object, ...]:
    return tts.context.segments if tts.context is not None else ()
