"""The page as a caller meets it: speak, listen, type, interrupt, hang up."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from loguru import logger
from playwright.sync_api import Page, expect

from agents.brain import ScriptedBrain
from agents.webrtc.app import create_app
from tests.agents.browser import (
    HEARD_RATE_HZ,
    PATIENCE_MS,
    caller,
    forget_states,
    heard,
    pitch_hz,
    record_voice,
    wait_for_reply,
)
from tests.scripted_engine import Script, ScriptedEngine, Segment, pitch_of

SCREENSHOTS = Path("build/screenshots")
FRAMES, COUNTING = 8, 400
AUDIBLE = 3000
WINDOW = HEARD_RATE_HZ // 4
expect.set_options(timeout=PATIENCE_MS)


class Agent:
    """The agent in a thread, with tones for a voice."""

    def __init__(self) -> None:
        # Eight frames a sentence keep the greeting short, and a tone's pitch tells which sentence was heard.
        # Counting goes on for long, so that there is time to interrupt it.
        self.engine = ScriptedEngine(lambda text: Script(frames=COUNTING if "two" in text else FRAMES))
        app = create_app(self.engine, brain=lambda: ScriptedBrain(token_s=0.001))
        self.server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        self._thread = threading.Thread(target=self.server.run)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}/"

    def start(self) -> None:
        self._thread.start()
        wait(lambda: self.server.started)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(PATIENCE_MS / 1000)
        assert not self._thread.is_alive()


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    agent.start()
    yield agent
    agent.stop()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    record_voice(tmp_path / "voice.wav", "I would like to hear a story about the sea.", before_s=8.0)
    with caller(tmp_path / "voice.wav") as page:
        yield page


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What is logged."""
    told: list[str] = []
    sink = logger.add(lambda message: told.append(message.record["message"]), level="INFO")
    yield told
    logger.remove(sink)


def test_a_caller_speaks_types_interrupts_and_hangs_up(agent: Agent, page: Page, log: list[str]) -> None:
    page.goto(agent.url)
    expect(page.locator("#about")).to_contain_text("scripted")
    page.get_by_role("button", name="Connect").click()
    agent_says, user_said, state = page.locator("li.agent"), page.locator("li.user"), page.locator("#state")

    expect(agent_says.last).to_contain_text("Hello there")
    expect(user_said.last).to_contain_text(re.compile("story", re.IGNORECASE))
    expect(agent_says.last).to_contain_text("knew that the sea was her friend")
    wait_for_reply(page, "Thinking")
    expect(state).to_have_text("Listening")
    wait(lambda: was_heard(page, agent.engine.segments[-1]))
    # One wait was shown as 0.59 s, from the decision that the speech had ended, and as 3.08 s, from where it ended.
    figures = page.locator("#figures")
    expect(figures).to_have_text(re.compile(r"answered after \d+\.\d\d s"))
    expect(page.locator("#timeline .facts").nth(1)).to_have_text(f"Turn 2 · {figures.inner_text()}")
    assert [line for line in log if "answered" in line] == [f"session: turn 2 {figures.inner_text()}"]
    assert "From the end of your speech" in (figures.get_attribute("title") or "")

    page.get_by_role("textbox").fill("How are you?")
    forget_states(page)
    page.get_by_role("button", name="Send").click()
    wait_for_reply(page)
    expect(user_said.last).to_contain_text("How are you?")
    expect(agent_says.last).to_contain_text("I am very well")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "webrtc-page.png")
    expect(state).to_have_text("Listening")
    wait(lambda: was_heard(page, agent.engine.segments[-1]))

    page.get_by_role("textbox").fill("Please count for me.")
    forget_states(page)
    page.keyboard.press("Enter")
    wait_for_reply(page)
    page.get_by_role("textbox").fill("Thank you, that is enough.")
    page.keyboard.press("Enter")
    expect(agent_says.last).to_contain_text("You are very welcome")
    assert page.locator("span.unheard").count() > 0

    rows = page.locator("#timeline li")
    expect(rows).to_have_count(5)
    expect(rows.nth(3)).to_contain_text("interrupted")
    expect(rows.nth(4).locator(".word").last).to_have_text("hear?")
    page.screenshot(path=SCREENSHOTS / "webrtc-timeline.png")

    page.get_by_role("button", name="Hang up").click()
    expect(state).to_have_text("Not connected")
    wait(lambda: agent.engine.conversations[0].closed)
    assert len(agent.engine.conversations) == 1


def was_heard(page: Page, segment: Segment) -> bool:
    """Whether the page has heard a sentence's tone of late; a loaded machine may have dropped parts of it."""
    sound = heard(page, last_s=15.0)
    pieces = [sound[at : at + WINDOW] for at in range(0, len(sound) - WINDOW, WINDOW // 2)]
    loud = [piece for piece in pieces if np.abs(piece).max() > AUDIBLE]
    return any(abs(pitch_hz(piece) - pitch_of(segment)) < 10 for piece in loud)


def wait(condition: Callable[[], object]) -> None:
    """Poll a condition; fail if it does not come true in time."""
    deadline, pause = time.monotonic() + PATIENCE_MS / 1000, threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        pause.wait(0.05)
