"""A row's frames depend on its own context, seed and settings, not on who else speaks nor on how a step is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from csm_plugin.model.csm import CSM
from csm_plugin.model.graphs import FrameGraphs
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.model.rows import Rows
from csm_plugin.settings import Sampling
from tests.model.helpers import (
    CPU,
    GREEDY,
    MAX_FRAMES,
    Speaker,
    frame_positions,
    speak,
    step,
    text_positions,
    tokens_of,
)

TEXTS = ["yes", "hello there", "how are you today?", "no", "one, two, three, four", "good day", "why?", "a b c d e f g"]


def contexts(model: CSM, folder: Path) -> list[np.ndarray]:
    return [text_positions(model, tokens_of(folder, text, index)) for index, text in enumerate(TEXTS)]


def samplings() -> list[Sampling]:
    return [GREEDY if i == 2 else Sampling(temperature=0.5 + 0.1 * i, top_k=(50, 5, 50, 200)[i % 4]) for i in range(8)]


def test_sampled_codes_are_the_same_alone_and_in_a_batch_of_8_with_mixed_lengths_and_arrivals(
    model: CSM, folder: Path
) -> None:
    given, frames = contexts(model, folder), 24
    alone = []
    for row, (context, sampling) in enumerate(zip(given, samplings(), strict=True)):
        top_k = model.config.generation.drawing(sampling).largest_top_k
        alone.append(speak(Speaker.begin(model, row, context, sampling, seed=row), frames, top_k))
    arrivals = [0, 5, 2, 2, 9, 0, 1, 13]
    speakers: dict[int, Speaker] = {}
    for now in range(max(arrivals) + frames):
        for row in (row for row, arrival in enumerate(arrivals) if arrival == now):
            speakers[row] = Speaker.begin(model, row, given[row], samplings()[row], seed=row)
        step([s for _, s in sorted(speakers.items()) if len(s.codes) < frames], top_k=200)
    for row, codes in enumerate(alone):
        assert torch.equal(speakers[row].spoken, codes), f"row {row} differs"


def test_steps_of_fixed_shape_give_the_frames_of_exact_ones(model: CSM, folder: Path) -> None:
    spoken = []
    for exact in (True, False):
        speakers = [Speaker.begin(model, r, contexts(model, folder)[r], samplings()[r], seed=r) for r in (1, 2, 3)]
        for _ in range(20):
            step(speakers, top_k=200, exact=exact)
        spoken.append(speakers)
    for one, other in zip(*spoken, strict=True):
        assert torch.equal(one.spoken, other.spoken)
        assert (torch.cat(one.pcm) - torch.cat(other.pcm)).abs().max() < 1e-4


def test_frame_graphs_give_the_frames_of_exact_steps_and_leave_idle_and_waiting_rows_as_they_are(
    model: CSM, folder: Path
) -> None:
    given, frames = contexts(model, folder), 12
    expected = {
        row: speak(Speaker.begin(model, row, given[row], samplings()[row], row), frames, 200) for row in (0, 3, 4)
    }
    for row in range(8):
        model.clear(row)
    graphs = FrameGraphs(model)
    speakers = {row: Speaker.begin(model, row, given[row], samplings()[row], row) for row in (0, 3, 4)}
    model.end(1)
    told: dict[int, list[torch.Tensor]] = {0: [], 3: [], 4: []}
    now = 0
    while any(len(codes) < frames for codes in told.values()):
        # row 3's reader is slow: it waits every other step; row 1 is idle, and prefilled while the others speak
        live = [row for row in (4, 0, 3) if len(told[row]) < frames and (row != 3 or now % 2 or now >= frames)]
        if now == 3:
            model.prefill(1, 0, given[1][:-1])
        held = model.cache.data[:, 1, : len(given[1]) - 1].clone()
        for row, codes in zip(live, graphs.step(live, 200).codes, strict=True):
            told[row].append(codes.clone())
        assert torch.equal(model.cache.data[:, 1, : len(given[1]) - 1], held)
        now += 1
    for row in speakers:
        assert torch.equal(torch.stack(told[row]), expected[row]), f"row {row} differs"
    model.begin(1, len(given[1]) - 1, given[1][-1:], GREEDY, 0, MAX_FRAMES)
    live_again = [graphs.step([1], 1).codes[0].clone() for _ in range(5)]
    alone = speak(Speaker.begin(model, 6, given[1]), 5, top_k=1)
    assert torch.equal(torch.stack(live_again), alone)


FORBIDDEN = ("_local_scalar_dense", "nonzero", "item", "is_nonzero", "masked_select", "equal", "unique", "_unique2")


class NoHostSync(TorchDispatchMode):
    """Fails on whatever has to wait for the device, and on copies off it."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in FORBIDDEN:
            raise AssertionError(f"{func} waits for the device")
        places = args[1] if name.startswith("index") and isinstance(args[1], list) else []
        if any(place is not None and place.dtype == torch.bool for place in places):
            raise AssertionError(f"{func} by a mask waits for the device")
        out = func(*args, **(kwargs or {}))
        if name in ("_to_copy", "copy_") and isinstance(out, torch.Tensor) and isinstance(args[-1], torch.Tensor):
            off = args[-1].device.type == "meta" and out.device.type == "cpu"
            assert not off, f"{func} copies off the device"
        return out


