"""`TTS_BACKEND=sesame python -m agents.webrtc` speaks to a caller, with nothing loaded before it is needed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.agents.browser import PATIENCE_MS, caller, heard, record_voice

COMMAND = [sys.executable, "-m", "agents.webrtc", "--port", "0"]


@pytest.mark.timeout(240)
def test_a_caller_hears_the_backend(tiny_checkpoint: Path, tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    environment |= {"TTS_BACKEND": "sesame", "SESAME_SPEAKER_ID": "0", "CSM_MODEL": str(tiny_checkpoint)}
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, text=True, env=environment) as agent:
        try:
            assert agent.stdout is not None
            assert agent.stdout.readline() == "Speaking with TTS_BACKEND sesame.\n"
            words = (word.rstrip(",") for line in agent.stdout for word in line.split())
            url = next(word for word in words if word.startswith("http://127.0.0.1:") and word.endswith("/"))
            record_voice(tmp_path / "voice.wav", "Hello.", before_s=60.0)
            with caller(tmp_path / "voice.wav") as page:
                page.goto(url)
                page.get_by_role("button", name="Connect").click()
                page.wait_for_function(
                    "window.heard.flat().filter((sample) => Math.abs(sample) > 300).length > 8000", timeout=PATIENCE_MS
                )
                assert np.abs(heard(page)).max() > 300
                expect(page.locator("li.agent").last).to_contain_text("Hello there", timeout=PATIENCE_MS)
                agent.send_signal(signal.SIGINT)
                assert agent.wait(PATIENCE_MS / 1000) == 130
        finally:
            agent.kill()
