"""A checkpoint speaking through transformers' own `generate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import CsmForConditionalGeneration, CsmProcessor

from csm_plugin.evaluation.errors import EvaluationError
from csm_plugin.model.opened import open_checkpoint
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling

LONGEST_FRAMES = 150

Turn = tuple[int, str, np.ndarray]
"""An earlier segment: speaker, text, float32 [samples] at 24 kHz."""


class Reference:
    """transformers' CSM on the CPU, in float32."""

    def __init__(self, folder: Path) -> None:
        """
        Args:
            folder: a checkpoint with a processor and a chat template.

        Raises:
            EvaluationError: transformers cannot load it.
        """
        try:
            self.processor = CsmProcessor.from_pretrained(folder, local_files_only=True)
            self.model = CsmForConditionalGeneration.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True
            ).eval()
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise EvaluationError(f"transformers cannot load {folder} ({type(error).__name__})") from error
        self.config = open_checkpoint(folder).config
        if not self.processor.chat_template:
            raise EvaluationError(f"{folder} holds no chat template, so transformers cannot speak with it")

    @torch.inference_mode()
    def codes(
        self,
        texts: Sequence[str],
        speakers: Sequence[int],
        context: Sequence[Sequence[Turn]] = (),
        sampling: Sampling | None = None,
        max_frames: int = LONGEST_FRAMES,
    ) -> list[Tensor]:
        """Generate a batch.

        Args:
            texts: one for each row.
            speakers: their speaker numbers.
            context: the earlier segments of each row; empty where there are none at all.
            sampling: temperature and top_k, the checkpoint's own where it has none, and seed (0 without one); greedy
                if None.
            max_frames: the most that are generated.

        Returns:
            int64 [frames, codebooks] for each row, without the frame that ends it.
        """
        conversations = [
            [*(_message(*earlier) for earlier in (context[row] if context else ())), _message(speaker, text)]
            for row, (text, speaker) in enumerate(zip(texts, speakers, strict=True))
        ]
        inputs = self.processor.apply_chat_template(conversations, tokenize=True, return_dict=True)
        chosen = Sampling(temperature=0) if sampling is None else sampling
        how: dict[str, Any] = {}
        for part, (temperature, top_k) in zip(
            ("", "depth_decoder_"), self.config.generation.drawing(chosen).parts, strict=True
        ):
            how |= {f"{part}do_sample": temperature > 0}
            if temperature > 0:
                how |= {f"{part}temperature": temperature, f"{part}top_k": top_k}
        torch.manual_seed(chosen.seed or 0)
        extra = list(range(self.model.config.codec_config.codebook_size, self.model.config.vocab_size))  # not codes
        how |= {"suppress_tokens": extra, "depth_decoder_suppress_tokens": extra}
        rows = self.model.generate(**inputs, max_new_tokens=max_frames, **how)  # [B, T, K]
        return [_ended(row) for row in rows]

    def say(
        self,
        texts: Sequence[str],
        speakers: Sequence[int],
        context: Sequence[Sequence[Turn]] = (),
        sampling: Sampling | None = None,
    ) -> list[np.ndarray]:
        """Generate a batch and decode it: float32 [samples] at 24 kHz for each row. Arguments as for `codes`."""
        return [self.decode(codes) for codes in self.codes(texts, speakers, context, sampling)]

    @torch.inference_mode()
    def encode(self, audio: np.ndarray) -> Tensor:
        """Codes [frames, codebooks] of float32 [samples] at 24 kHz."""
        return self.model.codec_model.encode(torch.from_numpy(audio)[None, None]).audio_codes[0].T

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> np.ndarray:
        """Float32 [samples] at 24 kHz from codes [frames, codebooks]."""
        if not len(codes):
            return np.zeros(0, np.float32)
        return self.model.codec_model.decode(codes.T[None]).audio_values[0, 0].numpy()


def _ended(codes: Tensor) -> Tensor:
    """What comes before the first frame of zeros; the last codebook does not count."""
    ends = (codes[:, :-1] == 0).all(dim=-1).nonzero()
    return codes[: int(ends[0])] if len(ends) else codes


def _message(speaker: int, text: str, audio: np.ndarray | None = None) -> dict[str, object]:
    content: list[dict[str, object]] = [{"type": "text", "text": text}]
    if audio is not None:
        content.append({"type": "audio", "path": audio, "sampling_rate": SAMPLE_RATE_HZ})
    return {"role": str(speaker), "content": content}
