"""Where in its text each row speaks, read from the attention of heads that are known to look there.

A checkpoint names them in `generation_config.json`, as Whisper's do: `"alignment_heads": [[layer, head], ...]`, of the
backbone. At the position that predicts a frame they look at the token that the frame speaks. The scores of the heads
are added, which multiplies what they hold likely, and the mean place is taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.rows import Rows
from csm_plugin.model.transformer import TransformerShape

Seen = tuple[slice, tuple[Tensor, ...], tuple[Tensor, ...], Tensor | None]
"""A run of rows: their places in the batch, each layer's keys [b, Hkv, end, hd] and values, and their mask."""


class AttentionProbe:
    """Adds up the attention scores of one step's heads, in float32: they are large, and half a token's place hangs on
    differences that 16 bits would round away.

    Args:
        heads: of each layer, as (key head, query head of its group).
        texts: for each run of rows, 0 at the positions of their texts and -inf at others, float32 [b, window].
        window: the positions that matter.
        scale: of the scores.
    """

    def __init__(
        self, heads: Mapping[int, Sequence[tuple[int, int]]], texts: Sequence[Tensor], window: range, scale: float
    ) -> None:
        self.window = window
        self._heads = heads
        self._scores = [text.unsqueeze(-1) for text in texts]
        self._scale = scale

    def look(self, layer: int, queries: Tensor, seen: Sequence[Seen]) -> None:
        """Take in the attention of a layer.

        Args:
            queries: [B, Hkv, G, hd].
            seen: what they see, run by run.
        """
        for key_head, query_head in self._heads.get(layer, ()):
            for run, (batch, keys, _, _) in enumerate(seen):
                read = keys[layer][:, key_head, self.window.start : self.window.stop].float()  # [b, window, hd]
                query = queries[batch, key_head, query_head].unsqueeze(-1).float()  # [b, hd, 1]
                scores = self._scores[run][:, : read.shape[1]]
                self._scores[run] = torch.baddbmm(scores, read, query, alpha=self._scale)

    @property
    def scores(self) -> Tensor:
        """The sum over the heads, -inf outside of a row's text: float32 [B, window]."""
        if len(self._scores) == 1:
            return self._scores[0].squeeze(-1)
        rest = [len(self.window) - scores.shape[1] for scores in self._scores]  # what a run does not see
        padded = [F.pad(s, (0, 0, 0, more), value=-torch.inf) for s, more in zip(self._scores, rest, strict=True)]
        return torch.cat(padded).squeeze(-1)


class Alignment:
    """The texts that the rows speak, and the heads that follow them. Not thread-safe: the device thread owns it.

    Args:
        heads: (layer, head) of the backbone.
        shape: of the backbone.
        rows: how many conversations there are.
    """

    def __init__(
        self,
        heads: Sequence[tuple[int, int]],
        shape: TransformerShape,
        rows: int,
        device: torch.device,
    ) -> None:
        group = shape.heads // shape.kv_heads
        self._heads: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for layer, head in heads:
            self._heads[layer].append((head // group, head % group))
        self._scale = shape.head_dim**-0.5
        self._places = torch.arange(shape.positions, dtype=torch.float32, device=device)  # [P]
        self._first = torch.zeros(rows, device=device)
        self._texts = torch.full((rows, shape.positions), -torch.inf, device=device)
        self._on_host = [range(0)] * rows

    def begin(self, row: int, text: range) -> None:
        """Follow the text whose tokens are at these positions of a row; nothing, if it is empty."""
        self._on_host[row] = text
        self._first[row] = text.start
        self._texts[row] = -torch.inf
        self._texts[row, text.start : text.stop] = 0.0

    def probe(self, rows: Rows, *, fixed_shapes: bool) -> AttentionProbe:
        """Return what takes in the attention of one step, of the rows' texts only unless in fixed shapes."""
        if fixed_shapes:
            window = range(len(self._places))
        else:
            spans = [self._on_host[row] for row in rows.numbers]
            window = range(min(span.start for span in spans), max(1, *(span.stop for span in spans)))
        texts = [self._texts[kept, window.start : window.stop] for _, kept in rows.runs]
        return AttentionProbe(self._heads, texts, window, self._scale)

    def tokens(self, rows: Rows, probe: AttentionProbe) -> Tensor:
        """Return where each row's text is spoken, as an index of its tokens: float32 [B], NaN without a text."""
        places = self._places[probe.window.start : probe.window.stop]
        return torch.mv(torch.softmax(probe.scores, dim=-1), places) - rows.take(self._first)
