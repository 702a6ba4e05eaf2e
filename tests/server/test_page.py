"""The page at `/`, in a browser: it asks for a key, speaks, shows words and figures, and stops."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from csm_plugin.audio import write_wav
from csm_plugin.server.http import web_page
from tests.server.running import RunningServer, running, wait_until

CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_MS = 30_000
SCREENSHOTS = Path("build/screenshots")
KEY = "schlüssel-1"
TEXT = "Hello there. It is made while you listen."
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
expect.set_options(timeout=PATIENCE_MS)

# Whatever is played is also written down: when, and its samples.
LISTEN = """
window.played = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (at) {
  const samples = Array.from(this.buffer.getChannelData(0), (sample) => Math.round(sample * 32768));
  window.played.push({ at, samples, rate: this.buffer.sampleRate });
  start.call(this, at);
};
"""

# Time in the page's sound goes on with its pictures, and stands still once so many words were said as the test wants.
OWN_TIME = """
window.heard_s = 0;
window.stop_at = Infinity;
Object.defineProperty(BaseAudioContext.prototype, "currentTime", { get: () => window.heard_s });
Object.defineProperty(AudioContext.prototype, "outputLatency", { get: () => 0 });
(function go() {
  if (document.querySelectorAll("#words .said").length < window.stop_at) window.heard_s += 0.05;
  requestAnimationFrame(go);
})();
"""


@pytest.fixture(scope="module")
def locked(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a key and a voice."""
    voices = tmp_path_factory.mktemp("voices")
    write_wav(voices / "ann.wav", np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32), 24_000)
    (voices / "ann.txt").write_text("This is how I sound.")
    with running(tiny_checkpoint, api_keys=KEY, voices=voices) as server:
        yield server


@contextmanager
def browsing(url: str, *more_flags: str, **options: Any) -> Iterator[tuple[Page, list[bytes]]]:
    """A browser on the page, and the sound that its sockets get."""
    assert CHROMIUM.exists(), f"no {CHROMIUM}: this test drives the page in it; install Debian's package chromium"
    flags = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--autoplay-policy=no-user-gesture-required",
             *more_flags]  # fmt: skip
    got: list[bytes] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=flags)
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(LISTEN)
        page.add_init_script(OWN_TIME)
        page.on("websocket", lambda socket: socket.on("framereceived", lambda data: keep_sound(data, got)))
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(url)
        yield page, got
        assert wrong == []
        assert [address for address in asked if not address.startswith((url, f"blob:{url}", "data:"))] == []
        assert not any("?" in address for address in asked)
        browser.close()


def keep_sound(data: bytes | str, got: list[bytes]) -> None:
    if isinstance(data, bytes) and data[0] == 1:
        got.append(data[16:])


def played(page: Page) -> list[dict[str, Any]]:
    return page.evaluate("window.played")  # type: ignore[no-any-return]


def picture(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_a_key_is_asked_for_and_a_text_is_heard_word_by_word(locked: RunningServer) -> None:
    with browsing(f"{locked.url}/", **DESKTOP) as (page, got):
        page.get_by_label("asks for a key").fill("wrong")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("alert")).to_have_text("The server does not know that key.")
        picture(page, "server-page-key")
        page.get_by_label("asks for a key").fill(KEY)
        page.get_by_role("button", name="Go on").click()
        state = page.locator("#state")
        expect(state).to_have_text("Ready")
        expect(page.locator("#about")).to_have_text("float32 on cpu")
        expect(page.get_by_label("Model", exact=True)).to_have_text(locked.engine.model_name)

        page.get_by_label("Voice", exact=True).select_option("ann")
        expect(state).to_have_text("Ready")
        page.get_by_label("What is to be said").fill(TEXT)
        page.evaluate("window.stop_at = 3")
        page.get_by_role("button", name="Speak").click()
        expect(page.locator("#words .said").nth(2)).to_be_visible()
        expect(state).to_have_text("Speaking")
        expect(page.locator("#words .said")).not_to_have_count(len(TEXT.split()))
        picture(page, "server-page")
        page.evaluate("window.stop_at = Infinity")
        expect(state).to_have_text("Ready")
        expect(page.locator("#words")).to_have_text(TEXT)
        expect(page.locator("#words span:not(.said)")).to_have_count(0)
        picture(page, "server-page-heard")

        sounds = played(page)
        heard = np.concatenate([sound["samples"] for sound in sounds])
        assert np.array_equal(heard, np.frombuffer(b"".join(got), "<i2"))
        assert {sound["rate"] for sound in sounds} == {24_000}
        ends = [sound["at"] + len(sound["samples"]) / 24_000 for sound in sounds]
        assert all(at >= end - 1e-4 for at, end in zip([sound["at"] for sound in sounds][1:], ends, strict=False))
        seconds = sum(len(sound["samples"]) for sound in sounds) / 24_000
        expect(page.locator("#length")).to_contain_text(f"{seconds:.1f} s")
        assert re.fullmatch(r"\d+ ms", page.locator("#first").inner_text())
        assert 0 < float(page.locator("#rtf").inner_text()) < 100
        used, positions = map(int, page.locator("#context").inner_text().replace(",", "").split(" of "))
        assert seconds / 0.08 < used < positions == locked.engine._model.positions


