"""A LoRA adapter in PEFT's form, merged into the weights while they are read.

Source: peft's `LoraLayer.get_delta_weight`: W + B A * alpha / rank, or alpha / sqrt(rank) with `use_rslora`.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
from torch import Tensor

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.fields import Fields, read_json
from csm_plugin.model.weight_files import FileNames
from csm_plugin.model.weights import CODEC, Tensors, TensorsOf, WeightFiles

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
PART = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight")
PLAIN = re.compile(r"[\w.]+")
SUPPORTED: dict[str, object] = {
    "peft_type": "LORA",
    "bias": "none",
    "use_dora": False,
    "use_qalora": False,
    "fan_in_fan_out": False,
    "lora_bias": False,
    "layer_replication": None,
}
"""What would make the adapter something else than W + B A * scale; these values are what is supported."""

BEGINNINGS = (True, False, None, "gaussian", "eva", "orthogonal")
"""How an adapter may have begun. With others, PiSSA and OLoRA among them, PEFT changes the model's own weights too."""


class AdaptedTensors(TensorsOf):
    """Tensors with an adapter's weights added. Layers that the adapter leaves alone come as they are.

    Args:
        base: the checkpoint's tensors.
        folder: the adapter's.

    Raises:
        CheckpointFormatError: it is no LoRA adapter, or one for another checkpoint.
    """

    def __init__(self, base: Tensors, folder: Path) -> None:
        raw = read_json(folder / CONFIG)
        if not isinstance(raw, dict):
            raise CheckpointFormatError(f"{folder} holds no {CONFIG}; pass the folder of a PEFT adapter")
        super().__init__(base)
        self._fields = Fields(raw, folder / CONFIG)
        self._fields.require(SUPPORTED)
        beginning = raw.get("init_lora_weights")
        if beginning not in BEGINNINGS:
            raise self._fields.wrong(
                "init_lora_weights",
                beginning,
                "PEFT may have changed the model's own weights; save it with path_initial_model_for_weight_conversion",
            )
        if not (folder / WEIGHTS).is_file():
            found = ", ".join(sorted(path.name for path in folder.glob("adapter_model.*"))) or "no weights"
            raise CheckpointFormatError(
                f"{folder} holds {found} and no {WEIGHTS}; save the adapter with safe_serialization=True"
            )
        self._files = WeightFiles(folder, FileNames((WEIGHTS,)))
        self._sides: dict[str, dict[str, str]] = {}  # target weight -> "A", "B" -> tensor
        self._whole: dict[str, str] = {}  # target weight -> tensor that replaces it
        for stored in self._files.names:
            self._place(stored)
        if not self._files.names:
            raise CheckpointFormatError(f"{folder / WEIGHTS} holds no tensors; save the adapter again")
        for target, sides in self._sides.items():
            self._check(target, sides)
        for target, stored in self._whole.items():
            self._check_whole(target, stored)
        self.rank = max((self._files.stored(sides["A"]).shape[0] for sides in self._sides.values()), default=0)

    def get(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Return a tensor, float32 where the adapter changes it.

        Raises:
            CheckpointFormatError: as the base's `get`.
        """
        if name in self._whole:
            return self._files.get(self._whole[name], shape)
        weight = self._base.get(name, shape)
        if name not in self._sides:
            return weight
        down, up = (self._files.get(self._sides[name][side]).float() for side in "AB")
        return torch.addmm(weight.float(), up, down, alpha=self._scale(name, down.shape[0]))

    def _place(self, stored: str) -> None:
        """Find the weight that a tensor of the adapter is for."""
        name = _flat(stored.removeprefix(PREFIX))
        part = PART.fullmatch(name)
        target = f"{part['module']}.weight" if part else name.replace(".modules_to_save.", ".")
        if target not in self._base:
            made_for = self._fields.raw.get("base_model_name_or_path")
            raise CheckpointFormatError(
                f"{self._files.where / WEIGHTS} changes {target!r}, which this model does not have: the adapter is "
                f"for another one ({made_for or 'it does not say which'})"
            )
        if part:
            self._sides.setdefault(target, {})[part["side"]] = stored
        else:
            self._whole[target] = stored

    def _check(self, target: str, sides: dict[str, str]) -> None:
        """Make sure that both sides are there and fit the weight."""
        path = self._files.where / WEIGHTS
        if set(sides) != {"A", "B"}:
            raise CheckpointFormatError(f"{path} lacks one side of {target!r}; save the adapter again")
        for stored in sides.values():
            self._files.stored(stored).check(None)
        down, up = (self._files.stored(sides[side]).shape for side in "AB")
        wanted = self._base.stored(target).shape
        if len(down) != 2 or len(up) != 2 or down[0] != up[1] or down[0] < 1 or (up[0], down[1]) != wanted:
            made_for = self._fields.raw.get("base_model_name_or_path")
            raise CheckpointFormatError(
                f"{path}: {target!r} is changed by {up} x {down}, the model's is {wanted}: the adapter is for another "
                f"model ({made_for or 'it does not say which'})"
            )
        self._scale(target, down[0])

    def _check_whole(self, target: str, stored: str) -> None:
        """Make sure that a tensor can take the place of the model's."""
        if target in self._sides:
            raise CheckpointFormatError(
                f"{self._files.where / WEIGHTS} both changes and replaces {target!r}; merge it with PEFT first"
            )
        self._files.stored(stored).check(self._base.stored(target).shape)

    def _scale(self, target: str, rank: int) -> float:
        alpha = self._alpha(target.removesuffix(".weight"))
        return alpha / (math.sqrt(rank) if self._fields.raw.get("use_rslora") else rank)

    def _alpha(self, module: str) -> float:
        """Return a module's alpha: that of a pattern which names the end of the module's name, else everyone's."""
        patterns = self._fields.part("alpha_pattern")
        for pattern in patterns.raw:
            if not PLAIN.fullmatch(pattern):
                raise patterns.wrong(
                    pattern, patterns.raw[pattern], "only plain module names are supported as patterns"
                )
            if f".{module}".endswith(f".{pattern}"):
                return patterns.number(pattern, 1.0)
        return self._fields.number("lora_alpha", 8.0)


def _flat(name: str) -> str:
    """Return a tensor's name as it is in files: newer modules of transformers hold the codec's halves one deeper."""
    for half in ("encoder", "decoder"):
        name = name.replace(f"{CODEC}{half}.{half}_transformer.", f"{CODEC}{half}_transformer.")
    return name
