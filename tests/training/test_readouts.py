"""The fundamental that the codec is asked for, the envelope, and the distance between spectra."""

import numpy as np
import pytest
import torch
from transformers import MimiModel

from csm_plugin.training.readouts import Envelope, Readouts, fundamental
from csm_plugin.training.sizes import FRAME_SAMPLES, codec_config
from csm_plugin.training.spectra import SpectralDistance, mel_filters
from csm_plugin.training.synthesis import SAMPLE_RATE


def voice(hz: float, frames: int = 8) -> torch.Tensor:
    times = torch.arange(frames * FRAME_SAMPLES) / SAMPLE_RATE
    return sum(torch.cos(2 * np.pi * hz * k * times) / k for k in range(1, 15))[None] * 0.1


@pytest.mark.parametrize("hz", [88.0, 130.0, 226.0])
def test_the_fundamental_has_the_phase_of_the_voice(hz):
    tone, voiced = fundamental(voice(hz), torch.tensor([hz * 1.1]))

    times = (torch.arange(tone.shape[1]) * 20 + 10) / SAMPLE_RATE
    wanted = torch.polar(torch.ones_like(times), 2 * np.pi * hz * times)
    middle = slice(100, -100)  # a filter knows nothing of what is before and after
    assert voiced[0, middle].all()
    assert (tone[0, middle] * wanted[middle].conj()).real.min() > 0.95


def test_silence_has_no_fundamental():
    assert not fundamental(torch.zeros(1, 4 * FRAME_SAMPLES), torch.tensor([130.0]))[1].any()


def test_readouts_of_a_fresh_codec_are_finite_and_bring_gradients_to_the_latents():
    codec = MimiModel(codec_config())
    audio = voice(130.0)
    latents = torch.randn(1, 256, 8, requires_grad=True)
    layers = codec.decoder.decoder_seanet.layers
    stages = {}
    hidden = codec.decoder.upsample(latents)
    for index, layer in enumerate(layers[:7]):
        hidden = layer(hidden)
        if index in Readouts.taps():
            stages[index] = hidden

    losses = Readouts(codec)(latents, stages, audio, torch.tensor([130.0]))
    torch.stack(list(losses.values())).sum().backward()

    assert all(torch.isfinite(loss) for loss in losses.values())
    assert latents.grad is not None and latents.grad.abs().sum() > 0


def test_the_envelope_has_one_position_each_5_ms():
    assert Envelope()(voice(130.0, frames=3)).shape == (1, 3 * FRAME_SAMPLES // 120, 40)


def test_a_recording_is_at_no_distance_from_itself_and_silence_is_far():
    distance, audio = SpectralDistance(), voice(130.0)

    assert float(distance(audio, audio, 0)[0]) == pytest.approx(0.0, abs=1e-5)
    assert float(distance(torch.zeros_like(audio), audio, 0)[1]["phase"]) == pytest.approx(1.0, abs=0.01)


def test_no_mel_band_is_empty():
    assert torch.allclose(mel_filters(256, 32, SAMPLE_RATE).sum(dim=1), torch.ones(32))