def test_a_text_can_be_stopped_and_what_was_heard_stays(locked: RunningServer, server: RunningServer) -> None:
    with browsing(f"{server.url}/", **PHONE) as (page, _):
        state, speak = page.locator("#state"), page.locator("#speak")
        expect(state).to_have_text("Ready")
        page.get_by_label("What is to be said").fill("A long text that goes on for quite a while. " * 4)
        page.evaluate("window.stop_at = 2")
        speak.tap()
        expect(page.locator("#words .said").nth(1)).to_be_visible()
        expect(speak).to_have_text("Stop")
        picture(page, "server-page-phone")
        speak.tap()
        expect(state).to_have_text("Stopped")
        wait_until(lambda: server.engine.stats().live_rows == 0)
        assert page.locator("#words .unheard").count() > page.locator("#words .said").count() > 0
        picture(page, "server-page-phone-stopped")
        assert page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")

        page.get_by_label("What is to be said").fill("And on.")
        page.evaluate("window.stop_at = 0")
        speak.tap()
        expect(state).to_have_text("Speaking")
        page.evaluate("window.stop_at = Infinity")
        expect(state).to_have_text("Ready")
        expect(page.locator("#words")).to_have_text("And on.")
        before = page.locator("#context").inner_text()
        page.get_by_role("button", name="New conversation").tap()
        expect(page.locator("#context")).to_have_text("–")
        assert before != "–"


def test_the_page_tells_what_went_wrong_and_begins_again(server: RunningServer) -> None:
    with browsing(f"{server.url}/", **DESKTOP) as (page, _):
        state, speak = page.locator("#state"), page.locator("#speak")
        expect(state).to_have_text("Ready")
        page.get_by_label("What is to be said").fill("…!")
        speak.click()
        expect(state).to_contain_text("nothing in that text")

        loop = server.server._loop
        assert loop is not None
        for listener in tuple(server.service.listeners):
            asyncio.run_coroutine_threadsafe(listener.go_away(), loop).result(10)
        expect(state).to_contain_text("The conversation is over: the server ends")
        page.get_by_label("What is to be said").fill("Again.")
        speak.click()
        expect(page.locator("#words")).to_have_text("Again.")
        expect(state).to_have_text("Ready")
        assert sum(len(sound["samples"]) for sound in played(page)) > 24_000


def test_the_page_and_its_parts_need_no_key_and_name_nobody_else(locked: RunningServer) -> None:
    index = httpx.get(f"{locked.url}/")
    assert index.headers["content-type"].startswith("text/html")
    pages = "".join(file.read_text() for file in web_page.FOLDER.glob("*.html"))
    named = set(re.findall(r'(?:href|src)="(page/[^"]+)"', pages))
    for file in web_page.FOLDER.glob("*.js"):
        named |= {f"page/{name}" for name in re.findall(r'from "\./([^"]+)"', file.read_text())}
    assert {f"/{name}" for name in named} | {"/", "/docs"} == web_page.PATHS
    assert {file.name for file in web_page.FOLDER.iterdir()} == {file.name for file in web_page.FILES.values()}
    for path in web_page.PATHS:
        answer = httpx.get(locked.url + path)
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "://" not in answer.text
    assert httpx.get(f"{locked.url}/page/").status_code == 401
    assert httpx.post(f"{locked.url}/").status_code == 405