@pytest.mark.parametrize("top_k", [1, 50])
@pytest.mark.parametrize("device", ["cpu", "meta"])  # on "meta" nothing has values: reading one fails
def test_no_step_of_fixed_shape_waits_for_the_device(folder: Path, device: str, top_k: int) -> None:
    model = CSM(folder, device=torch.device(device), dtype=torch.bfloat16, rows=4)
    context = contexts(model, folder)[0]
    model.prefill(0, 0, context[:-1])
    model.begin(0, len(context) - 1, context[-1:], Sampling(), 0, MAX_FRAMES)
    rows = Rows(range(4), model.device, torch.tensor([True, False, False, True], device=model.device))
    model.step(rows, top_k, None)
    with NoHostSync():
        frames = model.step(rows, top_k, None)
    assert frames.codes.shape == (4, model.config.codebooks)


def test_the_guard_against_waiting_notices_it() -> None:
    with NoHostSync(), pytest.raises(AssertionError):
        torch.ones(3).sum().item()


def test_a_row_that_is_not_finite_says_so_and_the_others_notice_nothing(model: CSM, folder: Path) -> None:
    given = contexts(model, folder)
    expected = [speak(Speaker.begin(model, row, given[row]), 6, top_k=1) for row in (0, 2)]
    speakers = [Speaker.begin(model, row, given[row]) for row in (0, 1, 2)]
    with torch.inference_mode():
        model.cache.data[:, 1, 0] = torch.nan
    for _ in range(6):
        step(speakers, top_k=1)
    assert not any(speakers[1].finite)
    assert all(speakers[0].finite) and all(speakers[2].finite)
    for speaker, codes in zip((speakers[0], speakers[2]), expected, strict=True):
        assert torch.equal(speaker.spoken, codes)
    model.clear(1)
    assert torch.equal(speak(Speaker.begin(model, 1, given[0]), 6, top_k=1), expected[0])


def test_weights_that_are_not_finite_are_noticed(folder: Path) -> None:
    model = CSM(folder, device=CPU, dtype=torch.float32, rows=2)
    token = int(contexts(model, folder)[0][2, 0])
    with torch.inference_mode():
        model.text_embedding[token] = torch.nan
    poisoned = Speaker.begin(model, 0, contexts(model, folder)[0])
    clean = Speaker.begin(model, 1, text_positions(model, [token - 1, token + 1, token + 2]))
    step([poisoned, clean], top_k=1)
    assert poisoned.finite == [False] and clean.finite == [True]


def test_a_context_prefilled_in_pieces_gives_the_codes_of_one_prefilled_at_once(model: CSM, folder: Path) -> None:
    context = contexts(model, folder)[4]
    expected = speak(Speaker.begin(model, 0, context), 10, top_k=1)
    for start, end in ((0, 3), (3, 4), (4, len(context) - 1)):
        model.prefill(7, start, context[start:end])
    model.begin(7, len(context) - 1, context[-1:], GREEDY, 0, MAX_FRAMES)
    assert torch.equal(speak(Speaker(model, 7, len(context) - 1, [], [], []), 10, top_k=1), expected)


