"""Talk with CSM in a browser: `python -m agents.webrtc`, then open the page that it names.

The page at `/` needs nothing but this server. Pipecat's own page is at `/client`; it shows more of what happens inside,
but loads its microphone code from the network.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import os
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.staticfiles import StaticFiles
from loguru import logger
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.services.tts_service import TTSService
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import (
    IceCandidate,
    SmallWebRTCPatchRequest,
    SmallWebRTCRequest,
    SmallWebRTCRequestHandler,
)
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport

from agents.backend_service import BackendTTS
from agents.backends import Backend, chosen_backend
from agents.brain import make_brain
from agents.engine import chosen_model
from agents.recogniser import load_recogniser
from agents.session import run_session
from csm_plugin.engine import Engine
from csm_plugin.errors import CSMError, SettingsError
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.pipecat.engines import SpeechEngine
from csm_plugin.pipecat.settings import check_voice

with contextlib.redirect_stdout(io.StringIO()):
    from pipecat_ai_prebuilt.frontend import PipecatPrebuiltUI

T = TypeVar("T")
MAX_SESSIONS = 32
PAGE = Path(__file__).parent / "page"


def create_app(
    engine: SpeechEngine | Backend,
    *,
    voice: str | None = None,
    brain: Callable[[], FrameProcessor] = make_brain,
) -> FastAPI:
    """The web application: the page, and what it asks for. All sessions share `engine`.

    Args:
        engine: speaks for every session; each has its own conversation. Or the backend that `TTS_BACKEND` names.
        voice: one of the engine's voices, or None for the model's own.
        brain: makes what answers, once per session.
    """
    handler = SmallWebRTCRequestHandler()
    sessions: set[asyncio.Task[None]] = set()

    async def talk(connection: SmallWebRTCConnection) -> None:
        params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
        tts: TTSService
        if isinstance(engine, Backend):
            tts = BackendTTS(engine.another())
        else:
            tts = CSMTTSService(engine=engine, settings=CSMTTSService.Settings(voice=voice))
        try:
            await run_session(SmallWebRTCTransport(connection, params), tts, brain)
        except Exception:
            logger.exception("a session failed")
        finally:
            await connection.disconnect()

    async def begin(connection: SmallWebRTCConnection) -> None:
        session = asyncio.create_task(talk(connection), name=f"session-{connection.pc_id}")
        sessions.add(session)
        session.add_done_callback(sessions.discard)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await load_recogniser()
        yield
        await handler.close()
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    app = FastAPI(title="CSM voice agent", lifespan=lifespan)

    @app.get("/status")
    async def status() -> dict[str, Any]:
        model = engine.voice.name if isinstance(engine, Backend) else engine.model_name
        return {"status": "ready", "transports": ["webrtc"], "model": model, "voice": voice}

    @app.post("/start")
    async def start() -> dict[str, str]:
        return {"sessionId": str(uuid.uuid4())}

    @app.post("/api/offer")
    @app.post("/sessions/{session_id}/api/offer")
    async def offer(request: Request) -> dict[str, str] | None:
        asked = await _read(request, _offer_of)
        if len(sessions) >= MAX_SESSIONS:
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
        await handler.handle_patch_request(await _read(request, _candidates_of))
        return {"status": "success"}

    app.mount("/client", PipecatPrebuiltUI)
    app.mount("/", StaticFiles(directory=PAGE, html=True))
    return app


def _offer_of(data: dict[str, Any]) -> SmallWebRTCRequest:
    asked = SmallWebRTCRequest.from_dict(data)
    if asked.type != "offer" or "m=audio" not in asked.sdp:
        raise ValueError("type must be offer, and sdp must offer audio")
    return asked


def _candidates_of(data: dict[str, Any]) -> SmallWebRTCPatchRequest:
    offered = [IceCandidate(**candidate) for candidate in data.get("candidates", [])]
    return SmallWebRTCPatchRequest(pc_id=data["pc_id"], candidates=offered)


async def _read(request: Request, make: Callable[[dict[str, Any]], T]) -> T:
    try:
        return make(await request.json())
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise HTTPException(422, f"not a WebRTC request: {error}") from error


def main() -> int:
    """Load the engine once, then serve until interrupted."""
    options = _options()
    logger.remove()
    logger.add(sys.stderr, level=os.environ.get("LOG_LEVEL", "INFO"), diagnose=False)
    try:
        engine = _chosen(options)
        listener = socket.create_server((options.host, options.port))
    except (CSMError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    host, port = listener.getsockname()[:2]
    print(
        f"{_told(engine, options.voice)}\n"
        f"Open http://{host}:{port}/, press Connect, allow the microphone, and speak or type.\n"
        "You may interrupt at any time. Ctrl-C ends it.",
        flush=True,
    )
    app = create_app(engine, voice=options.voice)
    try:
        asyncio.run(uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve([listener]))
    except KeyboardInterrupt:
        logger.info("ended")
    finally:
        engine.cleanup() if isinstance(engine, Backend) else engine.close()
    return 0


def _chosen(options: argparse.Namespace) -> Engine | Backend:
    backend = chosen_backend(model=options.model)
    if backend is not None:
        if options.voice is not None:
            raise SettingsError("--voice is one of CSM's, and TTS_BACKEND is set: leave out one of them")
        return backend
    model = chosen_model(options.model)
    print(f"Loading {model} …", flush=True)
    engine = Engine.load(model)
    check_voice(options.voice, engine.voices)
    return engine


def _told(engine: Engine | Backend, voice: str | None) -> str:
    if isinstance(engine, Backend):
        return f"Speaking with TTS_BACKEND {engine.voice.name}."
    return f"Speaking with {engine.model_name} on {engine.device}, voice: {voice or 'the model’s own'}."


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m agents.webrtc", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860; 0 takes a free one")
    parser.add_argument("--model", help="bundled name, folder, or hub id (default: $CSM_MODEL, else csm-tiny)")
    parser.add_argument("--voice", help="name of a voice of the model (default: the model's own)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
