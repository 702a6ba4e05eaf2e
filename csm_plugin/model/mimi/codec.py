"""The codec: 24 kHz mono in, codes out, and back, chunk by chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from csm_plugin.model.mimi.attention import WindowTransformer
from csm_plugin.model.mimi.conv import CausalConv, ResidualUnit, Sizes, Upsample, elu
from csm_plugin.model.mimi.quantizer import SplitQuantizer
from csm_plugin.model.mimi.stream import StreamState
from csm_plugin.model.rows import Rows

CACHED = 2**16  # numbers that stay in a CPU's cache from layer to layer; rows that together are more go one by one


class StreamLayer(Protocol):
    """A layer that continues a stream."""

    def state(self) -> Sizes: ...

    def __call__(self, x: Tensor, state: StreamState, rows: Rows) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class SeaNet:
    """A run of convolutions with ELU before each but the first; residual units bring their own."""

    layers: list[CausalConv | ResidualUnit]

    def state(self) -> Sizes:
        return {name: size for layer in self.layers for name, size in layer.state().items()}

    def __call__(self, x: Tensor, state: StreamState, rows: Rows, start: int = 0) -> Tensor:
        """Run the next chunk [B, T, C] through the layers from `start` on."""
        for index, layer in enumerate(self.layers[start:], start):
            if len(rows) > 1 and x.is_cpu and x.numel() > CACHED:
                return torch.cat([self(x[i : i + 1], state, row, index) for i, row in enumerate(rows.each)])
            x = layer(x if index == 0 or isinstance(layer, ResidualUnit) else elu(x), state, rows)
        return x


@dataclass(frozen=True, slots=True)
class Mimi:
    """Encoder and decoder over shared codebooks, always in float32.

    Streams are rows of a `StreamState`; any number of rows advances in one call. Not thread-safe.
    """

    encoder: SeaNet
    encoder_transformer: WindowTransformer
    downsample: CausalConv
    quantizer: SplitQuantizer
    upsample: Upsample
    decoder_transformer: WindowTransformer
    decoder: SeaNet
    frame_samples: int
    device: torch.device

    def encoder_state(self, rows: int = 1) -> StreamState:
        """Return fresh encoder streams."""
        return self._state((self.encoder, self.encoder_transformer, self.downsample), rows)

    def decoder_state(self, rows: int = 1) -> StreamState:
        """Return fresh decoder streams."""
        return self._state((self.upsample, self.decoder_transformer, self.decoder), rows)

    def encode(self, pcm: Tensor, state: StreamState, rows: Rows) -> Tensor:
        """Encode the next whole frames of some streams.

        Args:
            pcm: float32 [B, n * frame_samples].

        Returns:
            codes, int64 [B, n, codebooks].
        """
        fresh = rows.take(state.position) == 0
        x = self.encoder(pcm[:, :, None], state, rows)  # [B, 2 n, D]
        x = self.encoder_transformer(x, state, rows)
        return self.quantizer.encode(self.downsample(x, state, rows, fresh))

    def decode(self, codes: Tensor, state: StreamState, rows: Rows) -> Tensor:
        """Decode the next frames of some streams.

        Args:
            codes: int64 [B, n, codebooks].

        Returns:
            pcm, float32 [B, n * frame_samples].
        """
        x = self.upsample(self.quantizer.decode(codes), state, rows)  # [B, 2 n, D]
        x = self.decoder_transformer(x, state, rows)
        return self.decoder(x, state, rows)[:, :, 0]

    def _state(self, layers: tuple[StreamLayer, ...], rows: int) -> StreamState:
        sizes = {name: size for layer in layers for name, size in layer.state().items()}
        return StreamState(sizes, rows, self.device)
