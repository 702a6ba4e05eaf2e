"""A whole worker process without a server, and the far end of its console."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from livekit.agents.voice.remote_session import RemoteSession, SessionTransport
from livekit.protocol.agent_pb import agent_session as wire

from csm_plugin.audio.pcm import resample

RATE_HZ = 48_000
FRAME_S = 0.02
HEADER = struct.Struct(">I")
START_S = 120.0
END_S = 15.0


class ConsoleBridge(SessionTransport):
    """Talks with an agent in its console mode: text or sound in, sound and history out. Use `ConsoleBridge.run`.

    The sound that comes is played in real time, so that the agent knows how much of it was heard.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, log: Path) -> None:
        self._reader = reader
        self._writer = writer
        self._segment: list[npt.NDArray[np.int16]] = []
        self._began_s = 0.0
        self._ending: asyncio.TimerHandle | None = None
        self.session = RemoteSession(self)
        """LiveKit's own client: `run`, `get_chat_history`, and the session's events."""
        self.log = log
        """What the worker printed."""
        self.played: list[npt.NDArray[np.int16]] = []
        """What was played of each segment that is over: int16 [samples] at 48 kHz."""

    @classmethod
    @asynccontextmanager
    async def run(
        cls, agent: Path, *, environment: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> AsyncIterator[Self]:
        """Start the worker of a file that defines an `AgentServer`, and wait until its session has begun.

        Args:
            agent: the file.
            environment: added to this process's.
            folder: where the worker runs and its log goes; else a temporary one.

        Raises:
            TimeoutError: it did not connect within two minutes; its log is in the message.
        """
        met: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Future()

        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if met.done():
                writer.close()
            else:
                met.set_result((reader, writer))

        listener = await asyncio.start_server(meet, "127.0.0.1", 0)
        address = "{}:{}".format(*listener.sockets[0].getsockname()[:2])
        with contextlib.ExitStack() as stack:
            where = folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            log = where / "worker.log"
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "livekit.agents", "console", str(agent), "--connect-addr", address),
                env=os.environ | dict(environment or {}),
                cwd=where,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stack.enter_context(log.open("wb")),
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                reader, writer = await _first(met, worker, log)
                bridge = cls(reader, writer, log)
                try:
                    await bridge.session.start()
                    await bridge.session.wait_for_ready(START_S)
                    yield bridge
                finally:
                    await bridge.session.aclose()
            finally:
                await _end(worker)
                listener.close()
                await listener.wait_closed()

    @property
    def position_s(self) -> float:
        """How much of the current segment was played."""
        return min(time.monotonic() - self._began_s, self._handed_s) if self._segment else 0.0

    @property
    def current(self) -> npt.NDArray[np.int16]:
        """What came of the current segment so far: int16 [samples] at 48 kHz."""
        return np.concatenate([np.zeros(0, np.int16), *self._segment])

    async def said(self) -> list[tuple[str, bool]]:
        """What the session's history has of the agent: each reply, and whether it was interrupted."""
        history = await self.session.get_chat_history()
        messages = [item.message for item in history.items if item.HasField("message")]
        return [
            ("".join(part.text for part in message.content), message.interrupted)
            for message in messages
            if message.role == wire.ASSISTANT
        ]

    async def speak(self, pcm: npt.NDArray[np.float32], sample_rate: int) -> None:
        """Say something to the agent, in real time.

        Args:
            pcm: float32 [samples] in [-1, 1].
            sample_rate: in Hz.
        """
        samples = (resample(pcm, sample_rate, RATE_HZ) * 32_767).astype(np.int16)
        size = round(FRAME_S * RATE_HZ)
        began_s = time.monotonic()
        for number, start in enumerate(range(0, len(samples), size)):
            data = samples[start : start + size]
            frame = wire.AgentSessionMessage.ConsoleIO.AudioFrame(
                data=data.tobytes(), sample_rate=RATE_HZ, num_channels=1, samples_per_channel=len(data)
            )
            await self.send_message(wire.AgentSessionMessage(audio_input=frame))
            await asyncio.sleep(max(0.0, began_s + (number + 1) * FRAME_S - time.monotonic()))

    async def start(self) -> None:
        """For LiveKit's client."""
        return

    async def send_message(self, msg: wire.AgentSessionMessage) -> None:
        """Send a message to the worker."""
        data = msg.SerializeToString()
        self._writer.write(HEADER.pack(len(data)) + data)
        await self._writer.drain()

    async def close(self) -> None:
        """Leave."""
        if self._ending is not None:
            self._ending.cancel()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def __aiter__(self) -> AsyncIterator[wire.AgentSessionMessage]:
        return self

    async def __anext__(self) -> wire.AgentSessionMessage:
        """Return the next message that is about the session; what is about sound is dealt with."""
        while True:
            try:
                size = HEADER.unpack(await self._reader.readexactly(HEADER.size))[0]
                data = await self._reader.readexactly(size)
            except (asyncio.IncompleteReadError, OSError):
                raise StopAsyncIteration from None
            message = wire.AgentSessionMessage.FromString(data)
            if message.HasField("audio_output"):
                self._take(np.frombuffer(message.audio_output.data, np.int16))
            elif message.HasField("audio_playback_flush"):
                self._flush()
            elif message.HasField("audio_playback_clear"):
                self._over(self.position_s)
            else:
                return message

    @property
    def _handed_s(self) -> float:
        return sum(map(len, self._segment)) / RATE_HZ

    def _take(self, samples: npt.NDArray[np.int16]) -> None:
        if not self._segment:
            self._began_s = time.monotonic()
        self._segment.append(samples)

    def _flush(self) -> None:
        if self._segment:
            left_s = self._handed_s - self.position_s
            self._ending = asyncio.get_running_loop().call_later(left_s, self._finish)

    def _finish(self) -> None:
        self._over(self._handed_s)
        finished = wire.AgentSessionMessage.ConsoleIO.AudioPlaybackFinished()
        data = wire.AgentSessionMessage(audio_playback_finished=finished).SerializeToString()
        self._writer.write(HEADER.pack(len(data)) + data)

    def _over(self, seconds: float) -> None:
        if self._ending is not None:
            self._ending.cancel()
        if self._segment:
            self.played.append(np.concatenate(self._segment)[: round(seconds * RATE_HZ)])
            self._segment = []


async def _first(
    met: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
    worker: asyncio.subprocess.Process,
    log: Path,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Wait until the worker has connected."""
    ended = asyncio.create_task(worker.wait())
    waited: set[asyncio.Future[Any]] = {met, ended}
    try:
        await asyncio.wait(waited, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
    if not met.done():
        said = await asyncio.to_thread(log.read_text, errors="replace")
        raise TimeoutError(f"the worker did not connect; it said: {said[-4000:]}")
    return met.result()


async def _end(worker: asyncio.subprocess.Process) -> None:
    """End the worker as Ctrl-C does, and by force if that takes too long."""
    if worker.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            worker.terminate()
        try:
            async with asyncio.timeout(END_S):
                await worker.wait()
        except TimeoutError:
            worker.kill()
            await worker.wait()
