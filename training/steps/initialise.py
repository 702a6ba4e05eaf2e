"""Data-dependent initialisation: every layer starts with an output of unit variance.

With the usual random weights a deep codec's signal dies out or explodes within a few layers, and its codebooks collapse
to a handful of codes.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import MimiModel
from transformers.models.mimi.modeling_mimi import MimiResnetBlock

_BRANCH = 0.5  # what a residual branch adds, against its input


@torch.no_grad()
def unit_variance(codec: MimiModel, forward: Callable[[], Tensor], output: float | None) -> None:
    """Scale the convolutions of a fresh codec in place.

    Args:
        codec: with random weights.
        forward: runs the part of it that is trained on one batch.
        output: standard deviation that the decoder's last layer should give, if it is run.
    """
    targets: dict[nn.Module, float] = {
        module: 1.0 for module in codec.modules() if isinstance(module, nn.Conv1d | nn.ConvTranspose1d)
    }
    for block in codec.modules():
        if isinstance(block, MimiResnetBlock):
            targets[block.block[-1].conv] = _BRANCH
    last = codec.decoder.decoder_seanet.layers[-1].conv
    targets[last] = 1.0 if output is None else output

    def scale(module: nn.Module, inputs: tuple[Tensor, ...], result: Tensor) -> Tensor:
        factor = targets[module] / float(result.std() + 1e-8)
        module.get_parameter("weight").mul_(factor)
        return result * factor

    handles = []
    for module in targets:
        if getattr(module, "bias", None) is not None:
            module.get_parameter("bias").zero_()
        handles.append(module.register_forward_hook(scale))
    forward()
    for handle in handles:
        handle.remove()
