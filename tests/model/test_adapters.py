"""Adapters that are not what they seem: refused while they are opened, before anything is merged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.opened import Parts, open_checkpoint
from tests.replicas.repositories import write_adapter, write_copy
from tests.replicas.tensors import SMALL

TINY = SMALL.with_layers(2, 1)
WEIGHTS = "adapter_model.safetensors"
QUERIES = "base_model.model.backbone_model.layers.0.self_attn.q_proj"
HEAD = "base_model.model.lm_head.weight"
Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_copy(tmp_path_factory.mktemp("base"), TINY)


def sides(down: Tensor, up: Tensor) -> Tensors:
    return {f"{QUERIES}.lora_A.weight": down, f"{QUERIES}.lora_B.weight": up}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t | sides(torch.zeros(0, 128), torch.zeros(128, 0)), r"is changed by \(128, 0\) x \(0, 128\)"),
        (lambda t: t | sides(torch.zeros(()), torch.zeros(())), r"is changed by \(\) x \(\)"),
        (lambda t: t | {HEAD: torch.zeros(66, 128)}, r"'base_model.model.lm_head.weight' has shape \(66, 128\)"),
        (lambda t: t | {HEAD: torch.zeros(67, 128, dtype=torch.int8)}, "is stored as I8; floating point is needed"),
        (lambda t: {name: one.to(torch.int8) for name, one in t.items()}, "is stored as I8; floating point is needed"),
        (lambda t: t | {f"{QUERIES}.weight": torch.zeros(128, 128)}, "both changes and replaces 'backbone_model"),
        (lambda t: {}, "holds no tensors"),
    ],
    ids=["no rank", "no dimensions", "another's head", "a head of integers", "integers", "twice", "nothing"],
)
def test_tensors_that_make_no_sense_are_refused(
    change: Callable[[Tensors], Tensors], message: str, base: Path, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path, TINY)
    save_file(change(load_file(adapter / WEIGHTS)), adapter / WEIGHTS)
    with pytest.raises(CheckpointFormatError, match=f"{WEIGHTS}.* {message}"):
        open_checkpoint(base, Parts(adapter=adapter))


@pytest.mark.parametrize("changed", [{"lora_alpha": 10**400}, {"lora_alpha": -1}, {"alpha_pattern": {"q_proj": "x"}}])
def test_a_scale_that_makes_no_sense_is_refused(changed: dict[str, Any], base: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointFormatError, match=r"adapter_config.json: .* it must be a positive number"):
        open_checkpoint(base, Parts(adapter=write_adapter(tmp_path, TINY, **changed)))


@pytest.mark.parametrize("beginning", ["pissa", "pissa_niter_4", "olora", "corda", "loftq"])
def test_an_adapter_that_belongs_to_changed_weights_is_refused(beginning: str, base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path, TINY, init_lora_weights=beginning)
    with pytest.raises(CheckpointFormatError, match=f"init_lora_weights is '{beginning}'; PEFT may have changed"):
        open_checkpoint(base, Parts(adapter=adapter))


@pytest.mark.parametrize("beginning", [True, False, "gaussian", "eva", "orthogonal"], ids=str)
def test_how_else_it_began_does_not_matter(beginning: object, base: Path, tmp_path: Path) -> None:
    open_checkpoint(base, Parts(adapter=write_adapter(tmp_path, TINY, init_lora_weights=beginning)))
