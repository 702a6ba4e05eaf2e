"""A telephone agent that is really there: the application in its server, on a socket, with tones for a voice."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from pipecat.frames.frames import (
    Frame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
)
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from agents.telephony.app import create_app
from agents.telephony.calls import Calls
from agents.telephony.keypad import Keypad
from agents.telephony.providers import Plivo, Provider, Telnyx, Twilio
from agents.telephony.server import TelephoneServer
from tests.agents.other_phones import TELNYX_KEY
from tests.agents.phone import AUTH_TOKEN, PATIENCE_S, PUBLIC_URL
from tests.scripted_engine import ScriptedEngine

PROVIDERS: Mapping[str, Provider] = {
    "twilio": Twilio(AUTH_TOKEN, "http://127.0.0.1:9"),  # where nobody listens
    "telnyx": Telnyx(TELNYX_KEY.public_key()),
    "plivo": Plivo(AUTH_TOKEN),
}


class Reciter(FrameProcessor):
    """A brain that gives prepared replies, one for each time that it is asked, and keeps what it was asked.

    Args:
        replies: what it says; afterwards it is silent.
    """

    def __init__(self, replies: Sequence[str]) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._replies = iter(replies)

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        messages = frame.context.get_messages()
        self.asked.append(str(messages[-1]["content"]) if messages else "")
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(LLMTextFrame(next(self._replies, "")))
        await self.push_frame(LLMFullResponseEndFrame())


class Exchange:
    """The agent's server, in a thread."""

    def __init__(self, engine: ScriptedEngine, brain: Callable[[], FrameProcessor], **options: object) -> None:
        self.engine = engine
        self.calls = Calls(int(str(options.get("limit", 16))))
        providers = options.get("providers", PROVIDERS)
        self.app = create_app(
            options.get("speech", engine),  # type: ignore[arg-type]
            providers,  # type: ignore[arg-type]
            public_url=PUBLIC_URL,
            calls=self.calls,
            brain=brain,
            keypad=lambda: Keypad(pause_s=float(str(options.get("pause_s", 0.05)))),
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.server = TelephoneServer(self.app, self.calls, drain_s=float(str(options.get("drain_s", 15.0))))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self.server.serve([self._listener]))

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"


@contextmanager
def exchange(
    brain: Callable[[], FrameProcessor], *, engine: ScriptedEngine | None = None, **options: object
) -> Iterator[Exchange]:
    """Run an agent, and end it."""
    agent = Exchange(engine or ScriptedEngine(), brain, **options)
    agent.thread.start()
    pause = threading.Event()
    for _ in range(round(PATIENCE_S / 0.01)):
        if agent.server.started:
            break
        pause.wait(0.01)
    assert agent.server.started
    try:
        yield agent
    finally:
        agent.server.should_exit = True
        agent.thread.join(PATIENCE_S)
        assert not agent.thread.is_alive()
