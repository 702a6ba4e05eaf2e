"""Talk with CSM on LiveKit Agents: `python -m agents.livekit_agent console`, or `start` for a LiveKit server.

The console needs neither server nor keys; `console --text` needs no microphone. A server is named by `LIVEKIT_URL`,
`LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET`. Recogniser, voice activity and turn detection run on this machine; an LLM is
chosen as for the other agents, and without one a few rules answer. `CSM_MODEL` or `CSM_BASE_URL`, and `CSM_VOICE`,
choose the voice; so does `TTS_BACKEND`, as in `agents.backends`.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":  # before anything takes time, so that Ctrl-C and what is missing are one line
    from agents.livekit_command import main

    sys.exit(main("agents.livekit_agent"))

import asyncio
import os
from typing import Any

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, inference, llm
from livekit.agents.types import NOT_GIVEN
from livekit.plugins import csm

from agents.brain import DEFAULT_LLM, INSTRUCTION, TOKEN_S, answer
from agents.livekit_backend import make_tts
from agents.livekit_recogniser import MoonshineSTT
from agents.recogniser import load_recogniser
from csm_plugin.livekit.testing import ScriptedLLM

server = AgentServer(load_fnc=csm.EngineLoad())


class Talker(Agent):
    """Greets, then answers."""

    def __init__(self) -> None:
        super().__init__(instructions=INSTRUCTION)

    async def on_enter(self) -> None:
        """Greet."""
        self.session.generate_reply()


@server.rtc_session()
async def talk(job: JobContext) -> None:
    """One caller's conversation."""
    tts, voice = make_tts()
    session: AgentSession[Any] = AgentSession(
        stt=MoonshineSTT(),
        llm=make_llm(),
        tts=tts,
        vad=inference.VAD(),
        turn_handling={
            "turn_detection": inference.TurnDetector(version="v1-mini"),
            "interruption": {"mode": "vad"},
        },
        use_tts_aligned_transcript=True,
    )
    if voice is not None:
        voice.attach(session)
    # With `TTS_BACKEND` the model is loaded by the first text, and where it cannot be, Edge TTS speaks.
    await asyncio.gather(load_recogniser(), *([voice.ready()] if voice is tts else []))
    await session.start(Talker(), room=job.room)


def make_llm() -> llm.LLM[Any]:
    """The LLM that the environment names, or the built-in rules; see `agents.brain.make_brain`."""
    key, base_url = os.environ.get("OPENAI_API_KEY"), os.environ.get("OPENAI_BASE_URL")
    if not key and not base_url:
        return ScriptedLLM(_answer, token_s=TOKEN_S)
    from livekit.plugins import openai

    model = os.environ.get("OPENAI_MODEL") or DEFAULT_LLM
    return openai.LLM(model=model, api_key=key or "none", base_url=base_url or NOT_GIVEN)


def _answer(context: llm.ChatContext) -> str:
    said = [item for item in context.items if isinstance(item, llm.ChatMessage) and item.role in ("user", "assistant")]
    return answer([{"role": item.role, "content": item.text_content or ""} for item in said])
