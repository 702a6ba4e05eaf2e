"""The same codes as transformers' `generate`, in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from csm_plugin.model.csm import CSM
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.model.rows import Rows
from csm_plugin.settings import FRAME_SAMPLES
from tests.model.helpers import CPU, Speaker, frame_positions, reference_of, speak, text_positions, tokens_of

FRAMES = 100
SAID_FRAMES = 12


def generated(reference: Any, tokens: np.ndarray, **audio: Tensor) -> Tensor:
    """Return greedy codes [frames, codebooks]; ids that are no codes are out of reach, as they are here."""
    codes = reference.config.codec_config.codebook_size
    extra = list(range(codes, reference.config.vocab_size))
    input_ids = torch.from_numpy(tokens.astype(np.int64))[None]
    with torch.no_grad():
        out = reference.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            max_new_tokens=FRAMES,
            do_sample=False,
            depth_decoder_do_sample=False,
            suppress_tokens=extra,
            depth_decoder_suppress_tokens=extra,
            pad_token_id=0,
            **audio,
        )
    return out[0]


@pytest.fixture(
    scope="module",
    params=[
        {"codebooks": 8, "tied": True},
        {"codebooks": 8, "tied": False},
        {"codebooks": 32, "tied": True},
        {"codebooks": 32, "tied": False},
        {"codebooks": 8, "tied": True, "depth": (3, 64, 4, 2, 64)},  # more than its first layer sees both of its start
    ],
    ids=lambda config: ", ".join(f"{name} {value}" for name, value in config.items()),
)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("parity"), **request.param)


@pytest.mark.parametrize("heard", [False, True], ids=["without audio context", "with audio context"])
def test_greedy_codes_equal_those_of_transformers_for_100_frames(checkpoint: Path, heard: bool) -> None:
    model = CSM(checkpoint, device=CPU, dtype=torch.float32, rows=3)
    reference = reference_of(checkpoint)
    assert reference.config.rope_parameters["rope_type"] == "llama3"
    text = tokens_of(checkpoint, "and what do you say to that?", 1)
    if heard:
        said = tokens_of(checkpoint, "it is raining again", 0)
        pcm = 0.3 * torch.randn(1, SAID_FRAMES * FRAME_SAMPLES, generator=torch.Generator().manual_seed(3))
        with torch.inference_mode():
            codes = model.mimi.encode(pcm, model.mimi.encoder_state(), Rows([0], CPU))[0]
        closing = np.zeros((1, model.config.codebooks))
        context = np.concatenate(
            (text_positions(model, said), frame_positions(codes), frame_positions(closing), text_positions(model, text))
        )
        placeholders = [reference.config.audio_token_id] * SAID_FRAMES + [reference.config.audio_eos_token_id]
        expected = generated(
            reference,
            np.concatenate((said, placeholders, text)),
            input_values=pcm[None],
            input_values_cutoffs=torch.tensor([[pcm.shape[1]]]),
        )
    else:
        context = text_positions(model, text)
        expected = generated(reference, text)
    speaker = Speaker.begin(model, 1, context)
    assert torch.equal(speak(speaker, len(expected), top_k=1), expected)
    assert len(expected) == FRAMES


def test_streamed_sound_equals_the_codec_of_transformers(folder: Path, model: CSM) -> None:
    speaker = Speaker.begin(model, 5, text_positions(model, tokens_of(folder)))
    codes = speak(speaker, 30, top_k=1)
    with torch.no_grad():
        whole = reference_of(folder).codec_model.decode(codes.T[None]).audio_values[0, 0]
    assert (torch.cat(speaker.pcm) - whole).abs().max() < 1e-4
    assert whole.abs().max() > 1e-3