def test_a_cache_rebuilt_from_text_and_codes_continues_as_the_live_one(model: CSM, folder: Path) -> None:
    first, second = contexts(model, folder)[2], contexts(model, folder)[4]
    live = Speaker.begin(model, 0, first)
    codes = speak(live, 9, top_k=1)
    rest = np.concatenate((frame_positions(codes[-1:]), frame_positions(np.zeros((1, codes.shape[1]))), second))
    model.prefill(0, live.length, rest[:-1])
    length = live.length + len(rest) - 1
    model.begin(0, length, rest[-1:], GREEDY, 0, MAX_FRAMES)
    continued = speak(Speaker(model, 0, length, [], [], []), 9, top_k=1)
    rebuilt = Speaker.begin(model, 3, np.concatenate((first, frame_positions(codes[:-1]), rest)))
    assert torch.equal(speak(rebuilt, 9, top_k=1), continued)


def test_a_row_started_from_a_snapshot_speaks_as_the_row_it_was_taken_of(model: CSM, folder: Path) -> None:
    context = contexts(model, folder)[4]
    expected = speak(Speaker.begin(model, 0, context), 8, top_k=1)
    snapshot = model.snapshot(0, len(context) - 1)
    model.clear(0)
    model.restore(6, snapshot)
    model.begin(6, len(context) - 1, context[-1:], GREEDY, 0, MAX_FRAMES)
    assert torch.equal(speak(Speaker(model, 6, len(context) - 1, [], [], []), 8, top_k=1), expected)


def test_a_context_may_fill_every_position(folder: Path) -> None:
    model = CSM(folder, device=CPU, dtype=torch.float32, rows=2)
    codes = np.random.default_rng(0).integers(0, 256, (model.positions - 1, model.config.codebooks))
    context = np.concatenate((text_positions(model, [0]), frame_positions(codes)))
    speaker = Speaker.begin(model, 1, context)
    step([speaker], top_k=1)
    assert speaker.finite == [True] and speaker.length == model.positions


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_speaks(folder: Path, dtype: torch.dtype) -> None:
    model = CSM(folder, device=CPU, dtype=dtype, rows=2)
    speakers = [Speaker.begin(model, row, contexts(model, folder)[row], Sampling(), row) for row in range(2)]
    for _ in range(5):
        step(speakers)
    for speaker in speakers:
        assert all(speaker.finite)
        assert torch.cat(speaker.pcm).isfinite().all() and speaker.pcm[0].dtype == torch.float32


def test_bytes_per_row_are_what_a_row_takes(folder: Path) -> None:
    def held(rows: int) -> int:
        model = CSM(folder, device=CPU, dtype=torch.bfloat16, rows=rows)
        states = [model.cache.data, *model.decoder_state.tensors.values(), *vars(model).values()]
        sizes = {id(t): t.numel() * t.element_size() for t in states if isinstance(t, torch.Tensor)}
        return sum(sizes.values())

    exact = held(3) - held(2)
    model = CSM(folder, device=CPU, dtype=torch.bfloat16, rows=2)
    assert abs(model.bytes_per_row - exact) < 0.05 * exact


def test_a_checkpoint_with_one_key_head_for_each_query_head_speaks_like_transformers_shapes(tmp_path: Path) -> None:
    folder = write_random_checkpoint(tmp_path, backbone=(1, 32, 2, 2, 64), depth=(1, 32, 2, 2, 64))
    model = CSM(folder, device=CPU, dtype=torch.float32, rows=1)
    assert speak(Speaker.begin(model, 0, contexts(model, folder)[0]), 3, top_k=1).shape == (3, 8)


def test_a_codec_that_is_not_finite_is_noticed_and_the_row_speaks_again_afterwards(model: CSM, folder: Path) -> None:
    context = contexts(model, folder)[0]
    expected = Speaker.begin(model, 0, context)
    speak(expected, 4, top_k=1)
    speakers = [Speaker.begin(model, row, context) for row in (0, 1)]
    with torch.inference_mode():
        for tensor in model.decoder_state.tensors.values():
            tensor[1] = torch.nan
    step(speakers, top_k=1)
    assert speakers[0].finite == [True] and speakers[1].finite == [False]
    again = Speaker.begin(model, 1, context)
    speak(again, 4, top_k=1)
    assert all(again.finite) and torch.equal(torch.cat(again.pcm), torch.cat(expected.pcm))
