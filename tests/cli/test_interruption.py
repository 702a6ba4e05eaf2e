"""Ctrl-C at any moment of any command is one line and status 130, and leaves nothing half done."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from csm_plugin.model.random_checkpoint import write_random_checkpoint
from tests.cli.processes import run

CLI = "csm_plugin.cli"
SAY = ("say", "Hello there.", "-o", "{folder}/out.wav", "--model", "{model}")
EVAL = ("eval", "-o", "{folder}/evaluation", "--sentences", "1", "--model", "{model}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_random_checkpoint(tmp_path_factory.mktemp("checkpoint")))


@pytest.mark.parametrize(
    ("arguments", "moment"),
    [
        (("--help",), "csm_plugin.cli.command"),
        (("--help",), "numpy"),
        (("--help",), "rich.console"),
        (SAY, "csm_plugin.cli.outputs"),
        (SAY, "csm_plugin.model.checkpoint"),
        (SAY, "torch"),
        (SAY, "torch.nn"),
        (SAY, "csm_plugin.model.csm"),
        (("serve", "--port", "0"), "pydantic_settings"),
        (("serve", "--port", "0"), "fastapi"),
        (("serve", "--port", "0"), "csm_plugin.server.serving"),
        (("doctor", "--model", "{model}"), "torch"),
        (("doctor", "--model", "{model}"), "csm_plugin.engine.engine"),
        (("models", "list"), "huggingface_hub"),
        (("models", "check", "{model}"), "torch"),
        (("voices", "list", "--model", "{model}"), "csm_plugin.conversation"),
        (EVAL, "csm_plugin.evaluation.terminal"),
        (EVAL, "matplotlib"),
        (EVAL, "csm_plugin.model.csm"),
    ],
    ids=str,
)
def test_ctrl_c_is_one_line_at_any_moment(model: str, tmp_path: Path, arguments: tuple[str, ...], moment: str) -> None:
    """Within the first half second it was a traceback."""
    given = [argument.format(model=model, folder=tmp_path) for argument in arguments]
    ended = run(CLI, *given, event=moment)
    assert ended.returncode == 130, ended.stderr
    said = [line for line in ended.stderr.splitlines() if not line.startswith("loading ")]
    assert said in (["csm: interrupted"], ["stopped: no speech yet"])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_where_ctrl_c_is_ignored_it_stays_so() -> None:
    ended = run(CLI, "--version", event="rich.console", before="signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_second_ctrl_c_ends_what_takes_too_long_to_tidy() -> None:
    ended = run(
        "tests.cli.slow_tidying", event="csm_plugin.failures", before="import threading; threading.Timer.start = print"
    )
    assert (ended.returncode, ended.stderr) == (130, "slow: interrupted\n")
    assert "tidying" in ended.stdout and "tidied" not in ended.stdout


def test_what_takes_too_long_to_tidy_is_ended() -> None:
    ended = run("tests.cli.slow_tidying", event="csm_plugin.failures", SECOND="no")
    assert (ended.returncode, ended.stderr) == (130, "slow: interrupted\n")


@pytest.mark.parametrize(
    ("moment", "sent", "status"),
    [
        ("listening on", signal.SIGINT, 130),
        ("model loaded", signal.SIGINT, 130),
        ("model loaded", signal.SIGTERM, 0),
    ],
)
def test_a_server_that_nobody_uses_ends_without_a_wait(
    model: str, moment: str, sent: signal.Signals, status: int
) -> None:
    command = [sys.executable, "-m", CLI, "serve", "--port", "0", "--model", model, "--set", "drain_s=1000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            assert next(line for line in server.stderr if moment in line)
            server.send_signal(sent)
            rest = server.stderr.read()
            assert "Traceback" not in rest
            assert ("interrupted" in rest) <= (sent == signal.SIGINT)
            assert server.wait(60) == status, rest
        finally:
            server.kill()
