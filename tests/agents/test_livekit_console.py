"""Ctrl-C ends the LiveKit agent's console, at its prompt too, which takes it for the end of a line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import runpy, sys, types
device = {"name": "none", "max_input_channels": 1, "max_output_channels": 1, "default_samplerate": 48000, "index": 0}
query = lambda device_=None, kind=None: device if device_ is not None or kind else [device]
sys.modules["sounddevice"] = types.SimpleNamespace(query_devices=query, default=types.SimpleNamespace(device=(0, 0)))
sys.argv = ["livekit_agent", "console", "--text"]
runpy.run_module("agents.livekit_agent", run_name="__main__", alter_sys=True)
"""


def test_ctrl_c_at_the_prompt_ends_it_in_a_line(tiny_checkpoint: Path) -> None:
    import pty

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "TTS_"))}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        pass_fds=[theirs],
        preexec_fn=lambda: os.login_tty(theirs),
        env=environment | {"CSM_MODEL": str(tiny_checkpoint)},
    ) as console:
        os.close(theirs)
        try:
            seen = _read(ours, b"What would")
            os.write(ours, b"\x03")
            seen += _read(ours, b"interrupted")
            assert console.wait(60) == 130
        finally:
            console.kill()
            os.close(ours)
    assert seen.index(b"Loading ") < seen.index(b"built-in rules") < seen.index(b"Starting console mode")
    assert b"Traceback" not in seen


def _read(terminal: int, until: bytes) -> bytes:
    seen = b""
    while until not in seen:
        seen += os.read(terminal, 4_096)
    return seen
