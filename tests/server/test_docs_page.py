"""The page at `/docs`, in a browser: it shows every route of the server, and tries each with its form."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from csm_plugin.model.checkpoint import BUNDLED
from tests.accessibility import check_for_everybody
from tests.server.running import RunningServer, running
from tests.server.test_page import DESKTOP, KEY, PHONE, browsing, picture


@pytest.fixture(scope="module")
def locked(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a key, and nobody's voices."""
    with running(tiny_checkpoint, api_keys=KEY, voices=tmp_path_factory.mktemp("voices")) as server:
        yield server


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(locked: RunningServer, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The page, once it has the key."""
    with browsing(f"{locked.url}/", **request.param) as (page, _):
        page.goto(f"{locked.url}/docs")
        page.get_by_label("asks for a key").fill("wrong")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_have_text("The server does not know that key.")
        page.get_by_label("asks for a key").fill(KEY)
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("details").first).to_be_visible()
        yield page


def route(page: Page, method: str, path: str) -> Any:
    """A route of the page, opened."""
    card = page.locator("details").filter(has=page.get_by_text(path, exact=True)).filter(
        has=page.get_by_text(method, exact=True)
    )  # fmt: skip
    card.locator("summary").click()
    return card


def test_it_tries_every_route_that_there_is(page: Page, locked: RunningServer) -> None:
    told = httpx.get(f"{locked.url}/openapi.json", headers={"Authorization": f"Bearer {KEY}".encode()}).json()
    there = [(method.upper(), path) for path, operations in told["paths"].items() for method in operations]
    cards = page.locator("details")
    shown = [(card.locator(".method").inner_text(), card.locator("code").inner_text()) for card in cards.all()]
    assert sorted(shown) == sorted(there)

    speech = route(page, "POST", "/v1/audio/speech")
    speech.get_by_label("response_format").select_option("wav")
    speech.get_by_label("seed").fill("1")
    speech.get_by_role("button", name="Send").click()
    expect(speech.get_by_role("status")).to_contain_text("200 OK, audio/wav")
    expect(speech.locator("audio")).to_have_js_property("error", None)
    page.wait_for_function("document.querySelector('audio').duration > 1")
    picture(page, f"docs-page-{page.viewport_size['width']}")  # type: ignore[index]
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")

    speech.get_by_label("input").fill("...")
    speech.get_by_role("button", name="Send").click()
    expect(speech.locator(".alarm")).to_contain_text("422")
    expect(speech.locator("pre")).to_contain_text("bad_text")

    name = f"ann-{page.viewport_size['width']}"  # type: ignore[index]
    recording = BUNDLED / "csm-tiny" / "voices" / "clara.flac"
    adding = route(page, "POST", "/v1/voices")
    adding.get_by_label("name").fill(name)
    adding.get_by_label("text").fill(recording.with_suffix(".txt").read_text(encoding="utf-8"))
    adding.get_by_label("file").set_input_files(recording)
    adding.get_by_role("button", name="Send").click()
    expect(adding.get_by_role("status")).to_contain_text("201")

    removing = route(page, "DELETE", "/v1/voices/{name}")
    removing.get_by_label("name").fill(name)
    removing.get_by_role("button", name="Send").click()
    expect(removing.get_by_role("status")).to_contain_text("204")


def test_its_fields_are_labelled_and_their_hints_are_read_out(page: Page) -> None:
    lost = page.evaluate(
        "[...document.querySelectorAll('main input, main select, main textarea')].filter((one) => !one.labels.length ||"
        " (one.ariaDescribedByElements ?? [one]).some((hint) => !hint.isConnected)).map((one) => one.id)"
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert lost == [] and len(ids) == len(set(ids))


def test_axe_finds_nothing_at_any_size_in_either_scheme(page: Page) -> None:
    check_for_everybody(page)
    speech = route(page, "POST", "/v1/audio/speech")
    speech.get_by_label("input").fill("...")
    speech.get_by_role("button", name="Send").click()
    expect(speech.locator(".alarm")).to_contain_text("422")
    check_for_everybody(page)
