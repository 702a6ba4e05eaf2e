"""The codec in a stream equals the codec at once, for any chunking, rows beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from csm_plugin.model.csm import CSM
from csm_plugin.model.random_checkpoint import write_random_checkpoint
from csm_plugin.model.rows import Rows
from csm_plugin.settings import FRAME_SAMPLES
from tests.model.helpers import CPU, reference_of

FRAMES = 42
ROWS = Rows([0], CPU)


@pytest.fixture(scope="module")
def codes() -> torch.Tensor:
    return torch.randint(0, 256, (1, FRAMES, 8), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def pcm() -> torch.Tensor:
    return 0.3 * torch.randn(1, FRAMES * FRAME_SAMPLES, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_streamed_decoding_equals_decoding_at_once(model: CSM, folder: Path, codes: torch.Tensor, chunk: int) -> None:
    state = model.mimi.decoder_state()
    with torch.inference_mode():
        streamed = torch.cat([model.mimi.decode(part, state, ROWS) for part in codes.split(chunk, dim=1)], dim=1)
        at_once = model.mimi.decode(codes, model.mimi.decoder_state(), ROWS)
    with torch.no_grad():
        reference = reference_of(folder).codec_model.decode(codes.transpose(1, 2)).audio_values[:, 0]
    assert (streamed - reference).abs().max() < 1e-4
    assert (streamed - at_once).abs().max() < 1e-4
    assert reference.abs().max() > 1e-3


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_streamed_encoding_gives_the_codes_of_encoding_at_once_but_for_ties(
    model: CSM, folder: Path, pcm: torch.Tensor, chunk: int
) -> None:
    state = model.mimi.encoder_state()
    with torch.inference_mode():
        parts = pcm.split(chunk * FRAME_SAMPLES, dim=1)
        streamed = torch.cat([model.mimi.encode(part, state, ROWS) for part in parts], dim=1)[0]
    reference = reference_of(folder).codec_model
    with torch.no_grad():
        expected = reference.encode(pcm[:, None]).audio_codes[0].T
    for frame, codebook in (streamed != expected).nonzero().tolist():
        if (streamed[frame, :codebook] == expected[frame, :codebook]).all():  # what follows a tie differs anyway
            assert tie(reference, pcm, streamed[frame], expected[frame], frame, codebook) < 1e-4


def tie(reference, pcm, one, other, frame: int, codebook: int) -> float:  # type: ignore[no-untyped-def]
    """Return how much nearer, relative to the distance, one of two codes is to what is to be quantised."""
    with torch.no_grad():
        latents = reference.downsample(
            reference.encoder_transformer(reference.encoder(pcm[:, None]).transpose(1, 2))[0].transpose(1, 2)
        )
        kind = "semantic" if codebook == 0 else "acoustic"
        quantizer = getattr(reference.quantizer, f"{kind}_residual_vector_quantizer")
        residual = quantizer.input_proj(latents)[0, :, frame]
        start = 0 if codebook == 0 else 1
        for index in range(start, codebook):
            residual = residual - quantizer.layers[index - start].codebook.embed[one[index]]
        book = quantizer.layers[codebook - start].codebook.embed
        near, far = ((residual - book[code[codebook]]).norm() for code in (one, other))
    return float((near - far).abs() / far)


def test_rows_in_one_call_sound_as_alone_at_positions_of_their_own(model: CSM, codes: torch.Tensor) -> None:
    rows = torch.cat((codes, codes.flip(1), codes.roll(5, 1)))
    with torch.inference_mode():
        expected = torch.cat([model.mimi.decode(row[None], model.mimi.decoder_state(), ROWS) for row in rows])
        state = model.mimi.decoder_state(5)
        early = model.mimi.decode(rows[1:2, :3], state, Rows([4], CPU))  # one row is ahead of the others
        got = [model.mimi.decode(rows[:, i : i + 1], state, Rows([0, 2, 3], CPU)) for i in range(10)]
        later = model.mimi.decode(rows[1:2, 3:10], state, Rows([4], CPU))
    assert (torch.cat(got, dim=1) - expected[:, : 10 * FRAME_SAMPLES]).abs().max() < 1e-4
    assert (torch.cat((early, later), dim=1) - expected[1, : 10 * FRAME_SAMPLES]).abs().max() < 1e-4


def test_a_reset_row_starts_as_a_fresh_one_and_the_others_go_on(model: CSM, codes: torch.Tensor) -> None:
    with torch.inference_mode():
        expected = model.mimi.decode(codes[:, :6], model.mimi.decoder_state(), ROWS)[0]
        state = model.mimi.decoder_state(2)
        both = Rows([0, 1], CPU)
        first = model.mimi.decode(codes[:, :3].expand(2, -1, -1), state, both)
        state.reset(Rows([0], CPU))
        second = model.mimi.decode(torch.cat((codes[:, :3], codes[:, 3:6])), state, both)
    assert (second[0] - first[0]).abs().max() < 1e-4
    assert (second[1] - expected[3 * FRAME_SAMPLES :]).abs().max() < 1e-4


def test_wide_rows_that_go_one_by_one_sound_as_alone(tmp_path: Path) -> None:
    """A CPU runs the widest layers row by row once a batch outgrows its cache; the tiny codec never does."""
    folder = write_random_checkpoint(tmp_path, "small", backbone=(1, 32, 2, 1, 32), depth=(1, 32, 2, 1, 32), codes=64)
    model = CSM(folder, device=CPU, dtype=torch.float32, rows=8)
    codes = torch.randint(0, 64, (8, 2, 12), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        together = model.mimi.decode(codes, model.mimi.decoder_state(8), Rows(range(8), CPU))
        alone = torch.cat([model.mimi.decode(row[None], model.mimi.decoder_state(), ROWS) for row in codes])
    assert (together - alone).abs().max() < 1e-4
