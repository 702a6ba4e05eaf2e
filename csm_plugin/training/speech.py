"""An exported checkpoint speaking through transformers: how it is judged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import CsmForConditionalGeneration, CsmProcessor

from csm_plugin.training import files
from csm_plugin.training.synthesis import SAMPLE_RATE

LONGEST_FRAMES = 150


class Speaker:
    """transformers' own CSM, on the CPU, in float32."""

    def __init__(self, place: Path) -> None:
        """
        Args:
            place: an exported folder.

        Raises:
            MissingInput: it is not there.
        """
        files.require(place / "config.json", "export")
        self.processor = CsmProcessor.from_pretrained(place)
        self.model = CsmForConditionalGeneration.from_pretrained(place, dtype=torch.float32).eval()

    @torch.inference_mode()
    def say(
        self,
        texts: Sequence[str],
        speakers: Sequence[int],
        context: Sequence[Sequence[tuple[int, str, np.ndarray]]] | None = None,
        temperature: float = 0.6,
        seed: int = 0,
    ) -> list[np.ndarray]:
        """Speak a batch.

        Args:
            texts: one for each row.
            speakers: their speaker ids.
            context: for each row the earlier segments: speaker id, text, float32 [samples] at 24 kHz.
            temperature: 0 is greedy.
            seed: of the sampling.

        Returns:
            float32 [samples] for each row, without the frame that ends it.
        """
        conversations = []
        for row, (text, speaker) in enumerate(zip(texts, speakers, strict=True)):
            turns = [_turn(*earlier) for earlier in (context[row] if context else ())]
            conversations.append([*turns, _turn(speaker, text, None)])
        inputs = self.processor.apply_chat_template(conversations, tokenize=True, return_dict=True)
        torch.manual_seed(seed)
        sampling: dict[str, float] = {"do_sample": temperature > 0, "depth_decoder_do_sample": temperature > 0}
        if temperature > 0:
            sampling |= {"temperature": temperature, "depth_decoder_temperature": temperature}
        codes = self.model.generate(**inputs, max_new_tokens=LONGEST_FRAMES, **sampling)  # [B, T, K]
        return [self._decoded(row) for row in codes]

    def _decoded(self, codes: torch.Tensor) -> np.ndarray:
        ends = (codes[:, :-1] == 0).all(dim=-1).nonzero()
        codes = codes[: int(ends[0])] if len(ends) else codes
        if not len(codes):
            return np.zeros(0, np.float32)
        return self.model.codec_model.decode(codes.T[None]).audio_values[0, 0].numpy()


def _turn(speaker: int, text: str, audio: np.ndarray | None) -> dict[str, object]:
    content: list[dict[str, object]] = [{"type": "text", "text": text}]
    if audio is not None:
        content.append({"type": "audio", "path": audio, "sampling_rate": SAMPLE_RATE})
    return {"role": str(speaker), "content": content}
