"""Behind a socket: the server's engine speaks as one in this process, and its loss is told in time."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from livekit.agents import APIConnectionError, APIConnectOptions

from csm_plugin.audio.pcm import to_int16
from csm_plugin.engine import Engine
from csm_plugin.livekit import TTS
from csm_plugin.settings import Sampling
from tests.livekit_plugin.collecting import Reports, collect, pcm, say, until, words

REAL_TIME = True
pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(400)]

KEY = "a-key-for-the-tests"
PATIENT = APIConnectOptions(max_retry=3, retry_interval=0.1, timeout=60.0)
QUICK = APIConnectOptions(max_retry=3, retry_interval=0.1, timeout=0.3)
HANG_S = 60.0
"""Far more than all attempts and waits: whoever takes so long waits for ever."""


@dataclass
class Server:
    url: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A `csm serve` with a key, for all tests that leave it alive."""
    with serving(tiny_checkpoint, tmp_path_factory.mktemp("server")) as server:
        yield server


@contextmanager
def serving(checkpoint: Path, folder: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "csm_plugin.cli", "serve", "--model", str(checkpoint), "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | {"CSM_API_KEYS": KEY}, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(f"{url}/ready"):
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield Server(url, process)
    finally:
        process.kill()
        process.wait()


async def test_it_speaks_as_an_engine_in_this_process_does(server: Server, tiny_checkpoint: Path) -> None:
    tts = TTS(base_url=server.url, api_key=KEY, seed=7)
    reports = Reports.of(tts)
    events = await say(tts, "Hello there, this is", " it. And more.", options=PATIENT)
    with Engine.load(tiny_checkpoint) as engine, engine.conversation(sampling=Sampling(seed=7)) as talk:
        pieces = ["Hello there, this is it.", "And more."]
        made = np.concatenate([chunk.pcm for piece in pieces for chunk in talk.speak(piece)])
    assert np.array_equal(pcm(events), to_int16(made))
    assert "".join(words(events)) == "Hello there, this is it. And more."
    assert len(reports.metrics) == 1 and not reports.errors
    await tts.aclose()


async def test_a_server_that_dies_midway_is_told_in_time_and_nothing_is_spoken_twice(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    with serving(tiny_checkpoint, tmp_path) as server:
        await _dies_midway(server)


async def _dies_midway(server: Server) -> None:
    tts = TTS(base_url=server.url, api_key=KEY)
    reports = Reports.of(tts)
    await tts.ready()
    async with tts.stream(conn_options=APIConnectOptions(max_retry=3, timeout=5.0)) as stream:
        stream.push_text("This is a long sentence that goes on and on, until somebody ends it. " * 3)
        await anext(stream)
        server.process.kill()
        with pytest.raises(APIConnectionError):
            async with asyncio.timeout(HANG_S):
                await collect(stream)
    assert [error.recoverable for error in reports.errors] == [False] and not reports.metrics
    await tts.aclose()


async def test_a_server_that_stands_still_is_a_timeout_and_four_attempts(server: Server) -> None:
    tts = TTS(base_url=server.url, api_key=KEY)
    reports = Reports.of(tts)
    await tts.ready()
    server.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(APIConnectionError):
            async with asyncio.timeout(HANG_S):
                await say(tts, "Hello there.", options=QUICK)
    finally:
        server.process.send_signal(signal.SIGCONT)
    assert len(reports.errors) == 4 and not reports.metrics
    await tts.aclose()


async def test_no_server_is_told_in_time() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        tts = TTS(base_url=f"http://127.0.0.1:{probe.getsockname()[1]}")
        reports = Reports.of(tts)
        with pytest.raises(APIConnectionError):
            async with asyncio.timeout(HANG_S):
                await say(tts, "Hello.", options=APIConnectOptions(max_retry=1, timeout=0.3))
        assert len(reports.errors) == 2
        await tts.aclose()


async def test_a_wrong_key_is_not_tried_again(server: Server) -> None:
    tts = TTS(base_url=server.url, api_key="another")
    reports = Reports.of(tts)
    with pytest.raises(Exception, match="key") as told:
        await say(tts, "Hello.", options=PATIENT)
    assert KEY not in str(told.value) and len(reports.errors) == 1
    await tts.aclose()


async def test_leaving_frees_the_servers_row(server: Server) -> None:
    tts = TTS(base_url=server.url, api_key=KEY)
    stream = tts.stream(conn_options=PATIENT)
    stream.push_text("This is a long sentence that goes on and on, until somebody ends it. ")
    await anext(stream)
    await stream.aclose()
    engine = await tts._backend.engine()
    await until(lambda: not engine.stats().live_rows, timeout_s=HANG_S)
    await tts.aclose()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
