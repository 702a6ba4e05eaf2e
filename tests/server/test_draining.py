"""SIGTERM: what is being said is finished, nothing new is begun, and the process ends with 0."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from csm_plugin.errors import SettingsError
from csm_plugin.server.shared.settings import read_settings
from tests.server.running import PATIENCE_S, wait_until
from tests.server.socket_client import client

LONG = {"input": "A text that takes a while. " * 8, "response_format": "pcm", "seed": 1}


class Process:
    """`csm serve` in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}/v1/stream"

    def signal(self) -> float:
        """Send SIGTERM; return when."""
        self.process.send_signal(signal.SIGTERM)
        return time.monotonic()


@contextmanager
def serving(checkpoint: Path, *options: str, **environment: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "csm_plugin.cli", "serve", "--port", "0", "--model", str(checkpoint),
               "--device", "cpu", "--set", "max_conversations=8", *options]  # fmt: skip
    settings = {name: value for name, value in os.environ.items() if not name.startswith("CSM_")} | environment
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=settings) as process:
        try:
            assert process.stderr is not None
            port = 0
            while not port:
                line = process.stderr.readline()
                assert line, f"it ended with {process.wait()}"
                if "listening on http://" in line:
                    port = int(line.split("http://127.0.0.1:")[1].split()[0])
            served = Process(process, port)
            wait_until(lambda: httpx.get(f"{served.url}/ready").status_code == 200)
            yield served
        finally:
            process.kill()


async def read(url: str, begun: asyncio.Semaphore) -> tuple[int, bool]:
    """Read a response; return its samples, and whether it came to its end."""
    samples = 0
    async with httpx.AsyncClient(timeout=60) as session:
        try:
            async with session.stream("POST", f"{url}/v1/audio/speech", json=LONG) as answer:
                async for data in answer.aiter_bytes():
                    if not samples:
                        begun.release()
                    samples += len(data) // 2
        except httpx.HTTPError:
            return samples, False
    return samples, True


async def test_what_is_being_said_is_finished_and_nothing_new_is_begun(tiny_checkpoint: Path) -> None:
    with serving(tiny_checkpoint, "--set", "drain_s=60") as served:
        begun = asyncio.Semaphore(0)
        async with client(served.ws) as idle:
            await idle.send("open", conversation=1)
            await idle.say(1, 1, "Now it is open.")
            readers = [asyncio.create_task(read(served.url, begun)) for _ in range(8)]
            for _ in readers:
                await begun.acquire()
            sent = served.signal()
            async with httpx.AsyncClient() as session:
                while (await session.get(f"{served.url}/ready")).status_code == 200:
                    pass
                not_ready_ms = (time.monotonic() - sent) * 1000
                refused = await session.post(f"{served.url}/v1/audio/speech", json=LONG)
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "draining"
            assert refused.headers["Retry-After"]
            await idle.until("draining")
            await idle.send("speak", conversation=1, number=2, text="One more thing.")
            ended = await idle.until("ended", number=2)
            assert ended["error"]["code"] == "draining"
            heard = await asyncio.gather(*readers)
            with pytest.raises(ConnectionClosed):
                while True:
                    await idle.receive()
            assert idle.socket.close_code == 1001
        code = await asyncio.to_thread(served.process.wait, PATIENCE_S)
    print(f"not ready after {not_ready_ms:.0f} ms, ended after {time.monotonic() - sent:.1f} s with {code}")
    assert all(whole for _, whole in heard)
    assert len({samples for samples, _ in heard}) == 1
    assert code == 0


async def test_what_takes_too_long_is_cut_off(tiny_checkpoint: Path) -> None:
    with serving(tiny_checkpoint, "--set", "drain_s=0.5") as served:
        async with client(served.ws) as one:
            await one.send("open", conversation=1)
            sampling = {"max_seconds": 100, "trim_silence": False}
            await one.send("speak", conversation=1, number=1, text="Without an end. " * 60, sampling=sampling)
            await one.until("binary")
            sent = served.signal()
            with pytest.raises(ConnectionClosed):
                while (await one.receive())["type"] != "ended":  # which takes minutes
                    pass
            assert one.socket.close_code == 1001
        assert await asyncio.to_thread(served.process.wait, PATIENCE_S) == 0
    print(f"ended {time.monotonic() - sent:.1f} s after SIGTERM, with 0.5 s for what is being said")


async def test_a_second_signal_ends_it_at_once(tiny_checkpoint: Path) -> None:
    """One that nobody reads is not over before its time to drain, which is longer than this test waits."""
    with serving(tiny_checkpoint, "--set", "drain_s=600") as served:
        async with client(served.ws) as one:
            await one.send("open", conversation=1)
            sampling = {"max_seconds": 100, "trim_silence": False}
            await one.send("speak", conversation=1, number=1, text="Without an end. " * 60, sampling=sampling)
            await one.until("binary")
            served.signal()
            await one.until("draining")
            second = served.signal()
            code = await asyncio.to_thread(served.process.wait, PATIENCE_S)
    print(f"ended {time.monotonic() - second:.2f} s after the second signal with {code}")
    assert code != 0


def is_live(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{url}/live").is_success
    return False


def test_a_signal_before_the_model_is_loaded_ends_it(tiny_checkpoint: Path) -> None:
    command = [sys.executable, "-m", "csm_plugin.cli", "serve", "--port", "0", "--model", str(tiny_checkpoint)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = next(line for line in iter(process.stderr.readline, "") if "listening on" in line)
        address = re.search(r"http://\S+", told)
        assert address is not None
        wait_until(lambda: is_live(address.group()))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def test_a_wrong_setting_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    wrong = (
        "nonsense=1",
        "port=many",
        "api_keys=a",
        "watermark_key=1,2,3,4,5",
        "allowed_origins=name",
        f"voices={file}",
    )
    for arguments in (["--host", "0.0.0.0"], *(["--set", setting] for setting in wrong)):
        ended = subprocess.run(
            [sys.executable, "-m", "csm_plugin.cli", "serve", *arguments], capture_output=True, text=True, timeout=60
        )
        assert ended.returncode == 1
        assert ended.stderr.startswith("csm: ")
        assert ended.stderr.count("\n") == 1


def test_a_file_that_is_none_is_told_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "csm.yaml"
    for text, told in (
        ("port: 8000\nhost: a: b\n", "line 2"),
        ("- port\n", "cannot be read"),
        ("prot: 1\n", "prot: there"),
    ):
        config.write_text(text)
        with pytest.raises(SettingsError, match=told):
            read_settings(config)
    monkeypatch.setenv("CSM_MORGAN", "nonsense")
    with pytest.raises(SettingsError, match="it must be JSON"):
        read_settings()


def test_the_settings_are_printed_without_the_keys(tmp_path: Path) -> None:
    config = tmp_path / "csm.yaml"
    config.write_text("max_queue: 3\nallowed_origins: [https://a.example]\n")
    command = [
        sys.executable,
        "-m",
        "csm_plugin.cli",
        "serve",
        "--config",
        str(config),
        "--port",
        "9000",
        "--print-config",
    ]
    environment = os.environ | {"CSM_API_KEYS": "canary-key", "CSM_MAX_OPEN": "7", "CSM_PORT": "8001"}
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert ended.returncode == 0
    for line in ("max_queue: 3", "port: 9000", "max_open: 7", "- https://a.example", "# api_keys: 1 set, not shown"):
        assert line in ended.stdout
    assert "canary" not in ended.stdout
