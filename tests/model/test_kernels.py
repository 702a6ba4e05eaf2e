"""How many kernels a frame takes on a GPU: with CSM-1B's layers and codebooks, on tensors without values."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.gpu.cost import Cost, count
from csm_plugin.model.csm import CSM
from csm_plugin.model.graphs import FrameGraphs
from csm_plugin.model.random_checkpoint import write_random_checkpoint

MOST = {1: 2_078, 64: 2_366}
"""By size of top-k. Whoever finds a way with fewer lowers it."""

NARROW_CSM_1B = {
    "codebooks": 32,
    "codes": 128,
    "backbone": (16, 64, 4, 2, 128),
    "depth": (4, 32, 2, 1, 64),
    "codec": {"hidden_size": 32, "num_filters": 16, "upsample_groups": 32, "num_hidden_layers": 8,
              "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2, "sliding_window": 250},
}  # fmt: skip


@pytest.fixture(scope="module")
def many_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("many-layers"), **NARROW_CSM_1B)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_frame_of_csm_1bs_depth_takes_no_more_kernels_than_it_did(many_layers: Path, rows: int) -> None:
    graphs = FrameGraphs(CSM(many_layers, device=torch.device("meta"), dtype=torch.bfloat16, rows=rows))
    for top_k, most in MOST.items():
        graphs.step(list(range(rows)), top_k)
        assert count(lambda top_k=top_k: graphs._plain(rows, top_k)).kernels <= most  # type: ignore[misc]


def test_views_are_no_kernels_and_a_table_costs_what_is_taken_of_it() -> None:
    table = torch.zeros(1_000, 8)
    with Cost() as cost:
        table.view(8, -1).transpose(0, 1)[3:5].unsqueeze(0)
        torch.nn.functional.embedding(torch.tensor([1, 2]), table)
        table[:1].expand(50, 8).add(1.0)
    assert cost.by_operator == {"embedding": 1, "add": 1}
    assert cost.bytes == 2 * 2 * 8 * 4 + (8 + 50 * 8) * 4
