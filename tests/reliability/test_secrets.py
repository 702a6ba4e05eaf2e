"""Nothing that was said, and no key, is in logs, metrics or errors, whatever goes wrong."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from loguru import logger
from websockets.exceptions import ConnectionClosed, InvalidStatus

from csm_plugin.model.checkpoint import BUNDLED
from csm_plugin.server.serving import CHATTY, quiet_loggers
from tests.server.running import RunningServer, running, wait_until
from tests.server.socket_client import client
from tests.server.test_keeper import crash

KEY, SENTENCE = "canary-key-QzJx", "The canary sang Zanzibarian songs."
RECORDING = "My name is Quillfeather, and I like to sing."
SECRETS = ("QzJx", "QZJX", "Zanzibar", "Quillfeather", "cWFuYXJ5", "Y2FuYXJ5")
OWN = ("httpx", "httpcore")
"""Loggers of the test's own client."""

ENTER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, at every level, with the values that a traceback can show."""
    told = io.StringIO()
    levels = {name: logging.getLogger(name).level for name in (*CHATTY, *OWN)}
    quiet_loggers()
    for name in OWN:
        logging.getLogger(name).setLevel(logging.WARNING)
    sink = logger.add(told, level=0, backtrace=True, diagnose=True, format="{level} {name} {message} {extra}")
    handler = logging.StreamHandler(told)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield told
    root.removeHandler(handler)
    root.setLevel(level)
    logger.remove(sink)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


async def test_a_canary_is_heard_nowhere(
    tiny_checkpoint: Path, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    told: list[str] = []
    with running(tiny_checkpoint, api_keys=KEY, log_level="DEBUG") as server:
        await use(server, told)
        model = server.engine._model
        prefill = model.prefill

        def fail(row: int, start: int, inputs: Any) -> None:
            text = SENTENCE
            raise ValueError(f"{len(text)} {inputs.shape}")

        model.prefill = fail  # type: ignore[method-assign]
        await use(server, told)
        model.prefill = prefill  # type: ignore[method-assign]
        first = server.engine
        first._scheduler._round = lambda sessions: crash()  # type: ignore[method-assign, assignment]
        first._scheduler.registry.wake()
        wait_until(lambda: server.service.keeper.restarts == 1 and server.service.keeper.is_ready)
        async with httpx.AsyncClient(headers=ENTER) as session:
            metrics = (await session.get(f"{server.url}/metrics")).text
    logged = log.getvalue()
    assert len(told) > 20 and "is dead" in logged and "ValueError" in logged and "csm_utterances" in metrics
    for secret in SECRETS:
        assert secret not in logged, logged[max(0, logged.index(secret) - 300) : logged.index(secret) + 100]
        assert secret not in metrics
        assert not [body for body in told if secret in body]
    print(f"0 hits in {len(logged):,} characters of logs, {len(metrics):,} of metrics and {len(told)} errors")


async def use(server: RunningServer, told: list[str]) -> None:
    """Use the server in every way, rightly and wrongly; keep what errors say."""
    voice = (BUNDLED / "csm-tiny" / "voices" / "clara.flac").read_bytes()
    with httpx.Client(base_url=server.url, timeout=60) as session:

        def ask(method: str, path: str, **request: Any) -> None:
            answer = session.request(method, path, **request)
            if answer.status_code >= 400:
                told.append(answer.text + str(answer.headers))

        for headers in (ENTER, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": f"Basic {KEY}"}, {}):
            for order in (
                {"input": SENTENCE, "response_format": "pcm"},
                {"input": SENTENCE, "voice": SENTENCE},
                {"input": SENTENCE * 200},
                {"input": SENTENCE, "speed": SENTENCE},
                {"input": SENTENCE, "nonsense": SENTENCE},
                {"input": SENTENCE, "model": SENTENCE},
                {"input": SENTENCE, "response_format": "pcm", "stream_format": "sse"},
            ):
                ask("POST", "/v1/audio/speech", json=order, headers=headers)
            ask("POST", "/v1/audio/speech", content=f'{{"input": "{SENTENCE}', headers=headers)
            for file, text in ((voice, RECORDING), (voice, SENTENCE * 9), (voice[:60], RECORDING), (b"", RECORDING)):
                form = {"name": "ann", "text": text}
                ask("POST", "/v1/voices", data=form, files={"file": ("x", file)}, headers=headers)
            ask("POST", "/v1/audio/speech", json={"input": SENTENCE, "voice": "ann"}, headers=headers)
            ask("DELETE", "/v1/voices/ann", headers=headers)
            ask("GET", f"/v1/models?key={KEY}", headers=headers)
            ask(KEY, f"/{KEY}", headers=headers)  # a method that is none
    for headers in (ENTER, {}):
        try:
            async with client(server.ws, additional_headers=headers) as one:
                await one.send("open", conversation=1)
                await one.say(1, 1, SENTENCE)
                await one.upload(1, 2, bytes(48_000))
                await one.send("listen", conversation=1, number=2, text=RECORDING)
                await one.until("heard")
                await one.send("open", conversation=2, voice=SENTENCE)
                told.append(str((await one.until("closed"))["error"]))
                await one.send("speak", conversation=1, number=SENTENCE, text=SENTENCE)
                told.append(str((await one.until("failed"))["error"]))
                await one.socket.send(SENTENCE)
                while True:
                    await one.receive()
        except ConnectionClosed as closed:
            told.append(str(closed))
        except InvalidStatus as refused:
            told.append(str(refused.response.body))
