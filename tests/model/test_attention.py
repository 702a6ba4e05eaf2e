"""Which kernel attends on which device, and that what it is given is what it can take."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpu.cost import Cost
from csm_plugin.model import attention
from csm_plugin.model.attention import ALIGNED, attention_on, mix, mix_by_efficient, mix_by_flash
from csm_plugin.model.csm import CSM
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.model.rows import Rows
from tests.model.helpers import CPU, GREEDY, MAX_FRAMES, Speaker, speak, text_positions, tokens_of
from tests.model.test_steps import NoHostSync

GPU = torch.device("cuda:0")


def strict(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attend as the kernels of a GPU do: they refuse groups of heads, and a bias that is not as they want it."""
    assert queries.shape[:2] == keys.shape[:2] == values.shape[:2], "queries of a group are one head's"
    assert queries.stride(-1) == keys.stride(-1) == values.stride(-1) == 1
    if bias is not None:
        bias = bias.expand(*queries.shape[:3], keys.shape[2])
        assert bias.dtype == queries.dtype and bias.stride(-1) == 1 and bias.stride(-2) % ALIGNED == 0
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=bias)


@pytest.mark.parametrize("heads", [(4, 2), (4, 4), (4, 1)])
def test_every_attention_has_a_form_that_a_gpus_kernels_take(tmp_path: Path, heads: tuple[int, int]) -> None:
    folder = write_random_checkpoint(tmp_path, backbone=(2, 64, *heads, 128), depth=(2, 64, *heads, 64))
    spoken = []
    for kernel in (mix, strict):
        model = CSM(folder, device=CPU, dtype=torch.float32, rows=3)
        model.cache._mix = model.depth._mix = kernel
        context = text_positions(model, tokens_of(folder))
        for start, end in ((0, 3), (3, 4), (4, len(context) - 1)):
            model.prefill(0, start, context[start:end])
        model.begin(0, len(context) - 1, context[-1:], GREEDY, 0, MAX_FRAMES)
        alone = speak(Speaker(model, 0, len(context) - 1, [], [], []), 6, top_k=1)
        uneven = [Speaker.begin(model, row, context[row:]) for row in (0, 2)]
        model.step(Rows([0, 2], CPU), 1, [speaker.length for speaker in uneven])
        fixed = model.step(Rows(range(3), CPU, torch.tensor([True, False, True])), 1, None)
        spoken.append((alone, fixed.codes[[0, 2]]))
    for one, other in zip(*spoken, strict=True):
        assert torch.equal(one, other)


def test_no_group_of_heads_is_left_to_torch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    model = CSM(folder, device=torch.device("meta"), dtype=torch.bfloat16, rows=2)  # as on a GPU, the codec's aside
    plain = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *a, **k: (asked.append(k.get("enable_gqa", False)), plain(*a, **k))[1]
    )
    context = text_positions(model, tokens_of(folder))
    model.prefill(0, 0, context[:-1])
    model.step(Rows([0, 1], model.device), 1, None)
    assert len(asked) > 8 and not any(asked)


@pytest.mark.parametrize(
    ("capability", "dtype", "kernel"),
    [
        ((9, 0), torch.bfloat16, mix_by_flash),
        ((8, 9), torch.float16, mix_by_flash),
        ((9, 0), torch.float32, mix_by_efficient),
        ((7, 5), torch.float16, mix_by_efficient),
        ((7, 5), torch.bfloat16, mix),
    ],
)
def test_a_gpu_attends_by_a_kernel_that_it_has(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], dtype: torch.dtype, kernel: object
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    assert attention_on(GPU, dtype, 64) is kernel
    assert attention_on(GPU, dtype, 20) is mix, "no kernel takes such heads as they are"
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: False)
    assert attention_on(GPU, dtype, 64) is (mix if kernel is mix else mix_by_efficient)


def test_a_cpu_attends_as_torch_chooses() -> None:
    assert attention_on(CPU, torch.float32, 64) is mix
    assert attention_on(CPU, torch.bfloat16, 64) is mix


@pytest.mark.parametrize("biased", [False, True])
def test_the_kernels_are_called_by_name_and_no_switch_of_the_process_is_touched(biased: bool) -> None:
    def switches() -> list[bool]:
        names = ("cudnn", "flash", "mem_efficient", "math")
        return [getattr(torch.backends.cuda, f"{name}_sdp_enabled")() for name in names]

    before = switches()
    queries = torch.empty(3, 2, 4, 64, device="meta", dtype=torch.bfloat16)
    keys = torch.empty(3, 2, 30, 64, device="meta", dtype=torch.bfloat16)
    bias = torch.empty(3, 1, 1, 32, device="meta", dtype=torch.bfloat16)[..., :30] if biased else None
    for kernel in (mix_by_flash, mix_by_efficient):
        with Cost() as cost:
            assert kernel(queries, keys, keys, bias).shape == queries.shape
        flash = kernel is mix_by_flash and not biased
        wanted = "_scaled_dot_product_flash_attention" if flash else "_scaled_dot_product_efficient_attention"
        assert dict(cost.by_operator) == {wanted: 1}
    assert switches() == before


def test_a_context_and_a_frame_run_by_the_kernels_of_a_gpu_and_nothing_waits(folder: Path) -> None:
    model = CSM(folder, device=torch.device("meta"), dtype=torch.bfloat16, rows=3)
    model.cache._mix = model.depth._mix = mix_by_flash
    context = text_positions(model, tokens_of(folder))
    live = Rows(range(3), model.device, torch.zeros(3, dtype=torch.bool, device=model.device))
    model.step(live, 50, None)
    with NoHostSync(), Cost() as cost:
        model.prefill(0, 0, context[:-1])
        model.step(live, 50, None)
    depth, backbone = model.depth.transformer.shape.layers, model.cache.shape.layers
    assert cost.by_operator["_scaled_dot_product_flash_attention"] == depth * (model.config.codebooks - 1)
    assert cost.by_operator["_scaled_dot_product_efficient_attention"] == 2 * backbone
    assert cost.by_operator["scaled_dot_product_attention"] == len(model.mimi.decoder_transformer.layers)


def test_rows_of_a_bias_are_padded_to_what_kernels_want() -> None:
    assert [attention.padded(length) for length in (1, 16, 17, 2_048)] == [16, 16, 32, 2_048]
