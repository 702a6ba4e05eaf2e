"""Calls of OpenAI's npm package, in node and in Chromium, and of a page of another origin.

The package is called where the folder that `OPENAI_NPM` names has it in its node_modules.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tests.server.clients.door import KEY, TEXT, Door, row

CHROMIUM = Path("/usr/bin/chromium")
STAINLESS = {
    "X-Stainless-Lang": "js", "X-Stainless-Package-Version": "7.59.0", "X-Stainless-OS": "Unknown",
    "X-Stainless-Arch": "unknown", "X-Stainless-Runtime": "browser:chrome", "X-Stainless-Retry-Count": "0",
    "X-Stainless-Runtime-Version": "147.0.0", "X-Stainless-Timeout": "600", "OpenAI-Project": "x",
}  # fmt: skip

ENTRY = "/node_modules/openai/index.mjs"
NODE = """
import OpenAI from "openai";
const client = new OpenAI({ baseURL: "%s", apiKey: "%s", dangerouslyAllowBrowser: true, maxRetries: 0 });
const answer = await client.audio.speech.create({ model: "tts-1", voice: "alloy", input: "%s", seed: 1 });
const told = { bytes: [...new Uint8Array(await answer.arrayBuffer())], models: (await client.models.list()).data };
"""


def npm_folder() -> Path:
    folder = Path(os.environ.get("OPENAI_NPM", "nowhere"))
    if not (folder / "node_modules" / "openai").is_dir():
        pytest.skip("OPENAI_NPM names no folder into which the package openai was installed from npm")
    return folder


@row("openai 7 (npm), node", "`audio.speech.create`, `models.list`", "the engine's sound; the loaded model")
def in_node(door: Door) -> None:
    script = NODE % (door.base, KEY, TEXT) + "console.log(JSON.stringify(told));"
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script], cwd=npm_folder(), capture_output=True, check=True, timeout=60
    )
    told = json.loads(done.stdout)
    door.holds_what_was_said(bytes(told["bytes"]))
    assert [model["id"] for model in told["models"]] == [door.server.engine.model_name]


@row("openai 7 (npm), Chromium", "the same from a page of another origin", "let through if `allowed_origins` has it")
def npm_in_a_browser(door: Door) -> None:
    modules = npm_folder() / "node_modules"
    script = NODE % (door.base, KEY, TEXT)
    script = script.replace('import OpenAI from "openai"', f'const OpenAI = (await import("{ENTRY}")).default')
    with page_of(door, modules.parent) as page:
        told = page.evaluate(f"async () => {{ {script} return told; }}")
    door.holds_what_was_said(bytes(told["bytes"]))


@row(
    "a page in Chromium",
    "`fetch` with the headers of openai's client, from another origin",
    "let through if `allowed_origins` has it",
)
def a_page(door: Door) -> None:
    order = {
        "method": "POST", "headers": {"Content-Type": "application/json", **door.headers, **STAINLESS},
        "body": json.dumps({"input": TEXT, "seed": 1, "voice": "af_heart"}),
    }  # fmt: skip
    fetch = """async ([url, order]) => {
      const answer = await fetch(url, order);
      return [answer.headers.get("Warning"), [...new Uint8Array(await answer.arrayBuffer())]];
    }"""
    with page_of(door, door.folder) as page:
        warning, data = page.evaluate(fetch, [f"{door.base}/audio/speech", order])
    assert "default one speaks" in warning
    door.holds_what_was_said(bytes(data))


@contextlib.contextmanager
def page_of(door: Door, folder: Path) -> Iterator[Any]:
    """A browser on a page of its own origin, which serves a folder."""
    assert CHROMIUM.exists(), f"no {CHROMIUM}: this test drives a page in it; install Debian's package chromium"
    handler = functools.partial(Quiet, directory=str(folder))
    address = ("127.0.0.1", int(door.page.rpartition(":")[2]))
    with http.server.ThreadingHTTPServer(address, handler) as serving, sync_playwright() as playwright:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=flags)
        page = browser.new_page()
        page.goto(door.page)
        yield page
        browser.close()
        serving.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and writes nothing down."""

    def log_message(self, *told: object) -> None:
        pass
