"""`csm doctor` says what is here, how fast it will be, and what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from csm_plugin.cli import doctor, machine, main
from csm_plugin.errors import CheckpointNotFound
from csm_plugin.extras import install_command
from tests.cli.speaking_engine import Engine


def report(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_report_names_devices_extras_and_measured_speed(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json", "--model", "stand-in"]) == 0
    told = report(capsys)
    assert told["model"]["loads"] is True
    assert told["model"]["rtf"] >= 0
    assert told["devices"][-1]["name"] == "cpu"
    assert told["devices"][-1]["bytes_per_second"] > 0
    assert set(told["extras"]) == set(machine.EXTRAS)
    assert told["packages"]["torch"]


def test_the_report_is_readable_too(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--model", "stand-in"]) == 0
    told = capsys.readouterr().out
    assert "stand-in on cpu, loaded in" in told
    assert "GB/s" in told


def test_the_estimate_follows_from_the_speed_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "bytes_per_second", lambda name: 4.3e12)
    gpu = machine.Device("cuda:0", "a GPU", memory=140 * 2**30, free=140 * 2**30)
    assert doctor.examine_device(gpu)["csm_1b_rtf_at_best"] == pytest.approx(0.026, abs=0.002)
    assert doctor.examine_device(gpu)["csm_1b_fits"] is True
    small = machine.Device("cuda:0", "a GPU", memory=2 * 2**30, free=2**30)
    assert doctor.examine_device(small)["csm_1b_fits"] is False


def test_a_model_that_is_not_there_is_missing_and_the_exit_code_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(model: str, device: str) -> Engine:
        raise CheckpointNotFound(f"there is no model {model}; name a folder")

    monkeypatch.setattr(doctor, "load_engine", refuse)
    assert main(["doctor", "--json", "--model", "nobody"]) == 1
    told = report(capsys)
    assert told["model"]["loads"] is False
    assert {"what": "the model nobody", "how": "there is no model nobody; name a folder"} in told["missing"]


def test_a_missing_extra_comes_with_its_install_command(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "EXTRAS", ["pipecat"])
    monkeypatch.setattr(machine, "missing_modules", lambda extra: ["no_such_module"])
    main(["doctor", "--json"])
    told = report(capsys)
    assert told["extras"] == {"pipecat": False}
    assert {"what": "the extra pipecat", "how": install_command("pipecat")} in told["missing"]
