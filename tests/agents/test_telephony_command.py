"""`python -m agents.telephony` as it is typed: it names the webhook, talks with a model, and ends as it is told."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agents.telephony.__main__ import main
from agents.telephony.settings import check_public_url, read_providers
from csm_plugin.errors import SettingsError
from tests.agents.other_phones import TELNYX_KEY
from tests.agents.phone import AUTH_TOKEN, PATIENCE_S, PUBLIC_URL, Phone, calling, until

KEYS = {
    "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
    "TWILIO_API_URL": "http://127.0.0.1:9",  # where nobody listens
    "PUBLIC_URL": PUBLIC_URL,
}
SETTINGS = re.compile("OPENAI_|TWILIO_|TELNYX_|PLIVO_|PUBLIC_URL|TTS_")


@pytest.fixture
def backend() -> dict[str, str]:
    """The part of the environment that chooses a backend."""
    return {}


@pytest.fixture
def agent(tiny_checkpoint: Path, backend: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "agents.telephony", "--port", "0", "--model", str(tiny_checkpoint), "--drain-s", "0.5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not SETTINGS.match(name)} | KEYS | backend,
    )
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("backend", [{}, {"TTS_BACKEND": "sesame", "SESAME_SPEAKER_ID": "1"}], ids=["csm", "backend"])
async def test_the_agent_greets_a_caller_aloud_and_hangs_up_on_sigterm(agent: subprocess.Popen[str]) -> None:
    address = await asyncio.to_thread(address_in, agent)
    async with calling(Phone(address)) as phone:
        await until(lambda: len(phone.heard) > 8000)
        assert np.abs(phone.heard).max() > 300
        agent.send_signal(signal.SIGTERM)
        assert await phone.closed() == 1000
    assert agent.wait(PATIENCE_S) == 0
    assert agent.stderr is not None
    log = agent.stderr.read()
    assert "twilio is connected" in log
    assert AUTH_TOKEN not in log and phone.form()["From"] not in log and "Traceback" not in log


def test_the_agent_ends_at_once_on_ctrl_c_when_nobody_calls(agent: subprocess.Popen[str]) -> None:
    address_in(agent)
    agent.send_signal(signal.SIGINT)
    assert agent.stderr is not None
    assert agent.wait(PATIENCE_S) == 130
    assert agent.stderr.read().endswith("agents.telephony: interrupted\n")


def address_in(agent: subprocess.Popen[str]) -> str:
    """The address that the agent prints, and the webhook's."""
    assert agent.stdout is not None
    address = ""
    for line in agent.stdout:
        if found := re.search(r"http://127\S+?(?=\.\s)", line):
            address = found.group()
        if f"{PUBLIC_URL}/twilio/voice" in line:
            return address
    pytest.fail("the agent ended without printing its addresses")


@pytest.mark.parametrize(
    "url",
    [
        "voice.example.test",
        "ftp://voice.example.test",
        "https://",
        "https://voice.example.test?a=1",
        "https://voice.example.test#a",
        "https://user@voice.example.test",
        "https://voice.example.test:port",
        "https://[voice",
    ],
)
def test_what_is_no_public_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="PUBLIC_URL"):
        check_public_url(url)


@pytest.mark.parametrize("url", ["https://voice.example.test", "https://a.test:8443/telephone", "http://127.0.0.1:1"])
def test_a_public_address_may_have_a_port_and_a_path(url: str) -> None:
    assert check_public_url(url + "/") == url


def test_every_provider_whose_key_is_set_is_there_and_hides_its_keys() -> None:
    key = base64.b64encode(TELNYX_KEY.public_key().public_bytes_raw()).decode()
    secrets = {"TWILIO_AUTH_TOKEN": "secret-1", "TELNYX_API_KEY": "secret-2", "PLIVO_AUTH_TOKEN": "secret-3"}
    providers = read_providers(secrets | {"TELNYX_PUBLIC_KEY": key, "PLIVO_AUTH_ID": "MA1", "TWILIO_API_URL": ""})
    assert list(providers) == ["twilio", "telnyx", "plivo"]
    assert "secret" not in repr(providers)


def test_the_page_names_the_options_and_keys_that_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "telephone.md").read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["telephony", "--help"])
    with pytest.raises(SystemExit):
        main()
    assert set(re.findall(r"`(--[a-z-]+)", page)) <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    keys = r"(?:TWILIO|TELNYX|PLIVO)_[A-Z_]+"
    assert set(re.findall(keys, page)) == set(re.findall(keys, str(read_providers.__doc__)))
