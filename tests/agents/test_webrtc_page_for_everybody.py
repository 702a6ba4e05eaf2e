"""The agent's page for everybody: axe-core at every size, a keyboard alone, and what to do if something is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.accessibility import check_for_everybody, tab_through, tab_to
from tests.agents.browser import caller, forget_states, record_voice, wait_for_reply
from tests.agents.test_webrtc_page import SCREENSHOTS, Agent, agent

__all__ = ["agent"]

PHONE, DESKTOP = {"width": 375, "height": 667}, {"width": 1280, "height": 800}
GONE = "The agent does not answer: its program has ended, or cannot be reached. Start it again"
DENIED = "The browser keeps the microphone from this page. Allow it in the page's settings"


@pytest.fixture(autouse=True)
def no_llm(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    """What a microphone hears where nobody speaks for a minute."""
    record_voice(tmp_path / "silence.wav", "Hello.", before_s=60.0)
    return tmp_path / "silence.wav"


@pytest.fixture
def page(silence: Path) -> Iterator[Page]:
    with caller(silence) as page:
        yield page


@pytest.fixture
def page_without_microphone(silence: Path) -> Iterator[Page]:
    with caller(silence, allowed=False) as page:
        yield page


def connect(page: Page, agent: Agent) -> None:
    page.goto(agent.url)
    page.get_by_role("button", name="Connect").click()
    greeted(page)


def greeted(page: Page) -> None:
    """Wait for the end of the greeting: what is asked within it would cut it in two."""
    expect(page.locator("li.agent").last).to_contain_text("talk about?")
    expect(page.locator("#state")).to_have_text("Listening")


def ask(page: Page, words: str) -> None:
    """Type something, and wait for the answer."""
    before = page.locator("li.agent").count()
    page.get_by_role("textbox").fill(words)
    forget_states(page)
    page.keyboard.press("Enter")
    wait_for_reply(page)
    expect(page.locator("li.agent")).to_have_count(before + 1)
    expect(page.locator("#state")).to_have_text("Listening")


def height(page: Page, selector: str) -> float:
    box = page.locator(selector).bounding_box()
    assert box is not None
    return box["height"]


def test_axe_finds_nothing_at_any_size_in_either_scheme(agent: Agent, page_without_microphone: Page) -> None:
    page = page_without_microphone
    page.goto(agent.url)
    expect(page.locator("#rules")).to_be_visible()
    check_for_everybody(page, SCREENSHOTS / "agent-empty")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("alert")).to_contain_text(DENIED)
    greeted(page)
    for words in ("How are you?", "Thank you.", "What can you do?", "Tell me a joke.", "Good night."):
        ask(page, words)
    check_for_everybody(page, SCREENSHOTS / "agent-turns")
    agent.stop()
    expect(page.get_by_role("alert")).to_contain_text(GONE)
    check_for_everybody(page, SCREENSHOTS / "agent-gone")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_talk_keeps_its_space_and_the_timeline_scrolls(agent: Agent, page: Page, size: dict[str, int]) -> None:
    """Each turn cost the talk a row, and on a telephone all of its height; the page was wider than the screen."""
    page.set_viewport_size({"width": size["width"], "height": size["height"]})
    connect(page, agent)
    assert page.evaluate("document.scrollingElement.scrollHeight <= innerHeight"), "not all of it is to be seen"
    before = height(page, ".talk")
    assert before >= 200
    for number in range(5):
        ask(page, f"Please say, a word of {'quite' * 30} a length, {'again ' * number}.")
    assert height(page, ".talk") == before
    expect(page.locator("#timeline li")).to_have_count(6)
    for listed in ("#timeline", "#turns"):
        scroll = page.locator(listed).evaluate("e => [e.scrollHeight, e.clientHeight, e.scrollTop]")
        assert scroll[0] > scroll[1] > 40
        assert scroll[2] + scroll[1] >= scroll[0] - 2, "its end is not to be seen"
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_the_page_says_that_rules_answer_and_what_brings_an_llm(
    agent: Agent, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.goto(agent.url)
    rules = page.locator("#rules")
    expect(rules).to_contain_text("Built-in rules answer, not an LLM")
    expect(rules).to_contain_text("Two variables bring one: OPENAI_BASE_URL and OPENAI_MODEL.")
    expect(rules).to_contain_text("OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=llama3.2 make agent")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:11434/v1")
    monkeypatch.setenv("OPENAI_MODEL", "llama3.2")
    page.reload()
    expect(page.locator("#about")).to_contain_text("the answers: llama3.2")
    expect(rules).to_be_hidden()


def test_a_keyboard_alone_talks(agent: Agent, page: Page) -> None:
    page.goto(agent.url)
    keys = page.keyboard
    expect(page.locator("#rules")).to_be_visible()
    assert tab_through(page) == ["Built-in rules answer, not an LLM", "Connect", "Turns in time"]
    tab_to(page, "Connect")
    keys.press("Enter")
    expect(page.get_by_role("button", name="Hang up")).to_be_focused()
    expect(page.locator("li.agent").last).to_contain_text("Hello there")
    expect(page.get_by_role("button", name="Hang up")).to_be_focused()
    assert tab_through(page) == [
        "Built-in rules answer, not an LLM", "Hang up", "Mute", "Turns of the conversation", "Message", "Send",
        "Turns in time",
    ]  # fmt: skip
    tab_to(page, "Mute")
    keys.press("Space")
    expect(page.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
    tab_to(page, "Message")
    keys.type("How are you?")
    keys.press("Enter")
    expect(page.locator("li.agent").last).to_contain_text("I am very well")
    expect(page.get_by_role("textbox")).to_be_focused()
    keys.press("Shift+Tab")
    tab_to(page, "Message")
    keys.type("And on")
    agent.stop()
    expect(page.get_by_role("alert")).to_contain_text(GONE)
    expect(page.get_by_role("button", name="Connect")).to_be_focused()
    expect(page.get_by_role("textbox")).to_have_value("And on")


def test_a_call_can_be_left_while_it_begins(agent: Agent, page: Page) -> None:
    page.add_init_script("navigator.mediaDevices.getUserMedia = () => new Promise(() => {})")
    page.goto(agent.url)
    page.get_by_role("button", name="Connect").click()
    expect(page.locator("#state")).to_have_text("Allow the microphone …")
    page.get_by_role("button", name="Hang up").click()
    expect(page.locator("#state")).to_have_text("Not connected")
    expect(page.get_by_role("button", name="Connect")).to_be_focused()


def test_a_microphone_that_cannot_be_had_is_explained(agent: Agent, page: Page) -> None:
    page.goto(agent.url)
    for name, words in (
        ("NotFoundError", "There is no microphone. Plug one in and connect again, or type."),
        ("NotReadableError", "Another program has the microphone. Close it and connect again, or type."),
    ):
        page.evaluate(
            "(name) => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); }; }",
            name,
        )
        page.get_by_role("button", name="Connect").click()
        expect(page.get_by_role("alert")).to_have_text(words)
        page.get_by_role("button", name="Hang up").click()
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("alert")).to_contain_text("only where its address begins with https")
    expect(page.locator("li.agent").last).to_contain_text("Hello there")


def test_an_agent_that_is_gone_before_the_call_is_explained(agent: Agent, page: Page) -> None:
    page.goto(agent.url)
    agent.stop()
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("alert")).to_contain_text(GONE)
    expect(page.get_by_role("button", name="Connect")).to_be_focused()
