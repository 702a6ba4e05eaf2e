"""Muon: its steps are orthogonal, and it learns."""

import torch

from training.steps.muon import Muon, orthogonal, split


def test_a_step_has_singular_values_of_about_one():
    torch.manual_seed(0)
    for shape in ((24, 64), (64, 24)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.min() > 0.5 and values.max() < 1.4


def test_it_fits_a_convolution():
    torch.manual_seed(0)
    wanted, found = torch.nn.Conv1d(8, 8, 3), torch.nn.Conv1d(8, 8, 3)
    optimiser = Muon([found.weight], lr=0.02)
    found.bias = wanted.bias
    sound = torch.randn(16, 8, 50)
    losses = []
    for _ in range(200):
        loss = (found(sound) - wanted(sound)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())

    assert losses[-1] < 0.05 * losses[0]


def test_vectors_edges_and_what_is_not_trained_are_told_apart():
    layer = torch.nn.Linear(4, 4)
    one = torch.nn.Parameter(torch.zeros(1, 4))
    frozen = torch.nn.Parameter(torch.zeros(4, 4), requires_grad=False)
    named = [("in.weight", layer.weight), ("in.bias", layer.bias), ("in.one", one), ("in.frozen", frozen)]

    matrices, others = split([*named, ("head.weight", layer.weight)], lambda name: name.startswith("in."))

    assert [weight is layer.weight for weight in matrices] == [True]
    assert len(others) == 3 and others[0] is layer.bias
