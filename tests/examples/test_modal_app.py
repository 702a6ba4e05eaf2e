"""The Modal app imports and runs on this machine."""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from websockets.sync.client import connect

from tests.server.running import wait_until

SOURCE = Path(__file__).parents[2] / "examples" / "modal_app.py"


def imported(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def seconds(data: bytes) -> float:
    with wave.open(io.BytesIO(data)) as file:
        assert file.getframerate() == 24_000
        return file.getnframes() / 24_000


@pytest.fixture
def service(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("CSM_MODEL", str(tiny_checkpoint))
    monkeypatch.setitem(sys.modules, "modal", None)
    service = imported("modal_app_alone").SesameTTSService()
    service.start()
    yield service
    service.stop()


def test_its_methods_speak(service: Any) -> None:
    assert seconds(service.generate_speech(text="Hello from Sesame TTS!", speaker=0, max_audio_length_ms=1_500)) <= 1.5
    segment = {"text": "Hi.", "speaker": 1, "audio_tensor": np.zeros(4_800, np.float32)}
    assert seconds(service.generate_speech_with_context("Hello.", 0, [segment])) > 0.5


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an app; give its host and port."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(60)


def test_its_web_address_speaks(service: Any) -> None:
    with serving(service.web()) as host:
        wait_until(lambda: httpx.get(f"http://{host}/ready").status_code == 200)
        told = httpx.post(f"http://{host}/generate", json={"text": "Hello.", "speaker": 0}, timeout=60).json()
        assert (told["format"], told["sample_rate"]) == ("wav", 24_000)
        assert seconds(base64.b64decode(told["audio"])) > 0.5
        with connect(f"ws://{host}/ws", proxy=None) as socket:
            socket.send('{"text": "Hello.", "speaker": 0}')
            assert seconds(socket.recv()) > 0.5  # type: ignore[arg-type]


def test_it_runs_as_a_program(tiny_checkpoint: Path, tmp_path: Path) -> None:
    environment = os.environ | {"CSM_MODEL": str(tiny_checkpoint), "PYTHONPATH": str(SOURCE.parents[1])}
    subprocess.run([sys.executable, SOURCE, "Hello.", tmp_path / "hello.wav"], env=environment, check=True, timeout=100)
    assert seconds((tmp_path / "hello.wav").read_bytes()) > 0.5


def test_modal_knows_it(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("modal")
    monkeypatch.setenv("CSM_MODEL", str(tiny_checkpoint))
    module = imported("modal_app")
    assert module.app.name == "voice-stack"
    assert seconds(module.SesameTTSService().generate_speech.local(text="Hello.", speaker=0)) > 0.5
