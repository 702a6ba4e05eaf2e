"""The readouts that teach the decoder from the inside, and the distance between spectra."""

import pytest
import torch
from transformers import MimiModel

from tests.training.test_analysis import voice
from training.codec.readouts import SAMPLES_BETWEEN, Envelope, Readouts, decimated
from training.codec.spectra import SpectralDistance, mel_filters
from training.corpus.synthesis import SAMPLE_RATE
from training.sizes import FRAME_SAMPLES, codec_config


def test_readouts_of_a_fresh_decoder_are_finite_and_bring_gradients_to_the_latents():
    codec = MimiModel(codec_config())
    audio = voice(130.0)
    latents = torch.randn(1, 256, 8, requires_grad=True)
    stages = {}
    hidden = codec.decoder.upsample(latents)
    for index, layer in enumerate(codec.decoder.decoder_seanet.layers[:10]):
        hidden = layer(hidden)
        if index in SAMPLES_BETWEEN:
            stages[index] = hidden

    losses = Readouts(codec)(stages, audio, torch.tensor([130.0]), 0)
    torch.stack(list(losses.values())).sum().backward()

    assert set(losses) == {"bands", "slow_tone", "tone", "lowest", "low"}
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert latents.grad is not None and latents.grad.abs().sum() > 0


def test_the_envelope_has_one_position_each_5_ms():
    assert Envelope()(voice(130.0, frames=3)).shape == (1, 3 * FRAME_SAMPLES // 120, 40)


def test_audio_below_half_the_lower_rate_survives_it():
    low = decimated(voice(130.0), 4)

    assert low.shape == (1, 8 * FRAME_SAMPLES // 4)
    inside = slice(200, -200)  # what lies beyond the ends is not known
    assert torch.allclose(low[:, inside], voice(130.0)[:, ::4][:, inside], atol=0.02)


@pytest.mark.parametrize("rate", [SAMPLE_RATE, SAMPLE_RATE // 4])
def test_a_recording_is_at_no_distance_from_itself_and_silence_is_far(rate):
    distance, audio = SpectralDistance(rate), voice(130.0)

    assert float(distance(audio, audio, 0)[0]) == pytest.approx(0.0, abs=1e-5)
    assert float(distance(torch.zeros_like(audio), audio, 0)[1]["phase"]) == pytest.approx(1.0, abs=0.01)


def test_no_mel_band_is_empty():
    assert torch.allclose(mel_filters(256, 32, SAMPLE_RATE).sum(dim=1), torch.ones(32))
