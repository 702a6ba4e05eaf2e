"""The Pipecat examples run, and do what they say."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.service_switcher import ServiceSwitcher
from websockets.asyncio.client import ClientConnection, connect

from csm_plugin.audio import read_audio
from csm_plugin.errors import EngineUnreachableError
from csm_plugin.pipecat import CSMTTSService
from tests.examples.test_examples import example
from tests.pipecat.harness import running
from tests.scripted_engine import Script, ScriptedEngine

TONE = (10_000 * np.sin(np.arange(24_000) / 10)).astype("<i2")


class SpeechApi(BaseHTTPRequestHandler):
    """OpenAI's speech endpoint, with a second of a tone for every text."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(TONE.nbytes))
        self.end_headers()
        self.wfile.write(TONE.tobytes())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def speech_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), SpeechApi) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield
        server.shutdown()


async def test_csm_drops_in_for_another_service(
    speech_api: None, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = example("pipecat_drop_in")
    contexts = []
    for name in ("openai", "csm"):
        await script.main(name, str(tmp_path / f"{name}.wav"), str(tiny_checkpoint))
        contexts.append(capsys.readouterr().out.splitlines()[-1])
    assert contexts[0] == contexts[1] and script.REPLY in contexts[0]
    before, after = (read_audio(tmp_path / f"{name}.wav") for name in ("openai", "csm"))
    assert before[1] == after[1] == 24_000
    assert len(before[0]) == 2 * len(TONE) and abs(after[0]).max() > 0


async def test_two_speakers_share_a_conversation(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = example("pipecat_two_speakers")
    await script.main(str(tiny_checkpoint), str(tmp_path / "dialogue.wav"))
    *told, last = capsys.readouterr().out.splitlines()
    assert last.startswith(f"{tmp_path / 'dialogue.wav'}: ")
    assert [(line.split(",")[0], line.split(": ", 1)[1]) for line in told] == [
        (f"speaker {speaker}", line) for speaker, line in script.DIALOGUE
    ]
    assert len(read_audio(tmp_path / "dialogue.wav")[0]) > 24_000


async def test_context_on_and_off_differ_and_are_drawn(tiny_checkpoint: Path, tmp_path: Path) -> None:
    await example("pipecat_context").main(str(tiny_checkpoint), str(tmp_path))
    with_context, without = (read_audio(tmp_path / f"{name}_context.wav")[0] for name in ("with", "without"))
    length = min(len(with_context), len(without))
    assert length > 24_000 and not np.array_equal(with_context[:length], without[:length])
    assert (tmp_path / "context.png").read_bytes().startswith(b"\x89PNG")


async def test_a_second_voice_takes_over_and_says_what_failed(
    tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tiny_checkpoint)
    await example("pipecat_fallback").main(model, model, str(tmp_path / "fallback.wav"))
    *told, last = capsys.readouterr().out.splitlines()
    assert last.startswith(f"{tmp_path / 'fallback.wav'}: ")
    assert told == [
        "second speaks from now on",
        "first said ['This comes from the first one.']",
        "second said ['And this is said in any case.', 'That was all.']",
    ]
    assert len(read_audio(tmp_path / "fallback.wav")[0]) > 24_000


async def test_a_second_voice_takes_over_when_the_server_is_out_of_reach() -> None:
    gone = Script(refusal=EngineUnreachableError("no server"))
    engines = ScriptedEngine(lambda text: gone), ScriptedEngine(lambda text: Script(frames=2))
    services = [CSMTTSService(engine=engine) for engine in engines]
    switcher = ServiceSwitcher(services, strategy_type=example("pipecat_fallback").Failover)
    async with running(switcher) as session:
        await session.send(TTSSpeakFrame("Nobody says this."))
        await session.until(lambda: switcher.strategy.active_service is services[1])
        await session.send(TTSSpeakFrame("This is said."))
    assert [[segment.text for segment in engine.segments] for engine in engines] == [[], ["This is said."]]
    assert session.errors == []


async def test_text_goes_in_and_sound_comes_out_over_a_websocket(tiny_checkpoint: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = asyncio.create_task(example("pipecat_websocket").main(str(tiny_checkpoint), str(port)))
    try:
        client = await connected(port)
        for _ in range(2):  # what was silenced comes no more, and the next text is spoken
            await client.send("A sentence that goes on for quite a while, for it has many words in it.")
            sound = b""
            while len(sound) < 24_000:
                sound += await asyncio.wait_for(client.recv(), 30)
            assert np.abs(np.frombuffer(sound, np.int16)).max() > 0
            await client.send("")
            await silence(client)
        await client.close()
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


async def connected(port: int) -> ClientConnection:
    """Connect as soon as the server listens."""
    for _ in range(3_000):
        try:
            return await connect(f"ws://127.0.0.1:{port}")
        except OSError:
            await asyncio.sleep(0.01)
    raise TimeoutError("the server does not listen")


async def silence(client: ClientConnection) -> None:
    """Wait until no sound comes for a second."""
    with pytest.raises(TimeoutError):
        while True:
            await asyncio.wait_for(client.recv(), 1.0)
