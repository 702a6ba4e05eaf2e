"""Pieces of the corpus, for training the codec."""

from collections import Counter

import pytest

from training.codec.codebooks import Coder
from training.codec.crops import CropSampler
from training.corpus.voices import VOICES


def test_a_voice_takes_its_share_of_the_crops(crops: CropSampler, coder: Coder) -> None:
    counted = Counter(crops.batch(2_000, (0, 0)).usual_hz.tolist())
    share = {hz: voice.share for hz, voice in zip(coder.usual_hz.tolist(), VOICES, strict=False) if hz in counted}

    assert len(share) > 2
    for hz, count in counted.items():
        assert count / 2_000 == pytest.approx(share[hz] / sum(share.values()), abs=0.04)


def test_the_same_seed_gives_the_same_crops(crops: CropSampler) -> None:
    assert (crops.batch(3, (0, 1)).codes == crops.batch(3, (0, 1)).codes).all()
