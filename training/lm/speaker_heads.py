"""How the speaker heads start: one writes down who speaks, the next two compare that.

Left to gradients alone, a query and a key that are equal for equal speaker ids are not found in a thousand steps,
because neither is of any use without the other. Both are read from what the layers see by least squares, and trained
from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import CsmBackboneModel

from training.codec.codes import NOWHERE
from training.lm.batches import IGNORED, SPEAKERS
from training.lm.guidance import NAMED_LAYER, SPEAKER_HEAD, SPEAKER_LAYERS

_WRITTEN = 0.35  # length of what tells the speaker, of that of everything the layer behind sees
_SAME, _FRAME = 8.0, 6.0  # how much the weight's logarithm grows by at the same speaker, and at a frame
_KEPT = 0.2  # of the weights that were there
_SHRINKAGE = 0.02  # of the mean variance, added to each


@dataclass(frozen=True, slots=True)
class Lesson:
    """A batch, as the backbone gets it.

    Args:
        embedded: float32 [B, S, D].
        name: int64 [B, S], the position of the segment's speaker id, or `NOWHERE`.
        speaker: int64 [B, S], the speaker id.
        is_frame: bool [B, S].
        voice: int64 [B, S], the voice where earlier segments or the id tell it, or `IGNORED`.
    """

    embedded: Tensor
    name: Tensor
    speaker: Tensor
    is_frame: Tensor
    voice: Tensor


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a layer sees at N positions: `stream` [N, D] before and `input` [N, D] behind its normalisation."""

    stream: Tensor
    input: Tensor
    speaker: Tensor
    is_frame: Tensor
    is_name: Tensor
    is_asked: Tensor


@torch.no_grad()
def start(backbone: CsmBackboneModel, lessons: Sequence[Lesson]) -> None:
    """Overwrite the speaker heads' weights in place.

    Args:
        backbone: whose named layer looks at the speaker id already.
        lessons: some thousand positions, with all speaker ids.
    """
    _write_names(backbone, lessons)
    for layer in SPEAKER_LAYERS:
        _compare(backbone, lessons, layer)


def _write_names(backbone: CsmBackboneModel, lessons: Sequence[Lesson]) -> None:
    """Have the named layer's head write a code of the id where the stream varies least."""
    seen = _see(backbone, lessons, NAMED_LAYER)
    behind = _see(backbone, lessons, NAMED_LAYER + 1).stream
    read = _readout(seen.input[seen.is_name], _code(seen.speaker[seen.is_name]))  # [I, D]
    quiet = torch.linalg.eigh(torch.cov(behind.double().T)).eigenvectors[:, :SPEAKERS]  # [D, I], ascending
    gain = (_WRITTEN * behind.norm(dim=1).mean()) ** 0.5
    head, attention = _rows(backbone), backbone.layers[NAMED_LAYER].self_attn
    attention.v_proj.weight[head] *= _KEPT
    attention.o_proj.weight[:, head] *= _KEPT
    places = head[:SPEAKERS]
    attention.v_proj.weight[places] = (gain * read).to(attention.v_proj.weight)
    attention.o_proj.weight[:, places] = (gain * quiet).to(attention.o_proj.weight)


def _compare(backbone: CsmBackboneModel, lessons: Sequence[Lesson], layer: int) -> None:
    """Have a head look at frames with its own id, from the positions that are asked for the voice."""
    seen = _see(backbone, lessons, layer)
    asking, frames = seen.is_asked, seen.is_frame
    who_asks = _readout(seen.input[asking], _code(seen.speaker[asking]))  # [I, D]
    who_speaks = _readout(seen.input[frames], _code(seen.speaker[frames]))
    always = _readout(seen.input[asking], seen.input.new_ones(int(asking.sum()), 1))  # [1, D]
    is_frame = _readout(seen.input, seen.is_frame[:, None].to(seen.input))
    attention = backbone.layers[layer].self_attn
    same, frame = ((gain / attention.scaling) ** 0.5 for gain in (_SAME, _FRAME))
    head = _rows(backbone)
    # rotary embedding turns entry i with i + half; the last ones before the half turn least
    places = head[: len(head) // 2].flip(0)[: SPEAKERS + 1]
    for projection, rows in (
        (attention.q_proj, torch.cat([same * who_asks, frame * always])),
        (attention.k_proj, torch.cat([same * who_speaks, frame * is_frame])),
    ):
        projection.weight[head] *= _KEPT
        projection.weight[places] = rows.to(projection.weight)


def _see(backbone: CsmBackboneModel, lessons: Sequence[Lesson], layer: int) -> _Seen:
    parts: list[tuple[Tensor, ...]] = []
    for lesson in lessons:
        states = backbone(inputs_embeds=lesson.embedded, use_cache=False, output_hidden_states=True).hidden_states
        stream = states[layer].float()
        places = torch.arange(stream.shape[1], device=stream.device)
        known = lesson.name != NOWHERE
        parts.append(
            tuple(
                values[known]
                for values in (
                    stream,
                    backbone.layers[layer].input_layernorm(stream),
                    lesson.speaker,
                    lesson.is_frame,
                    places == lesson.name,
                    lesson.voice != IGNORED,
                )
            )
        )
    return _Seen(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _rows(backbone: CsmBackboneModel) -> Tensor:
    """The rows of a projection that belong to the speaker head."""
    size = backbone.layers[NAMED_LAYER].self_attn.head_dim
    return torch.arange(size * SPEAKER_HEAD, size * (SPEAKER_HEAD + 1))


def _code(speaker: Tensor) -> Tensor:
    """Speaker ids [N] as [N, I]: products are higher by one for equal ids, and the mean is zero."""
    return torch.eye(SPEAKERS, device=speaker.device)[speaker] - 1 / SPEAKERS


def _readout(inputs: Tensor, wanted: Tensor) -> Tensor:
    """Weights [I, D] that best give `wanted` [N, I] from `inputs` [N, D]: least squares, shrunk a little."""
    inputs, wanted = inputs.double(), wanted.double()
    moments = inputs.T @ inputs / len(inputs)
    moments += _SHRINKAGE * moments.diagonal().mean() * torch.eye(len(moments), dtype=moments.dtype).to(moments)
    return torch.linalg.solve(moments, inputs.T @ wanted / len(inputs)).T
