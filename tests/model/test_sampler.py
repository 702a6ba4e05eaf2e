"""Codes are drawn from the distribution that temperature and top-k describe."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from csm_plugin.model.sampler import Sampler, utterance_noise

DRAWS = 20_000
LOGITS = torch.tensor([0.3, -1.0, 2.0, 1.4, 0.0, 1.9, -3.0, 1.0])


def draw(temperature: float, top_k: int, ranks: int, codebook: int = 0) -> torch.Tensor:
    """Draw one code for each of many seeds' first frames."""
    noise = torch.from_numpy(np.stack([utterance_noise(seed, 1, 2)[0] for seed in range(DRAWS)]))
    bias = torch.zeros(1, ranks)
    bias[:, top_k:] = -torch.inf
    how = Sampler(noise.unsqueeze(-1).unbind(1), (torch.full((1, 1), 1 / temperature),) * 2, (bias,) * 2)
    return how.codes(LOGITS.expand(DRAWS, -1), codebook)


@pytest.mark.parametrize(
    ("temperature", "top_k", "ranks"), [(1.0, 8, 8), (0.9, 3, 5), (0.9, 3, 8), (0.5, 5, 5), (2.0, 8, 8)]
)
def test_the_frequencies_over_many_seeds_are_those_of_the_softmax(temperature: float, top_k: int, ranks: int) -> None:
    kept = torch.full_like(LOGITS, -torch.inf)
    best = LOGITS.topk(top_k)
    kept[best.indices] = best.values / temperature
    expected = kept.softmax(0)
    found = torch.bincount(draw(temperature, top_k, ranks), minlength=len(LOGITS)) / DRAWS
    tolerance = 4 * (expected * (1 - expected) / DRAWS).sqrt() + 1e-9
    assert ((found - expected).abs() <= tolerance).all(), f"{found} instead of {expected}"


def test_one_allowed_rank_is_greedy_whatever_the_noise() -> None:
    assert (draw(1.0, 1, 8) == LOGITS.argmax()).all()
    assert (draw(1.0, 1, 1) == LOGITS.argmax()).all()


def test_codebooks_draw_from_noise_of_their_own() -> None:
    first, second = draw(1.0, 8, 8, 0), draw(1.0, 8, 8, 1)
    agreement = (first == second).float().mean()
    by_chance = LOGITS.softmax(0).square().sum()
    assert abs(agreement - by_chance) < 0.02


def test_the_noise_of_a_seed_is_the_same_for_any_length() -> None:
    assert np.array_equal(utterance_noise(7, 5, 4), utterance_noise(7, 50, 4)[:5])
    assert not np.array_equal(utterance_noise(7, 5, 4), utterance_noise(8, 5, 4))


def test_the_largest_noise_draws_the_last_allowed_rank() -> None:
    bias = torch.tensor([[0.0, 0.0, -torch.inf]])
    largest = torch.tensor([[np.nextafter(np.float32(1), np.float32(0))]])
    code = Sampler((largest,), (torch.ones(1, 1),), (bias,)).codes(LOGITS[None], 0)
    assert code.item() == LOGITS.topk(2).indices[1]
