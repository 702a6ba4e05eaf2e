"""The telephone's web application: a webhook and a media socket for each provider."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

from fastapi import FastAPI, HTTPException, Request, Response, WebSocket
from loguru import logger
from pipecat.processors.frame_processor import FrameProcessor

from agents.backends import Backend
from agents.brain import make_brain
from agents.recogniser import load_recogniser
from agents.request_body import read_body
from agents.speech import make_tts
from agents.telephony.call import hang_up, open_call, read_start
from agents.telephony.calls import Calls, Ticket
from agents.telephony.keypad import Keypad
from agents.telephony.providers import Provider
from agents.telephony.signatures import SignatureError
from csm_plugin.errors import CSMError
from csm_plugin.interface import SpeechEngine
from csm_plugin.settings import SAMPLE_RATE_HZ

MAX_FORM_BYTES = 65_536
MAX_FIELDS = 200
REFUSED = 1008


def create_app(
    speech: SpeechEngine | Backend,
    providers: Mapping[str, Provider],
    *,
    public_url: str,
    calls: Calls,
    voice: str | None = None,
    brain: Callable[[], FrameProcessor] = make_brain,
    keypad: Callable[[], Keypad] = Keypad,
) -> FastAPI:
    """The web application. All calls share `speech`.

    `POST /{provider}/voice` is the webhook to set at the provider; the socket's address is in its answer.

    Args:
        speech: speaks for every call; each has its own conversation.
        providers: by name.
        public_url: how providers reach this server, without a slash at its end. Signatures are checked over it.
        calls: the places for calls.
        voice: one of the engine's voices, or None for the model's own.
        brain: makes what answers, once per call.
        keypad: makes what gathers keys, once per call.
    """
    socket_url = "ws" + public_url.removeprefix("http")

    async def serve(websocket: WebSocket, provider: Provider, ticket: Ticket) -> None:
        try:
            await websocket.accept()
            stream = await read_start(websocket, provider, ticket.call_id)
            if stream is None:
                logger.warning(f"call: refused a {provider.name} stream that is not the announced one")
                await hang_up(websocket, REFUSED)
                return
            logger.info(f"call: {provider.name} is connected", live=calls.live)
            tts = make_tts(speech, voice, backend_rate_hz=SAMPLE_RATE_HZ)
            await calls.talk(await open_call(websocket, provider, stream, tts=tts, brain=brain, keypad=keypad()))
        except Exception:
            logger.exception(f"call: a {provider.name} call failed")
        finally:
            await hang_up(websocket)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await load_recogniser()
        yield
        await calls.close()

    app = FastAPI(title="CSM telephone agent", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/ready")
    async def ready() -> dict[str, str]:
        if calls.draining:
            raise HTTPException(503, "ending: no more calls are taken")
        return {"status": "ready"}

    @app.post("/{name}/voice")
    async def voice_webhook(name: str, request: Request) -> Response:
        provider = providers.get(name)
        if provider is None:
            raise HTTPException(404, "no such provider is set up here")
        body = await read_body(request, MAX_FORM_BYTES)
        form = _read_form(body)
        try:
            provider.check_webhook(_public(request, public_url), form, body, request.headers, time.time())
        except SignatureError as error:
            logger.warning(f"call: refused a webhook for {name}: {error}")
            raise HTTPException(403, "the signature does not fit") from error
        call_id = form.get(provider.call_field, [""])[0]
        if not call_id:
            raise HTTPException(422, f"the field {provider.call_field} is missing")
        token = None if _is_full(speech) else calls.announce(name, call_id)
        if token is None:
            logger.warning(f"call: turned a {name} caller away: busy", live=calls.live)
            return Response(provider.busy(), media_type="application/xml")
        return Response(provider.connect(f"{socket_url}/{name}/media/{token}"), media_type="application/xml")

    @app.websocket("/{name}/media/{token}")
    async def media_socket(websocket: WebSocket, name: str, token: str) -> None:
        provider = providers.get(name)
        ticket: Ticket | None = None
        if provider is not None:
            try:
                provider.check_socket(_public(websocket, socket_url), websocket.headers)
                ticket = calls.redeem(name, token)
            except SignatureError as error:
                logger.warning(f"call: refused a socket for {name}: {error}")
        if provider is None or ticket is None:
            await websocket.close()  # before it is accepted: the answer is 403
            return
        with calls.place():
            await serve(websocket, provider, ticket)

    return app


def _read_form(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise HTTPException(422, "the body is no form") from error


def _public(request: Request | WebSocket, base_url: str) -> str:
    """The address that the provider called, whatever proxies made of it."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope["query_string"]
    return base_url + path.decode("latin-1").partition("?")[0] + (f"?{query.decode('latin-1')}" if query else "")


def _is_full(speech: SpeechEngine | Backend) -> bool:
    if isinstance(speech, Backend):
        return False
    try:
        stats = speech.stats()
    except CSMError:
        return True
    return stats.free_rows == 0 and stats.queued > 0
