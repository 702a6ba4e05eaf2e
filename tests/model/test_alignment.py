"""Which token each row speaks, read from the heads that a checkpoint names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from csm_plugin.errors import CheckpointFormatError
from csm_plugin.model.alignment import AttentionProbe
from csm_plugin.model.csm import CSM
from csm_plugin.model.graphs import FrameGraphs
from csm_plugin.model.opened import open_checkpoint
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.model.rows import Rows
from csm_plugin.settings import Sampling
from tests.model.helpers import CPU, GREEDY, MAX_FRAMES, frame_positions, reference_of, text_positions, tokens_of
from tests.model.test_steps import NoHostSync

HEADS = [(0, 1), (1, 3), (1, 0)]
TEXTS = ["hello there, how are you?", "yes", "one, two, three, four"]
FRAMES = 12


@pytest.fixture(scope="module")
def attentive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of the other tests, with heads that are said to follow the text."""
    return write_random_checkpoint(tmp_path_factory.mktemp("attentive"), alignment_heads=HEADS)


@pytest.fixture(scope="module")
def follower(attentive: Path) -> CSM:
    return CSM(attentive, device=CPU, dtype=torch.float32, rows=8)


def begin(model: CSM, folder: Path, row: int, text: str, before: np.ndarray | None = None) -> int:
    """Make a row live behind some positions and return how many it holds."""
    context = text_positions(model, tokens_of(folder, text, 3))
    start = 0 if before is None else len(before)
    context = context if before is None else np.concatenate((before, context))
    held = len(context) - 1
    model.prefill(row, 0, context[:-1])
    model.begin(row, held, context[-1:], GREEDY, row, MAX_FRAMES, range(start + len("b[3]"), held))
    return held


def follow(model: CSM, rows: list[int], lengths: list[int] | None, frames: int = FRAMES) -> tuple[Any, Any]:
    """Step rows; return their tokens [frames, B] and codes [frames, B, codebooks]."""
    tokens, codes = [], []
    for number in range(frames):
        held = None if lengths is None else [length + number for length in lengths]
        made = model.step(Rows(rows, CPU), 1, held)
        assert made.tokens is not None
        tokens.append(made.tokens.clone())
        codes.append(made.codes.clone())
    return torch.stack(tokens), torch.stack(codes)


def test_a_token_is_where_the_heads_of_transformers_look_together(follower: CSM, attentive: Path) -> None:
    said = np.concatenate((text_positions(follower, tokens_of(attentive, "yes", 1)), frame_positions(np.ones((5, 8)))))
    held = begin(follower, attentive, 0, TEXTS[0], said)
    tokens, codes = follow(follower, [0], [held])
    reference = reference_of(attentive)
    reference.set_attn_implementation("eager")
    text = np.concatenate((said[:-5, 0], tokens_of(attentive, TEXTS[0], 3)))
    with torch.no_grad():
        words = reference.embed_text_tokens(torch.from_numpy(text))
        embed = reference.backbone_model.embed_tokens
        heard, made = embed(torch.ones(1, 5, 8, dtype=torch.int64))[0], embed(codes[:-1, 0][None])[0]
        split = len(said) - 5
        seen = reference.backbone_model(
            inputs_embeds=torch.cat((words[:split], heard, words[split:], made))[None], output_attentions=True
        ).attentions
    spoken = slice(len(said) + len("b[3]"), held)
    weights = sum(seen[layer][0, head, held:, spoken].log() for layer, head in HEADS)
    for token, weight in zip(tokens[:, 0], weights, strict=True):
        assert token == pytest.approx(float(torch.arange(float(len(weight))) @ weight.softmax(0)), abs=1e-3)


def test_following_the_text_changes_no_code(follower: CSM, attentive: Path, folder: Path, model: CSM) -> None:
    followed = follow(follower, [2], [begin(follower, attentive, 2, TEXTS[0])])[1]
    held = begin(model, folder, 2, TEXTS[0])
    plain = [model.step(Rows([2], CPU), 1, [held + number]) for number in range(FRAMES)]
    assert torch.equal(followed, torch.stack([frames.codes for frames in plain]))
    assert all(frames.tokens is None for frames in plain)


