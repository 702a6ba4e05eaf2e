"""The web application of the agent in a browser: its page, and what that asks for.

The page at `/` needs nothing but this server. Pipecat's own page is at `/client`; it shows more of what happens inside,
but loads its microphone code from the network.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.staticfiles import StaticFiles
from loguru import logger
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import (
    IceCandidate,
    SmallWebRTCPatchRequest,
    SmallWebRTCRequest,
    SmallWebRTCRequestHandler,
)
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport

from agents.backends import Backend
from agents.brain import WITH_OLLAMA, chosen_llm, make_brain
from agents.recogniser import load_recogniser
from agents.request_body import read_body
from agents.session import run_session
from agents.speech import make_tts
from csm_plugin.interface import SpeechEngine

with contextlib.redirect_stdout(io.StringIO()):
    from pipecat_ai_prebuilt.frontend import PipecatPrebuiltUI  # type: ignore[import-untyped]

T = TypeVar("T")
MAX_SESSIONS = 32
MAX_BODY_BYTES = 262_144
PAGE = Path(__file__).parents[1] / "page"


def create_app(
    speech: SpeechEngine | Backend,
    *,
    voice: str | None = None,
    brain: Callable[[], FrameProcessor] = make_brain,
) -> FastAPI:
    """The web application: the page, and what it asks for. All sessions share `speech`.

    Args:
        speech: speaks for every session; each has its own conversation.
        voice: one of the engine's voices, or None for the model's own.
        brain: makes what answers, once per session.
    """
    handler = SmallWebRTCRequestHandler()
    sessions: dict[str, asyncio.Task[None]] = {}
    door = asyncio.Lock()  # one caller comes in at a time, so that the last place is given away once

    async def talk(connection: SmallWebRTCConnection) -> None:
        params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
        try:
            await run_session(SmallWebRTCTransport(connection, params), make_tts(speech, voice), brain)
        except Exception:
            logger.exception("a session failed")
        finally:
            await connection.disconnect()

    async def begin(connection: SmallWebRTCConnection) -> None:
        session = asyncio.create_task(talk(connection), name=f"session-{connection.pc_id}")
        sessions[connection.pc_id] = session
        session.add_done_callback(lambda _session: sessions.pop(connection.pc_id))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await load_recogniser()
        yield
        await handler.close()
        for session in sessions.values():
            session.cancel()
        await asyncio.gather(*sessions.values(), return_exceptions=True)

    app = FastAPI(title="CSM voice agent", lifespan=lifespan)

    @app.get("/status")
    async def status() -> dict[str, Any]:
        model = speech.name if isinstance(speech, Backend) else speech.model_name
        answers = {"llm": chosen_llm(), "with_ollama": WITH_OLLAMA}
        return {"status": "ready", "transports": ["webrtc"], "model": model, "voice": voice} | answers

    @app.post("/start")
    async def start() -> dict[str, str]:
        return {"sessionId": str(uuid.uuid4())}

    @app.post("/api/offer")
    @app.post("/sessions/{session_id}/api/offer")
    async def offer(request: Request) -> dict[str, str] | None:
        asked = await _read(request, _offer_of)
        async with door:
            if asked.pc_id not in sessions and len(sessions) >= MAX_SESSIONS:
                raise HTTPException(503, f"{MAX_SESSIONS} callers are connected, and no more can be: try again later")
            try:
                return await handler.handle_web_request(asked, begin)
            except HTTPException:
                raise
            except Exception as error:
                raise HTTPException(422, f"the offer's sdp cannot be used: {error}") from error

    @app.patch("/api/offer")
    @app.patch("/sessions/{session_id}/api/offer")
    async def candidates(request: Request) -> dict[str, str]:
        asked = await _read(request, _candidates_of)
        try:
            await handler.handle_patch_request(asked)
        except HTTPException:
            raise
        except Exception as error:
            raise HTTPException(422, f"a candidate cannot be used: {error}") from error
        return {"status": "success"}

    app.mount("/client", PipecatPrebuiltUI)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def _offer_of(data: dict[str, Any]) -> SmallWebRTCRequest:
    asked = SmallWebRTCRequest.from_dict(data)
    if asked.type != "offer" or "m=audio" not in asked.sdp:
        raise ValueError("type must be offer, and sdp must offer audio")
    if not isinstance(asked.pc_id, str | None):
        raise ValueError("pc_id must be a text")
    return asked


def _candidates_of(data: dict[str, Any]) -> SmallWebRTCPatchRequest:
    offered = [IceCandidate(**candidate) for candidate in data.get("candidates", [])]
    if not isinstance(data["pc_id"], str):
        raise ValueError("pc_id must be a text")
    return SmallWebRTCPatchRequest(pc_id=data["pc_id"], candidates=offered)


async def _read(request: Request, make: Callable[[dict[str, Any]], T]) -> T:
    try:
        return make(json.loads(await read_body(request, MAX_BODY_BYTES)))
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
        raise HTTPException(422, f"not a WebRTC request: {error}") from error
