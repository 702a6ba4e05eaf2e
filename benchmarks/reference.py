"""Both sides of a comparison on the same weights: transformers' `generate` and this package's steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import CsmForConditionalGeneration
from transformers.utils import logging

from csm_plugin.model.csm import CSM, TEXT
from csm_plugin.model.rows import Rows
from csm_plugin.model.tokenizer import SegmentTokenizer
from csm_plugin.settings import Sampling

logging.set_verbosity_error()
logging.disable_progress_bar()
SAMPLING = Sampling(temperature=0.9, top_k=50, seed=1)
PROMPT = "hello there, how are you today?"


class Reference:
    """transformers' `generate` with the sampling that CSM is published with."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        self.model = CsmForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()
        self.tokens = torch.from_numpy(SegmentTokenizer(folder).encode(PROMPT, 0).astype(np.int64))[None]
        codes = self.model.config.codec_config.codebook_size
        extra = list(range(codes, self.model.config.vocab_size))  # ids that are no codes crash the codec
        self.settings: dict[str, Any] = {
            "suppress_tokens": extra,
            "depth_decoder_suppress_tokens": extra,
            "pad_token_id": 0,
            "do_sample": True,
            "temperature": SAMPLING.temperature,
            "top_k": SAMPLING.top_k,
            "depth_decoder_do_sample": True,
            "depth_decoder_temperature": SAMPLING.temperature,
            "depth_decoder_top_k": SAMPLING.top_k,
        }

    @torch.inference_mode()
    def speak(self, frames: int, codec: bool) -> None:
        """Generate exactly `frames` frames, decoded with the codec if wanted."""
        out = self.model.generate(
            input_ids=self.tokens,
            attention_mask=torch.ones_like(self.tokens),
            max_new_tokens=frames,
            output_audio=codec,
            **self.settings,
        )
        made = out[0].shape[-1] // 1_920 if codec else out.shape[1]
        if made != frames:
            raise RuntimeError(f"transformers made {made} frames where {frames} were asked for")


class Ours:
    """The first `count` rows, stepped together."""

    def __init__(self, model: CSM, folder: Path, count: int) -> None:
        self.model = model
        self.rows = Rows(range(count), model.device)
        tokens = SegmentTokenizer(folder).encode(PROMPT, 0)
        self.inputs = np.full((len(tokens), 1 + model.config.codebooks), TEXT, np.int32)
        self.inputs[:, 0] = tokens

    def speak(self, frames: int) -> None:
        """Prefill the text and make `frames` frames for every row."""
        held = len(self.inputs) - 1
        for row in self.rows.numbers:
            self.model.prefill(row, 0, self.inputs[:-1])
            self.model.begin(row, held, self.inputs[-1:], SAMPLING, row, frames)
        for frame in range(frames):
            self.model.step(self.rows, SAMPLING.top_k, [held + frame] * len(self.rows)).pcm.cpu()


def reply(model: CSM, row: int, held: int, text: np.ndarray) -> None:
    """Prefill a text behind `held` positions of a row and make the first frame."""
    start = held + len(text) - 1
    model.prefill(row, held, text[:-1])
    model.begin(row, start, text[-1:], SAMPLING, 1, 100)
    model.step(Rows([row], model.device), SAMPLING.top_k, [start]).pcm.cpu()


class NoCodec:
    """Stands in for the codec where only the language model is timed."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def decode(self, codes: Tensor, *_: object) -> Tensor:
        return torch.zeros(len(codes), self.samples, device=codes.device)