def test_tokens_are_the_same_alone_in_a_batch_and_in_fixed_shapes(follower: CSM, attentive: Path) -> None:
    rows = [0, 1, 4]

    def held() -> list[int]:
        return [begin(follower, attentive, row, text) for row, text in zip(rows, TEXTS, strict=True)]

    alone = torch.cat([follow(follower, [row], [length])[0] for row, length in zip(rows, held(), strict=True)], dim=1)
    together = follow(follower, rows, held())[0]
    held()
    fixed = follow(follower, rows, None)[0]
    held()
    graphs = FrameGraphs(follower)
    replayed = torch.stack([graphs.step(rows, 1).tokens.clone() for _ in range(FRAMES)])  # type: ignore[union-attr]
    for other in (together, fixed, replayed):
        assert torch.allclose(other, alone, atol=1e-3)
    assert (alone >= 0).all() and (alone <= torch.tensor([len(text) - 1 for text in TEXTS])).all()


def test_a_row_without_a_text_has_no_token_and_disturbs_no_other(follower: CSM, attentive: Path) -> None:
    held = begin(follower, attentive, 0, TEXTS[0])
    expected = follow(follower, [0], [held])[0]
    held = begin(follower, attentive, 0, TEXTS[0])
    context = text_positions(follower, tokens_of(attentive))
    follower.prefill(1, 0, context[:-1])
    follower.begin(1, len(context) - 1, context[-1:], GREEDY, 0, MAX_FRAMES)
    tokens = follow(follower, [0, 1], [held, len(context) - 1])[0]
    assert torch.allclose(tokens[:, :1], expected, atol=1e-3) and tokens[:, 1].isnan().all()


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_following_the_text_waits_for_the_device_as_little_as_the_rest(attentive: Path, device: str) -> None:
    model = CSM(attentive, device=torch.device(device), dtype=torch.bfloat16, rows=4)
    context = text_positions(model, tokens_of(attentive))
    model.prefill(0, 0, context[:-1])
    model.begin(0, len(context) - 1, context[-1:], Sampling(), 0, MAX_FRAMES, range(4, len(context) - 1))
    rows = Rows(range(4), model.device, torch.tensor([True, False, False, True], device=model.device))
    with NoHostSync():
        frames = model.step(rows, 1, None)
    assert frames.tokens is not None and frames.tokens.shape == (4,) and frames.tokens.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_scores_are_added_in_float32_whatever_the_model_computes_in(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    keys, queries = 3 * torch.randn(2, 2, 40, 16, dtype=dtype), 3 * torch.randn(2, 2, 2, 16, dtype=dtype)
    probe = AttentionProbe({0: [(0, 1), (1, 0)]}, [torch.zeros(2, 40)], range(40), 0.25)
    probe.look(0, queries, [(slice(0, 2), (keys,), (keys,), None)])
    heads = ((keys[:, 0].double(), queries[:, 0, 1].double()), (keys[:, 1].double(), queries[:, 1, 0].double()))
    exact = sum(0.25 * torch.einsum("bwd,bd->bw", key, query) for key, query in heads)
    assert isinstance(exact, torch.Tensor) and exact.abs().max() > 16, "as large as scores are"
    assert probe.scores.dtype == torch.float32 and (probe.scores - exact).abs().max() < 1e-4


def test_heads_are_read_from_the_generation_config(attentive: Path, folder: Path) -> None:
    assert open_checkpoint(attentive).config.generation.alignment_heads == tuple(HEADS)
    assert open_checkpoint(folder).config.generation.alignment_heads == ()


@pytest.mark.parametrize("heads", [None, []])
def test_a_checkpoint_may_name_no_heads(attentive: Path, tmp_path: Path, heads: object) -> None:
    assert open_checkpoint(_with_heads(attentive, tmp_path, heads)).config.generation.alignment_heads == ()


@pytest.mark.parametrize(
    "heads", [[[2, 0]], [[0, 4]], [[-1, 0]], [[0, 1], [0, 1]], [[0]], [0, 1], [[0, 1.0]], [[0, True]], "1,0", {"0": 1}]
)
def test_heads_that_do_not_exist_are_refused(attentive: Path, tmp_path: Path, heads: object) -> None:
    with pytest.raises(CheckpointFormatError, match=r"alignment_heads is .* layers from 0 to 1 and heads from 0 to 3"):
        open_checkpoint(_with_heads(attentive, tmp_path, heads))


def test_a_generation_config_that_is_not_json_is_named(attentive: Path, tmp_path: Path) -> None:
    copy = _with_heads(attentive, tmp_path, None)
    (copy / "generation_config.json").write_text("{")
    with pytest.raises(CheckpointFormatError, match=r"generation_config\.json cannot be read as JSON"):
        open_checkpoint(copy)


def _with_heads(folder: Path, place: Path, heads: object) -> Path:
    copy = Path(shutil.copytree(folder, place / "copy"))
    (copy / "generation_config.json").write_text(json.dumps({"alignment_heads": heads}))
    return copy
