"""The agents as commands: mistakes and missing packages are one line before anything heavy is imported, Ctrl-C too."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.brain import describe_brain
from csm_plugin.extras import install_command
from tests.cli.processes import loaded, run

WEBRTC, TELEPHONY, LIVEKIT = "agents.webrtc", "agents.telephony", "agents.livekit_agent"
HEAVY = ("torch", "pipecat", "fastapi", "openai", "livekit.agents", "transformers")
KEYS = {"TWILIO_AUTH_TOKEN": "token", "PUBLIC_URL": "https://voice.example.test"}
OPTIONS = {
    WEBRTC: ["--port", "0", "--model", "{model}"],
    TELEPHONY: ["--port", "0", "--model", "{model}"],
    LIVEKIT: ["console", "--text"],
}
SOUND = "import types; sys.modules['sounddevice'] = types.SimpleNamespace(query_devices=lambda kind: True)"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which nothing is set up but the telephone."""
    for name in [name for name in os.environ if re.match("OPENAI_|TWILIO_|TELNYX_|PLIVO_|PUBLIC_URL|TTS_|CSM_", name)]:
        monkeypatch.delenv(name)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("module", "options", "changes", "said"),
    [
        (WEBRTC, ["--port", "{taken}"], {}, r"cannot be listened on \(.+\): choose another port with --port, 0"),
        (WEBRTC, ["--port", "70000"], {}, r"cannot be listened on \(.+\): choose another port"),
        (WEBRTC, ["--port", "0", "--model", "/nowhere/at/all"], {}, "there is no model '/nowhere/at/all'"),
        (
            WEBRTC,
            ["--port", "0", "--voice", "nobody"],
            {},
            "there is no voice 'nobody'; known voices: alan",
        ),
        (WEBRTC, ["--port", "0", "--voice", "ann"], {"TTS_BACKEND": "sesame"}, "--voice is one of CSM's"),
        (WEBRTC, ["--port", "0"], {"TTS_BACKEND": "piper"}, "TTS_BACKEND is 'piper'"),
        (TELEPHONY, ["--port", "{taken}"], {}, r"cannot be listened on \(.+\): choose another port with --port, 0"),
        (TELEPHONY, [], {"PUBLIC_URL": ""}, "PUBLIC_URL is not set"),
        (TELEPHONY, [], {"PUBLIC_URL": "http://voice.example.test"}, "PUBLIC_URL is 'http://voice.example.test'"),
        (TELEPHONY, [], {"TWILIO_AUTH_TOKEN": ""}, "TWILIO_AUTH_TOKEN, TELNYX_PUBLIC_KEY or PLIVO_AUTH_TOKEN"),
        (TELEPHONY, [], {"TELNYX_PUBLIC_KEY": "nonsense"}, "TELNYX_PUBLIC_KEY cannot be used"),
        (TELEPHONY, ["--calls", "0"], {}, "--calls is 0"),
        (TELEPHONY, ["--port", "0", "--model", "/nowhere/at/all"], {}, "nowhere"),
        (TELEPHONY, ["--port", "0"], {"TTS_BACKEND": "piper"}, "TTS_BACKEND is 'piper'"),
        (LIVEKIT, ["console"], {"CSM_MODEL": "nowhere"}, "there is no model 'nowhere'"),
        (LIVEKIT, ["console"], {"CSM_VOICE": "nobody"}, "there is no voice 'nobody'"),
    ],
    ids=str,
)
def test_a_mistake_is_said_in_one_line_before_anything_heavy_is_imported(
    taken: str, module: str, options: list[str], changes: dict[str, str], said: str
) -> None:
    """A port that was taken cost twenty seconds, and a missing PUBLIC_URL fourteen."""
    given = [option.format(taken=taken) for option in options]
    ended = run(module, *given, told=HEAVY, before=SOUND, **changes)
    assert ended.returncode == 1
    assert re.fullmatch(rf"\w+(Error|NotFound): .*{said}.*\n", ended.stderr), ended.stderr
    assert not loaded(ended)
    assert KEYS["TWILIO_AUTH_TOKEN"] not in ended.stderr.replace("TWILIO_AUTH_TOKEN", "")


@pytest.mark.parametrize(
    ("module", "blocked"),
    [(WEBRTC, "aiortc"), (WEBRTC, "moonshine_voice"), (TELEPHONY, "pipecat"), (LIVEKIT, "livekit.agents")],
)
def test_a_missing_package_is_said_in_one_line(module: str, blocked: str) -> None:
    ended = run(module, *OPTIONS[module], blocked=[blocked])
    assert ended.returncode == 1
    assert ended.stderr == f"MissingExtraError: python -m {module} needs {blocked}: {install_command('agents')}\n"


def test_a_console_without_portaudio_is_told_how_to_install_it() -> None:
    """LiveKit's console imports it even where one types, and showed a traceback."""
    failing = "raise OSError('PortAudio library not found')"
    ended = run(LIVEKIT, "console", "--text", event="sounddevice", action=failing, told=HEAVY)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1 and "apt-get install libportaudio2" in ended.stderr
    assert not loaded(ended)


def test_the_agents_say_who_answers_and_what_brings_an_llm(monkeypatch: pytest.MonkeyPatch) -> None:
    told = describe_brain("telephone").splitlines()
    assert "built-in rules" in told[0] and {"OPENAI_BASE_URL", "OPENAI_MODEL"} <= set(re.findall("[A-Z_]+", told[0]))
    assert told[1].strip() == "OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=llama3.2 make telephone"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:secret@127.0.0.1:11434/v1")
    monkeypatch.setenv("OPENAI_MODEL", "llama3.2")
    assert "llama3.2" in describe_brain() and "secret" not in describe_brain()


@pytest.mark.parametrize(
    ("module", "moment"),
    [
        (WEBRTC, "loguru"),
        (WEBRTC, "csm_plugin.conversation"),
        (WEBRTC, "torch"),
        (WEBRTC, "fastapi"),
        (WEBRTC, "agents.webrtc.app"),
        (TELEPHONY, "torch.nn"),
        (TELEPHONY, "agents.telephony.server"),
        (LIVEKIT, "loguru"),
        (LIVEKIT, "livekit.agents"),
        (LIVEKIT, "torch"),
    ],
)
def test_ctrl_c_is_one_line_at_any_moment(module: str, moment: str, tiny_checkpoint: Path) -> None:
    given = [option.format(model=tiny_checkpoint) for option in OPTIONS[module]]
    ended = run(module, *given, event=moment, before=SOUND, CSM_MODEL=str(tiny_checkpoint))
    assert ended.returncode == 130, ended.stderr
    assert ended.stderr == f"{module}: interrupted\n"
