"""What does one sentence enter of this package, on all threads, until its first sound is out, and until its end?

Counts, not seconds: files and functions, each once; a comprehension is no function. `python -m benchmarks.road [DOOR]`
lists them in the order in which a sentence comes to them, for the door "run_tts" (Pipecat's, by default) or "stream"
(the server's socket). `benchmarks.structure` prints the counts of both.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from csm_plugin.engine import Engine

PACKAGE = "csm_plugin/"
COMPREHENSIONS = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
SENTENCE = "Hello there, how are you?"
BEFORE = "A sentence before, so that nothing is done for the first time."


@dataclass(slots=True)
class Steps:
    """What was entered: (file, function) to the thread that came to it first."""

    entered: dict[tuple[str, str], str] = field(default_factory=dict)
    first: int | None = None
    """How many before the first sound."""
    following: bool = False

    def note(self, frame: FrameType, event: str, argument: object) -> None:
        """Take in a call, as `sys.setprofile` reports it."""
        code = frame.f_code
        if event == "call" and self.following and PACKAGE in code.co_filename and code.co_name not in COMPREHENSIONS:
            place = code.co_filename.rpartition(PACKAGE)[2], code.co_qualname
            self.entered.setdefault(place, threading.current_thread().name)

    def sound(self) -> None:
        """Take in that a piece of sound is out."""
        if self.first is None:
            self.first = len(self.entered)

    def counts(self) -> dict[str, int]:
        """Return how much it is; of the text's front end, which has a file for each kind of thing, by themselves."""
        kinds = [(file, name) for file, name in self.entered if file.startswith("text/")]
        return {
            "files": len({file for file, _ in self.entered}),
            "files of the front end": len({file for file, _ in kinds}),
            "functions": len(self.entered),
            "functions of the front end": len(kinds),
            "functions before the first frame": self.first or 0,
        }


async def follow(door: str) -> Steps:
    """Speak one sentence through a door, after another one, and follow it."""
    from csm_plugin.engine import Engine

    steps = Steps()
    threading.setprofile(steps.note)  # for the device thread, which begins with the engine
    with Engine.load("csm-tiny", max_conversations=1) as engine:
        with engine.conversation() as talk:
            async for _ in talk.speak(BEFORE):
                pass
        _settle(engine)
        sys.setprofile(steps.note)
        await DOORS[door](engine, steps)
        sys.setprofile(None)
    threading.setprofile(None)
    return steps


async def run_tts(engine: Engine, steps: Steps) -> None:
    """Speak as a Pipecat pipeline does."""
    from csm_plugin.pipecat import CSMTTSService

    service = CSMTTSService(engine=engine)
    steps.following = True
    async for frame in service.run_tts(SENTENCE, "context"):
        if hasattr(frame, "audio"):
            steps.sound()
    steps.following = False
    await service.cleanup()


async def stream(engine: Engine, steps: Steps) -> None:
    """Speak as a client of `/v1/stream` does, in a conversation that is open."""
    async with _socket(engine) as (say, hear):
        await say("open", conversation=1)
        while (await hear())["type"] != "opened":
            pass
        steps.following = True
        await say("speak", conversation=1, number=1, text=SENTENCE)
        while (heard := await hear())["type"] != "done":
            if heard["type"] == "sound":
                steps.sound()
        steps.following = False


DOORS: dict[str, Callable[[Engine, Steps], Any]] = {"run_tts": run_tts, "stream": stream}


def _settle(engine: Engine) -> None:
    """Wait until an engine has let go of all conversations: their going does not count."""
    while engine.stats().conversations:
        time.sleep(0.001)


@asynccontextmanager
async def _socket(engine: Engine) -> AsyncIterator[tuple[Callable[..., Any], Callable[[], Any]]]:
    """Open a socket of an app, without a network; give what sends a message, and what receives one."""
    from csm_plugin.server.app import create_app
    from csm_plugin.server.shared import supervisor
    from csm_plugin.server.shared.settings import ServerSettings

    supervisor.LOOK_S = 3600.0  # else its look at the engine could fall into the sentence
    app = create_app(ServerSettings(max_conversations=1), lambda: engine)
    up: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    down: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {
        "type": "websocket", "asgi": {"version": "3.0"}, "scheme": "ws", "path": "/v1/stream", "query_string": b"",
        "raw_path": b"/v1/stream", "root_path": "", "headers": [(b"host", b"127.0.0.1")], "subprotocols": ["csm.v1"],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {}, "extensions": {},
    }  # fmt: skip

    async def say(kind: str, **fields: object) -> None:
        await up.put({"type": "websocket.receive", "text": json.dumps({"type": kind, **fields})})

    async def hear() -> dict[str, Any]:
        while (message := await down.get())["type"] != "websocket.send":
            pass
        text = message.get("text")
        return {"type": "sound"} if text is None else json.loads(text)

    async with app.router.lifespan_context(app):
        await app.state.service.keeper.wait()
        _settle(engine)
        await up.put({"type": "websocket.connect"})
        socket = asyncio.create_task(app(scope, up.get, down.put))
        yield say, hear
        await up.put({"type": "websocket.disconnect", "code": 1000})
        await socket


def main() -> None:
    steps = asyncio.run(follow(sys.argv[1] if len(sys.argv) > 1 else "run_tts"))
    for count, (file, places) in enumerate(itertools.groupby(steps.entered.items(), key=lambda step: step[0][0])):
        names = [f"{name} ({thread})" for (_, name), thread in places]
        print(f"{count + 1:4} {file}: {', '.join(names)}")
    print(json.dumps(steps.counts(), indent=1))


if __name__ == "__main__":
    main()
