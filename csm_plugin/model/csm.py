"""CSM in action: prefill what is new, then one frame for all live rows at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from csm_plugin.model.alignment import Alignment
from csm_plugin.model.build import build_backbone, build_depth, build_first_head, build_frame_embedding, reader
from csm_plugin.model.cache import KVCache
from csm_plugin.model.config import ModelConfig
from csm_plugin.model.depth import DepthDecoder
from csm_plugin.model.devices import send
from csm_plugin.model.mimi.build import build_mimi
from csm_plugin.model.opened import OpenedCheckpoint, open_checkpoint
from csm_plugin.model.rows import Rows
from csm_plugin.model.sampler import PARTS, Sampler, utterance_noise
from csm_plugin.settings import TEXT, Sampling


@dataclass(frozen=True, slots=True)
class Frames:
    """One frame of each row of a step, still on the device.

    Args:
        codes: int64 [B, codebooks]; all 0 (but for the last codebook) ends the utterance.
        pcm: float32 [B, frame_samples].
        finite: bool [B]; false where the row's logits or sound were NaN or infinite.
        tokens: float32 [B], which token of its text each row speaks, NaN where none is known; None for a checkpoint
            without alignment heads.
    """

    codes: Tensor
    pcm: Tensor
    finite: Tensor
    tokens: Tensor | None = None


class CSM:
    """Weights and static state of `rows` conversations. Not thread-safe: the device thread owns it.

    The positions of a context are int32 [n, 1 + codebooks]: a text token and `TEXT` in the code columns, or `TEXT` and
    the codes of a frame.
    """

    def __init__(
        self, checkpoint: OpenedCheckpoint | Path, *, device: torch.device, dtype: torch.dtype, rows: int
    ) -> None:
        """Load a checkpoint.

        Args:
            checkpoint: opened, or the folder of one that is complete.
            dtype: into which weights are read, one tensor at a time; the codec is always float32.

        Raises:
            CheckpointError: it cannot be used as it is.
        """
        opened = checkpoint if isinstance(checkpoint, OpenedCheckpoint) else open_checkpoint(checkpoint)
        config, tensors = opened.config, opened.tensors
        read = reader(tensors, dtype, device)
        self.config: ModelConfig = config
        self.device = device
        self.dtype = dtype
        self.rows = rows
        with torch.inference_mode():
            self.text_embedding = read("embed_text_tokens.weight", config.text_vocabulary, config.backbone.width)
            self.frame_embedding = build_frame_embedding(read, tensors, config)
            self.first_head = build_first_head(read, config)
            self.backbone = build_backbone(read, config, device)
            self.depth = DepthDecoder(*build_depth(read, tensors, config, device), rows)
            self.mimi = build_mimi(tensors, config.codec, device)
            self.cache = KVCache(self.backbone, rows, dtype, device)
            heads = config.generation.alignment_heads
            self.alignment = Alignment(heads, config.backbone, rows, device) if heads else None
            self.decoder_state = self.mimi.decoder_state(rows)
            self._code_offsets = torch.arange(config.codebooks, device=device) * config.codebook_size
            self._next_input = torch.zeros(rows, config.backbone.width, dtype=dtype, device=device)
            self._position = torch.zeros(rows, dtype=torch.int64, device=device)
            self._frame = torch.zeros(rows, dtype=torch.int64, device=device)
            self._noise = torch.zeros(rows, self.positions, config.codebooks, device=device)
            self._inverse_temperature = torch.ones(rows, len(PARTS), 1, device=device)
            self._rank_bias = torch.zeros(rows, len(PARTS), config.codebook_size, device=device)

    @property
    def positions(self) -> int:
        """How many positions a context holds."""
        return self.config.backbone.positions

    @property
    def bytes_per_row(self) -> int:
        """Memory of one more conversation: keys and values, codec state, noise."""
        return self.cache.bytes_per_row + self.decoder_state.bytes_per_row + self._noise[0].numel() * 4

    @torch.inference_mode()
    def prefill(self, row: int, start: int, inputs: np.ndarray) -> None:
        """Append positions to a row behind its first `start`, which must be valid.

        Args:
            inputs: int32 [n, 1 + codebooks].
        """
        self.backbone.run(self._embed(inputs), self.cache.prefill(row, start, len(inputs)))

    @torch.inference_mode()
    def begin(
        self,
        row: int,
        position: int,
        last: np.ndarray,
        sampling: Sampling,
        seed: int,
        max_frames: int,
        text: range = range(0),
    ) -> int:
        """Make a row live: its next step reads `last` (int32 [1, 1 + codebooks]) at `position`.

        Args:
            text: where in the row the tokens are that will be spoken, for word times.

        Returns:
            the most codes that it may choose from, as `step` wants to know.
        """
        drawing = self.config.generation.drawing(sampling)
        noise = utterance_noise(seed, max_frames, self.config.codebooks)
        self._next_input[row] = self._embed(last)[0]
        self._position[row] = position
        self._frame[row] = 0
        self._noise[row, :max_frames] = send(noise, self.device)
        self._rank_bias[row] = 0.0
        for part, (temperature, top_k) in enumerate(drawing.parts):
            self._inverse_temperature[row, part] = 1.0 / temperature if temperature > 0 else 1.0
            self._rank_bias[row, part, top_k:] = -torch.inf
        self.decoder_state.reset(Rows([row], self.device))
        if self.alignment is not None:
            self.alignment.begin(row, text)
        return drawing.largest_top_k

    @torch.inference_mode()
    def end(self, row: int) -> None:
        """Make a row idle; its cache stays."""
        self._position[row] = self.positions

    @torch.inference_mode()
    def step(self, rows: Rows, top_k: int, lengths: list[int] | None) -> Frames:
        """Make the next frame of some rows, without waiting for the device.

        Args:
            rows: rows that are not live among them, as `rows.live` tells, stay as they are.
            top_k: the most codes that a live row may choose from (1 where all are greedy).
            lengths: each row's valid positions, so that attention reads no more than those; None for fixed shapes.
        """
        positions, frame = rows.take(self._position), rows.take(self._frame)
        probe = None if self.alignment is None else self.alignment.probe(rows, fixed_shapes=lengths is None)
        attend = self.cache.step(rows, positions, lengths, probe)
        hidden = self.backbone.run(rows.take(self._next_input).clone(), attend)  # [B, D]
        logits = F.linear(hidden, self.first_head)
        sampler = Sampler(
            uniform=self._noise[rows.index, frame].unsqueeze(-1).unbind(1),
            inverse_temperature=rows.take(self._inverse_temperature).unbind(1),
            rank_bias=rows.take(self._rank_bias)[:, :, :top_k].unbind(1),
        )
        codes, last_logits = self.depth.frame(hidden, sampler.codes(logits, 0), sampler)
        pcm = self.mimi.decode(codes[:, None], self.decoder_state, rows)
        rows.put(self._next_input, self._embed_frames(codes))
        rows.put(self._position, positions + 1)
        rows.put(self._frame, frame + 1)
        failed = logits.sum(-1, dtype=torch.float32) + last_logits.sum(-1, dtype=torch.float32) + pcm.sum(-1)
        tokens = self.alignment.tokens(rows, probe) if self.alignment is not None and probe is not None else None
        return Frames(codes, pcm, torch.isfinite(failed), tokens)

    @torch.inference_mode()
    def snapshot(self, row: int, length: int) -> Tensor:
        """Copy the first positions of a row's cache, to start other rows from."""
        return self.cache.snapshot(row, length)

    @torch.inference_mode()
    def restore(self, row: int, snapshot: Tensor) -> None:
        """Start a row from a copy."""
        self.cache.restore(row, snapshot)

    @torch.inference_mode()
    def clear(self, row: int) -> None:
        """Forget a row's cache, not-finite numbers included."""
        self.cache.clear(row)

    def _embed(self, inputs: np.ndarray) -> Tensor:
        """Return the embeddings [n, D] of context positions."""
        inputs = inputs.astype(np.int64)
        is_text = inputs[:, 0] != TEXT
        x = torch.empty(len(inputs), self.config.backbone.width, dtype=self.dtype, device=self.device)
        if is_text.any():
            tokens = send(inputs[is_text, 0], self.device)
            x[send(np.flatnonzero(is_text), self.device)] = F.embedding(tokens, self.text_embedding)
        if not is_text.all():
            codes = send(inputs[~is_text, 1:], self.device)
            x[send(np.flatnonzero(~is_text), self.device)] = self._embed_frames(codes)
        return x

    def _embed_frames(self, codes: Tensor) -> Tensor:
        return F.embedding(codes + self._code_offsets, self.frame_embedding).sum(1)
