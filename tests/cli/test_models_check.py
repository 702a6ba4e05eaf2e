"""`csm models check` tells what a checkpoint is and lacks, from its headers alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from csm_plugin.cli import main
from tests.replicas.repositories import (
    write_copy,
    write_csm_1b,
    write_marvis,
    write_mimi,
    write_original,
    write_sparse_csm_1b,
)
from tests.replicas.tensors import MARVIS, SMALL

SHORT = SMALL.with_layers(2, 1)


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = main(["models", "check", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_the_real_sizes_of_csm_1b_are_told_from_the_headers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_sparse_csm_1b(tmp_path)
    code, told = check(capsys, str(folder))
    assert code == 0 and told["problem"] is None and told["missing"] == []
    assert told["layout"] == "transformers" and told["kinds"] == {"F32": 1_783_357_281}
    assert sum(told["files"].values()) == pytest.approx(7_133_500_964, abs=5_000)
    assert "model.safetensors" not in told["files"]
    assert told["needs"]["bfloat16"]["frame"] == pytest.approx(9.14e9, rel=0.01)
    assert told["needs"]["bfloat16"]["weights"] == pytest.approx(3.62e9, rel=0.01)
    assert told["here"][-1]["device"] == "cpu" and told["here"][-1]["rtf_at_best"] > 0


def test_what_is_not_read_takes_no_memory_and_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_csm_1b(tmp_path, SHORT)
    for shard in folder.glob("transformers-*.safetensors"):
        size = int.from_bytes(shard.read_bytes()[:8], "little")
        with shard.open("r+b") as file:  # what follows the header becomes nonsense
            file.seek(8 + size)
            file.write(b"\xff" * 4_096)
    assert check(capsys, str(folder))[0] == 0


def test_a_checkpoint_without_codec_and_tokenizer_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("csm_plugin.model.hub.cache.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = write_original(tmp_path / "model", SHORT, tokenizer=False)
    codec = write_mimi(tmp_path / "codec", SHORT)
    code, told = check(capsys, str(folder), "--codec", str(codec))
    assert code == 1 and told["layout"] == "original"
    assert told["missing"] == ["the tokenizer, meta-llama/Llama-3.2-1B: tokenizer=…"]
    copy = write_copy(tmp_path / "copy", SHORT)
    assert check(capsys, str(folder), "--codec", str(codec), "--tokenizer", str(copy))[0] == 0


def test_marvis_says_that_it_continues_voice_prompts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codec = write_mimi(tmp_path / "codec", MARVIS)
    code, told = check(capsys, str(write_marvis(tmp_path / "marvis", MARVIS)), "--codec", str(codec))
    assert code == 0 and told["voice_style"] == "continue"


def test_a_tensor_that_is_missing_is_a_problem_and_the_rest_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_copy(tmp_path, SHORT)
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'))
    code, told = check(capsys, str(folder))
    assert code == 1 and "lacks the tensor 'backbone_model.layers.2." in told["problem"]
    assert told["parameters"]["backbone"] > 0


def test_it_is_readable_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", "csm-tiny"]) == 0
    told = capsys.readouterr().out
    assert "transformers layout" in told and "in float32" in told and "RTF" in told


def test_what_is_no_csm_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    assert main(["models", "check", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("csm: ") and "no model.safetensors" in line
