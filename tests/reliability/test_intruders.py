"""Names that lead elsewhere, addresses for names, and code for sound: nothing is opened, nothing runs."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.model.test_checkpoints import Canary
from tests.server.running import RunningServer, running
from tests.server.socket_client import client

EVENTS: list[tuple[str, tuple[Any, ...]]] | None = None
"""What this process does while somebody watches."""


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if EVENTS is not None and event in ("open", "socket.connect", "socket.getaddrinfo"):
        EVENTS.append((event, arguments))


sys.addaudithook(_note)


@contextmanager
def watching() -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """Watch which files and connections this process opens."""
    global EVENTS
    EVENTS = []
    try:
        yield EVENTS
    finally:
        EVENTS = None


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file beside the folder of voices."""
    (tmp_path / "voices").mkdir()
    (tmp_path / "secret.txt").write_text("A secret.")
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    return tmp_path / "secret.wav"


@pytest.fixture
def guarded(tiny_checkpoint: Path, secret: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint, voices=secret.parent / "voices") as server:
        yield server


def add(server: RunningServer, voice: str, data: bytes, file: str = "x.wav") -> httpx.Response:
    return httpx.post(f"{server.url}/v1/voices", data={"name": voice, "text": "Hi."}, files={"file": (file, data)})


async def refuse(server: RunningServer, voice: str) -> None:
    """Ask for a voice in every way there is."""
    assert server.speak(voice=voice).status_code == 422
    assert server.speak(voice={"id": voice}).status_code == 422
    async with client(server.ws) as one:
        await one.send("open", conversation=1, voice=voice[:256])
        closed = await one.until("closed")
        assert closed["error"]["code"] == "bad_voice"
        await one.send("open", conversation=2)
        await one.send("configure", conversation=2, voice=voice[:256])
        assert (await one.until("failed"))["error"]["code"] == "bad_voice"


async def test_names_that_lead_out_of_the_folder_open_nothing(guarded: RunningServer, secret: Path) -> None:
    (secret.parent / "voices" / "link.wav").symlink_to(secret)
    (secret.parent / "voices" / "link.txt").symlink_to(secret.with_suffix(".txt"))
    names = ["../secret", "..%2Fsecret", str(secret.with_suffix("")), "x\0/../secret", "a/../../secret", "a" * 300]
    with watching() as events:
        for name in names:
            await refuse(guarded, name)
            assert add(guarded, name, b"RIFF").status_code == 422
        await refuse(guarded, "link")
    opened = [str(arguments[0]) for event, arguments in events if event == "open"]
    assert not [path for path in opened if "secret" in path]
    print(f"{len(names)} names and a link refused in 5 ways; {len(opened)} files opened, none outside")


async def test_addresses_are_no_voices_and_nobody_is_asked(guarded: RunningServer) -> None:
    addresses = [
        "http://example.com/a.wav", "https://example.com/a.wav", "file:///etc/passwd", "hf://someone/voice",
        "data:audio/wav;base64,UklGRg==", "http://169.254.169.254/latest", "http://[::1]:80/", "http://2130706433/",
        "//example.com/a", "ftp://example.com/a",
    ]  # fmt: skip
    with watching() as events:
        for address in addresses:
            await refuse(guarded, address)
    asked = [arguments for event, arguments in events if event != "open"]
    own = {("127.0.0.1", guarded.port), ("127.0.0.1", str(guarded.port))}
    to = {tuple(a[1][:2]) if isinstance(a[1], tuple) else tuple(a[:2]) for a in asked}
    assert to <= own, to - own
    print(f"{len(addresses)} addresses refused in 4 ways; {len(asked)} connections meanwhile, all the test's own")


@pytest.mark.parametrize("name", ["voice.pt", "voice.bin", "voice.safetensors", "voice.wav"])
def test_a_pickle_is_no_recording(guarded: RunningServer, tmp_path: Path, name: str) -> None:
    died = tmp_path / "died"
    data = pickle.dumps(Canary(died))
    for start in (b"", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3"):
        assert add(guarded, "x", start + data, name).status_code == 422
    assert not died.exists()
    assert not list((tmp_path / "voices").iterdir())
