"""Guided attention: some heads are told which character each frame speaks, others who speaks.

Which of several voices a segment is to be spoken in takes two looks: every frame at the speaker id in front of its
segment, and then the new segment at the frames that carry its own id. Unguided, that is not found in hours.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from training.codec.codes import NOWHERE

GUIDED_LAYERS = (1, 2, 3)  # one head, the first, in each
_REACH = 1  # characters to either side that count as right
NAMED_LAYER, SPEAKER_LAYERS = 1, (2, 3)  # the second head of each
SPEAKER_HEAD = 1


def attention_loss(weights: Sequence[Tensor], attend: Tensor) -> Tensor:
    """How little the guided heads look at the character that is spoken next.

    Args:
        weights: attention of each layer, [B, heads, S, S], rows summing to one.
        attend: int64 [B, S], the position to look at, or `NOWHERE`.

    Returns:
        Mean negative logarithm of the weight within one character of it.
    """
    row, position = (attend != NOWHERE).nonzero(as_tuple=True)
    middle = attend[row, position]
    total = weights[0].new_zeros((), dtype=torch.float32)
    for layer in GUIDED_LAYERS:
        shifts = range(-_REACH, _REACH + 1)
        near = torch.stack([weights[layer][row, 0, position, (middle + shift).clamp(min=0)] for shift in shifts])
        total = total - (near.float().sum(dim=0) + 1e-4).log().mean()
    return total / len(GUIDED_LAYERS)


def speaker_loss(weights: Sequence[Tensor], name: Tensor, speaker: Tensor, is_frame: Tensor, asked: Tensor) -> Tensor:
    """How little the guided heads look at their segment's speaker id, and at what that speaker said before.

    Args:
        weights: attention of each layer, [B, heads, S, S], rows summing to one.
        name: int64 [B, S], the position of the segment's speaker id, or `NOWHERE`.
        speaker: int64 [B, S], the speaker id.
        is_frame: bool [B, S].
        asked: bool [B, S], where earlier segments tell the voice, if there are any.

    Returns:
        Mean negative logarithm of the weight on the id, and of that on the frames of earlier segments with it.
    """
    row, position = (name != NOWHERE).nonzero(as_tuple=True)
    on_name = weights[NAMED_LAYER][row, SPEAKER_HEAD, position, name[row, position]].float()
    total = -(on_name + 1e-4).log().mean()
    row, position = (asked & (name != NOWHERE)).nonzero(as_tuple=True)
    places = torch.arange(speaker.shape[1], device=speaker.device)
    same = is_frame[row] & (speaker[row] == speaker[row, position, None]) & (places < name[row, position, None])
    told = same.any(dim=1)
    if not told.any():
        return total
    row, position, same = row[told], position[told], same[told]  # [N], [N], [N, S]
    for layer in SPEAKER_LAYERS:
        on_frames = (weights[layer][row, SPEAKER_HEAD, position].float() * same).sum(dim=1)
        total = total - (on_frames + 1e-4).log().mean()
    return total
