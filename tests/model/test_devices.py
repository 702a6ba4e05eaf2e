"""Which device a name means, in which precision a model runs there, and how numbers get there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from csm_plugin.errors import SettingsError
from csm_plugin.model import devices
from csm_plugin.model.devices import auto_dtype, resolve_device, send

BIG, SMALL = 1_500_000_000, 10_000_000


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs, of which the second is the thread's current one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(devices, "_try", _there_are_two)


def _there_are_two(device: torch.device) -> None:
    if device.index > 1:
        raise RuntimeError("CUDA error: invalid device ordinal\nCUDA kernel errors might be ...")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("auto", "cuda:0"), ("cuda", "cuda:1"), ("cuda:0", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")],
)
@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_always_has_a_number(name: str, meant: str) -> None:
    assert resolve_device(name) == torch.device(meant)


def test_without_a_gpu_auto_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")


@pytest.mark.parametrize("name", ["mps", "xpu", "meta", "mtia:0"])
def test_a_device_that_cannot_work_is_refused_with_the_reason_and_what_to_use(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"device is '{name}', on which the engine cannot run: .*'cpu' works"):
        resolve_device(name)


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_that_is_not_there_is_refused_in_one_line() -> None:
    with pytest.raises(
        SettingsError, match=r"device is 'cuda:7', .*invalid device ordinal\); allowed are .*$"
    ) as caught:
        resolve_device("cuda:7")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["abacus", "", "cuda:x"])
def test_a_name_that_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="allowed are 'auto', 'cpu'"):
        resolve_device(name)


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 5), torch.float16), ((7, 0), torch.float16), ((8, 0), torch.bfloat16), ((8, 9), torch.bfloat16),
     ((9, 0), torch.bfloat16), ((12, 0), torch.bfloat16)],
)  # fmt: skip
@pytest.mark.parametrize("parameters", [SMALL, BIG])
def test_a_gpu_computes_in_the_16_bits_that_it_has(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype, parameters: int
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *a, **k: True)  # as it says of a T4 too
    assert auto_dtype(parameters, torch.device("cuda:0")) == dtype


def test_a_cpu_computes_small_models_in_float32_and_large_ones_in_bfloat16() -> None:
    assert auto_dtype(SMALL, torch.device("cpu")) == torch.float32
    assert auto_dtype(BIG, torch.device("cpu")) == torch.bfloat16


def test_an_old_torch_is_warned_of_on_a_gpu(monkeypatch: pytest.MonkeyPatch, two_gpus: None) -> None:
    told: list[str] = []
    monkeypatch.setattr(devices.logger, "warning", lambda message, **fields: told.append(message))
    for version in ("2.8.0+cu128", "2.9.0", "2.13.0+cu130"):
        monkeypatch.setattr(torch, "__version__", version)
        resolve_device("cuda:0")
    assert len(told) == 1 and "2.9 or newer" in told[0]


def test_numbers_go_to_a_gpu_through_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    ways: list[tuple[str, object]] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        ways.append(("pinned", None))
        return tensor

    def to(tensor: torch.Tensor, device: object, non_blocking: bool = False) -> torch.Tensor:
        ways.append((str(device), non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    send(np.arange(3), torch.device("cuda:0"))
    assert ways == [("pinned", None), ("cuda:0", True)]
    ways.clear()
    send(np.arange(3), torch.device("cpu"))
    assert ways == [("cpu", False)]
