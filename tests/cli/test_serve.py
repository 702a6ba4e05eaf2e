"""`csm serve` gives the server what it is not to know by itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from csm_plugin.cli import main
from csm_plugin.conversation import VoiceLibrary, VoicePrompt
from csm_plugin.errors import VoiceError
from csm_plugin.evaluation import recognition
from csm_plugin.evaluation.errors import EvaluationError
from csm_plugin.model.checkpoint import BUNDLED
from csm_plugin.server import serving

VOICES = VoiceLibrary.beside(BUNDLED / "csm-tiny")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the server was given, instead of serving."""
    given: dict[str, Any] = {}

    def serve(settings: object, **more: Any) -> int:
        given.update(more)
        return 0

    monkeypatch.setattr(serving, "serve", serve)
    return given


def test_uploaded_voices_are_heard_by_the_recogniser(served: dict[str, Any], tiny_checkpoint: Path) -> None:
    assert main(["serve", "--model", str(tiny_checkpoint)]) == 0
    clara, ruth = VOICES.get("clara"), VOICES.get("ruth")
    served["judge"](clara)
    with pytest.raises(VoiceError, match=r"an English recogniser hears . of its . words"):
        served["judge"](VoicePrompt("clara", ruth.text, clara.pcm, clara.sample_rate))


def test_a_server_without_a_recogniser_goes_by_the_other_checks(
    served: dict[str, Any], tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "moonshine_voice", None)
    assert main(["serve", "--model", str(tiny_checkpoint)]) == 0
    assert served == {"judge": None}


def test_a_recogniser_that_cannot_be_loaded_refuses_nothing(
    served: dict[str, Any], tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every upload was answered with 500."""

    def broken() -> None:
        raise EvaluationError("its library cannot be loaded")

    monkeypatch.setattr(recognition, "_recogniser", broken)
    assert main(["serve", "--model", str(tiny_checkpoint)]) == 0
    served["judge"](VOICES.get("clara"))
