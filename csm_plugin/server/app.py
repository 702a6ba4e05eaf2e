"""The app: every group of routes is a module with a `router(service)`; this puts them together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

import csm_plugin
from csm_plugin.conversation import VoicePrompt
from csm_plugin.errors import SettingsError, VoiceError
from csm_plugin.server.dropin import morgan
from csm_plugin.server.dropin import routes as dropin
from csm_plugin.server.guards.access_log import AccessLog
from csm_plugin.server.guards.admission import Admission
from csm_plugin.server.guards.gate import OPEN_PATHS, Gate
from csm_plugin.server.guards.heads import Heads
from csm_plugin.server.guards.limits import BodyLimit
from csm_plugin.server.http import audio_voices, health, models, speech, voices, web_page
from csm_plugin.server.shared.errors import handle_errors
from csm_plugin.server.shared.metrics import Metrics
from csm_plugin.server.shared.origins import pattern_of
from csm_plugin.server.shared.service import Judge, Service
from csm_plugin.server.shared.settings import ServerSettings
from csm_plugin.server.shared.supervisor import EngineKeeper
from csm_plugin.server.shared.uploaded_voices import VoiceShelf
from csm_plugin.server.socket import stream

if TYPE_CHECKING:
    from csm_plugin.engine import Engine

ROUTERS = (
    health.router, models.router, voices.router, audio_voices.router, speech.router, stream.router, dropin.router,
    web_page.router,
)  # fmt: skip


def create_app(
    settings: ServerSettings,
    load: Callable[[], Engine] | None = None,
    failed: Callable[[], None] = lambda: None,
    judge: Judge | None = None,
) -> FastAPI:
    """Make the server's app. The engine loads in the background once it starts; until then it is not ready.

    Args:
        load: loads the engine, in a thread; by default as the settings say.
        failed: called once when there will be no engine any more.
        judge: of uploaded voices, beside the checks that all of them pass.

    Returns:
        the app; its `state.service` is what the routes share.
    """
    shelf = VoiceShelf(settings.voices, default=settings.default_voice, most=settings.max_voices)
    keeper = EngineKeeper(
        checking_voices(load or (lambda: load_engine(settings)), settings, shelf),
        hang_s=settings.hang_s,
        max_restarts=settings.max_restarts,
        failed=failed,
    )
    service = Service(settings, keeper, shelf, Metrics(keeper), judge)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        keeper.start()
        try:
            yield
        finally:
            await keeper.close()

    app = FastAPI(
        title="csm-plugin", version=csm_plugin.__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,
        description="Conversational speech on Sesame's CSM. The WebSocket `/v1/stream` is described by "
        "`/v1/stream/schema.json`.",
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )  # fmt: skip
    app.state.service = service
    if settings.keys:
        tell_of_keys(app)
    handle_errors(app)
    for router in ROUTERS:
        app.include_router(router(service))
    app.add_middleware(Heads)
    app.add_middleware(BodyLimit, settings=settings)
    app.add_middleware(Admission, service=service)
    app.add_middleware(Gate, settings=settings)
    app.add_middleware(
        CORSMiddleware, allow_origin_regex=pattern_of(settings.allowed_origins),
        allow_methods=["GET", "HEAD", "POST", "DELETE"], allow_private_network=True,
        allow_headers=["*"],  # openai's client sends a dozen of its own; which page may send any is told by its origin
        expose_headers=["Retry-After", "Warning"],
    )  # fmt: skip
    app.add_middleware(AccessLog, metrics=service.metrics)
    return app


def checking_voices(load: Callable[[], Engine], settings: ServerSettings, shelf: VoiceShelf) -> Callable[[], Engine]:
    """Return what loads an engine and, the first time, makes sure that the settings' voices can be spoken with.

    Later a voice that somebody took away is an error of whoever asks for it, and not the end of the server.
    """
    checked = False

    def load_and_check() -> Engine:
        nonlocal checked
        engine = load()
        try:
            if not checked:
                check_voices(engine, settings, shelf)
        except BaseException:
            engine.close()
            raise
        checked = True
        return engine

    return load_and_check


def check_voices(engine: Engine, settings: ServerSettings, shelf: VoiceShelf) -> None:
    """Make sure that an engine can speak with the voices that the settings name.

    Raises:
        SettingsError: with one of them it cannot.
    """
    named = {"default_voice": settings.default_voice}
    if not morgan.is_own_voice(settings.morgan.voice):
        named["morgan.voice"] = settings.morgan.voice
    for setting, name in named.items():
        if name is None:
            continue
        try:
            voice = shelf.find(name, lambda: shelf.not_here(engine.voices))
            if voice is None:
                raise VoiceError(f"there is no such voice; known voices: {', '.join(engine.voices) or 'none yet'}")
            if isinstance(voice, VoicePrompt):
                engine.check_voice(voice)
            engine.conversation(voice).close()
        except VoiceError as error:
            raise SettingsError(f"{setting} is {name[:64]!r}: {error}") from error


def tell_of_keys(app: FastAPI) -> None:
    """Let the OpenAPI description say where a key is asked for."""
    describe = app.openapi

    def described() -> dict[str, Any]:
        told = describe()
        told["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path in told["paths"].keys() - OPEN_PATHS:
            for method in told["paths"][path].values():
                method["security"] = [{"key": []}]
        return told

    app.openapi = described  # type: ignore[method-assign]


def load_engine(settings: ServerSettings) -> Engine:
    """Load the engine that the settings describe. Blocks.

    Raises:
        CSMError: it cannot be loaded.
    """
    from csm_plugin.engine import Engine

    return Engine.load(
        settings.model,
        adapter=settings.adapter,
        codec=settings.codec,
        tokenizer=settings.tokenizer,
        device=settings.device,
        dtype=settings.dtype,
        max_conversations=settings.max_conversations,
        max_queue=settings.max_queue,
        graphs=settings.graphs,
    )
