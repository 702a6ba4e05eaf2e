"""What a command imports: what can be checked without torch is checked before it, and nothing else is loaded."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import loaded, run

CLI = "csm_plugin.cli"
HEAVY = ("torch", "transformers", "torch._dynamo", "sympy", "matplotlib", "pipecat", "livekit.agents", "openai")
SERVER = ("fastapi", "uvicorn", "av")


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("say", "Hi.", "-o", "{folder}/out.wav", "--voice", "nobody"),
            "there is no voice 'nobody'; known voices: alan",
        ),
        (("say", "Hi.", "-o", "{folder}/out.wav", "--model", "csm-tinny"), "there is no model 'csm-tinny'"),
        (("say", "Hi.", "-o", "{folder}/out.wav", "--device", "gpu"), "device is 'gpu'"),
        (("say", "Hi.", "-o", "{folder}/out.wav", "--speaker", "100"), "speaker is 100"),
        (("say", "Hi.", "-o", "{folder}/out.wav", "--temperature", "9"), "temperature is 9.0"),
        (("say", "...", "-o", "{folder}/out.wav"), "can be spoken"),
        (("say", "Hi.", "-o", "{folder}"), "is a folder"),
        (("say", "Hi.", "-o", "{folder}/none/out.wav"), "No such file or directory"),
        (("serve", "--port", "{taken}"), "cannot listen on 127.0.0.1:"),
        (("serve", "--port", "0", "--model", "nowhere"), "there is no model 'nowhere'"),
        (("serve", "--port", "0", "--device", "gpu"), "device is 'gpu'"),
        (("serve", "--set", "nonsense=1"), "there is no such setting"),
        (("serve", "--port", "99999"), "65535"),
        (("eval", "--parts", "word"), "there is no part word"),
        (("eval", "--out", f"{__file__}/x"), "cannot be written to"),
        (("eval", "--out", "{folder}", "--voices", "nobody"), "there is no voice 'nobody'"),
        (("models", "check", "nowhere"), "there is no model 'nowhere'"),
        (("models", "remove", "nowhere/none", "-y"), "is not in the hub's cache"),
        (("voices", "play", "nobody"), "nobody"),
        (("voices", "add", "nobody"), "comes with no recording"),
    ],
    ids=str,
)
def test_a_mistake_is_said_in_one_line_before_torch_is_imported(
    tmp_path: Path, taken: str, arguments: tuple[str, ...], said: str
) -> None:
    given = [argument.format(folder=tmp_path, taken=taken) for argument in arguments]
    ended = run(CLI, *given, told=HEAVY, CSM_VOICES=str(tmp_path / "voices"))
    assert ended.returncode == 1
    assert ended.stderr.startswith("csm: ") and ended.stderr.count("\n") == 1, ended.stderr
    assert said in ended.stderr
    assert not loaded(ended)
    assert ".part" not in ended.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), ("say", "--help"), ("serve", "--help"), ("voices", "list"), ("models", "list")],
    ids=str,
)
def test_a_command_that_needs_no_model_imports_nothing_heavy(arguments: tuple[str, ...]) -> None:
    ended = run(CLI, *arguments, told=(*HEAVY, *SERVER))
    assert ended.returncode == 0, ended.stderr
    assert not loaded(ended)


def test_the_help_asks_nothing_of_the_hub() -> None:
    assert not loaded(run(CLI, "--help", told=("huggingface_hub", "csm_plugin.conversation", "csm_plugin.model")))


@pytest.mark.parametrize("arguments", [("say", "Hi.", "-o", "{folder}/out.wav"), ("doctor", "--json")], ids=str)
def test_speaking_imports_torch_and_nothing_else_that_is_heavy(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ended = run(CLI, *[argument.format(folder=tmp_path) for argument in arguments], told=(*HEAVY, *SERVER))
    assert ended.returncode == 0, ended.stderr
    assert loaded(ended) == {"torch"}


def test_importing_the_package_imports_two_files_of_it() -> None:
    code = "import csm_plugin, sys; print(*sorted(name for name in sys.modules if name.startswith('csm_plugin')))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.split() == ["csm_plugin", "csm_plugin.errors"]
