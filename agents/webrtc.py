"""Talk with CSM in a browser: `python -m agents.webrtc`, then open the page that it names.

The page at `/` needs nothing but this server. Pipecat's own page is at `/client`; it shows more of what happens inside,
but loads its microphone code from the network.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
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
from agents.command import fail, listen, log_to_stderr
from agents.recogniser import load_recogniser
from agents.request_body import read_body
from agents.session import run_session
from agents.speech import add_options, describe, load_speech, make_tts, release
from csm_plugin.errors import CSMError
from csm_plugin.interface import SpeechEngine

with contextlib.redirect_stdout(io.StringIO()):
    from pipecat_ai_prebuilt.frontend import PipecatPrebuiltUI  # type: ignore[import-untyped]

T = TypeVar("T")
MAX_SESSIONS = 32
MAX_BODY_BYTES = 262_144
PAGE = Path(__file__).parent / "page"


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


def main() -> int:
    """Load the engine once, then serve until interrupted."""
    options = _options()
    log_to_stderr()
    try:
        with listen(options.host, options.port) as listener:
            _serve(listener, options)
    except CSMError as error:
        return fail(error)
    except KeyboardInterrupt:
        logger.info("ended")
    return 0


def _serve(listener: socket.socket, options: argparse.Namespace) -> None:
    speech = load_speech(options)
    host, port = listener.getsockname()[:2]
    print(
        f"{describe(speech, options.voice)}\n"
        f"Open http://{host}:{port}/, press Connect, allow the microphone, and speak or type.\n"
        "You may interrupt at any time. Ctrl-C ends it.",
        flush=True,
    )
    try:
        app = create_app(speech, voice=options.voice)
        asyncio.run(uvicorn.Server(uvicorn.Config(app, log_level="warning")).serve([listener]))
    finally:
        release(speech)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m agents.webrtc", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=7860, help="default: 7860; 0 takes a free one")
    add_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
