"""`python -m agents.webrtc` as it is typed: it says where the page is, speaks with a model, and ends on Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from csm_plugin.model.random_checkpoint import write_random_checkpoint
from tests.agents.browser import PATIENCE_MS, caller, heard, record_voice

COMMAND = [sys.executable, "-m", "agents.webrtc"]
AUDIBLE = 300
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_random_checkpoint(tmp_path / "model", size="tiny")
    return tmp_path / "model"


@pytest.fixture
def agent(model: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--model", str(model)],
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")},
    )
    yield process
    process.kill()
    process.wait()


def test_the_agent_greets_a_caller_aloud_and_ends_on_ctrl_c(agent: subprocess.Popen[str], tmp_path: Path) -> None:
    url = address_in(agent)
    record_voice(tmp_path / "voice.wav", "Hello.", before_s=60.0)
    with caller(tmp_path / "voice.wav") as page:
        page.goto(url)
        page.get_by_role("button", name="Connect").click()
        expect(page.locator("li.agent").last).to_contain_text("Hello there")
        page.wait_for_function("window.heard.flat().filter((sample) => Math.abs(sample) > 300).length > 8000")
        assert np.abs(heard(page)).max() > AUDIBLE
        agent.send_signal(signal.SIGINT)
        assert agent.wait(PATIENCE_MS / 1000) == 130


def address_in(agent: subprocess.Popen[str]) -> str:
    """The address that the agent prints."""
    assert agent.stdout is not None
    for line in agent.stdout:
        found = re.search(r"http://\S+?/", line)
        if found:
            return found.group()
    pytest.fail("the agent ended without printing an address")
