"""The server's page for everybody: axe-core at every size, a keyboard alone, and a server that is gone."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.accessibility import check_for_everybody, findings, tab_through, tab_to
from tests.server.running import RunningServer, running, wait_until
from tests.server.test_page import DESKTOP, KEY, SCREENSHOTS, browsing, locked, played

__all__ = ["locked"]

ORDER = ["What is to be said", "Voice", "Your voices", "New conversation", "Speak", "Words of the speech"]
DIALOG = [
    "Close", "Try ann", "Delete ann", "Name", "What is said, word for word: read this aloud, or write what your "
    "recording says", "Record", "a file", "Add the voice",
]  # fmt: skip


def enter(page: Page) -> None:
    page.get_by_label("asks for a key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator("#state")).to_have_text("Ready")


def test_axe_finds_nothing_at_any_size_in_either_scheme(locked: RunningServer) -> None:
    with browsing(f"{locked.url}/", **DESKTOP) as (page, _):
        expect(page.locator("#door")).to_be_visible()
        check_for_everybody(page, SCREENSHOTS / "server-key")
        enter(page)
        check_for_everybody(page, SCREENSHOTS / "server-empty")

        page.get_by_role("button", name="Speak").click()
        expect(page.locator("#state")).to_have_text("Ready")
        check_for_everybody(page, SCREENSHOTS / "server-spoken")

        page.get_by_role("button", name="Your voices").click()
        expect(page.locator("#shelf li")).to_have_count(1)
        page.get_by_label("Name", exact=True).fill("bob")
        page.get_by_role("button", name="Add the voice").click()
        expect(page.locator("#refused")).to_contain_text("no recording yet")
        check_for_everybody(page, SCREENSHOTS / "server-voices")

        page.evaluate("document.getElementById('refused').style.color = 'color-mix(in srgb, currentColor 20%, white)'")
        assert any("color-contrast" in told for told in findings(page)), "axe-core finds nothing whatever is wrong"


def test_a_keyboard_alone_does_everything(locked: RunningServer) -> None:
    with browsing(f"{locked.url}/", **DESKTOP) as (page, _):
        state, keys = page.locator("#state"), page.keyboard
        expect(page.get_by_label("asks for a key")).to_be_focused()
        keys.press("Escape")
        expect(state).to_have_text("This server asks for a key.")
        expect(page.get_by_role("button", name="Enter the key")).to_be_focused()
        keys.press("Space")
        keys.type(KEY)
        keys.press("Enter")
        expect(state).to_have_text("Ready")
        assert tab_through(page) == ORDER

        tab_to(page, "Speak")
        keys.press("Space")
        expect(page.get_by_role("button", name="Stop")).to_be_focused()
        wait_until(lambda: played(page))
        keys.press("Enter")
        expect(state).to_have_text("Stopped")
        expect(page.get_by_role("button", name="Speak")).to_be_focused()
        tab_to(page, "Save the sound")
        with page.expect_download():
            keys.press("Enter")

        tab_to(page, "Your voices")
        keys.press("Enter")
        expect(page.locator("#shelf li")).to_have_count(1)
        assert tab_through(page) == DIALOG
        tab_to(page, "Try ann")
        keys.press("Escape")
        expect(page.locator("#voices")).to_be_hidden()
        expect(page.get_by_role("button", name="Your voices")).to_be_focused()
        keys.press("Space")
        tab_to(page, "Delete ann")
        keys.press("Enter")
        expect(page.get_by_role("button", name="Really delete ann")).to_be_focused()
        keys.press("Tab")
        expect(page.get_by_role("button", name="Delete ann", exact=True)).to_be_visible()
        tab_to(page, "Try ann")
        keys.press("Enter")
        expect(page.locator("#voices")).to_be_hidden()
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        expect(page.get_by_label("Voice", exact=True)).to_have_value("ann")


def test_a_server_that_is_gone_is_waited_for(tiny_checkpoint: Path) -> None:
    with running(tiny_checkpoint) as server, browsing(f"{server.url}/", **DESKTOP) as (page, _):
        state, speak = page.locator("#state"), page.get_by_role("button", name="Speak")
        expect(state).to_have_text("Ready")
        server.stop()
        expect(state).to_contain_text("The server does not answer: it has ended, or cannot be reached.")
        expect(speak).to_be_disabled()
        with running(tiny_checkpoint, port=server.port):
            expect(state).to_have_text("Ready")
            expect(speak).to_be_enabled()
