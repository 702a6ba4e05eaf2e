"""The documentation's sound samples are there, small, and say what their page says."""

from __future__ import annotations

import re

import pytest
import soundfile

from benchmarks.samples import FOLDER, PAGE, TELEPHONE_RATE_HZ, Sample, page, read_samples
from csm_plugin.audio import read_audio, resample
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.settings import SAMPLE_RATE_HZ

SAMPLES = read_samples()
MAX_BYTES, MAX_BYTES_TOGETHER = 60_000, 400_000
MAX_WORD_ERROR = 0.3

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.file)


def test_the_page_is_made_from_the_samples() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(SAMPLES), "run python -m benchmarks.samples"
    assert re.findall(r'src="samples/(.*?)"', page(SAMPLES)) == [sample.file for sample in SAMPLES]


def test_no_other_file_lies_beside_them() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {sample.file for sample in SAMPLES} | {"samples.json"}
    assert sum((FOLDER / name).stat().st_size for name in files) < MAX_BYTES_TOGETHER


@every_sample
def test_a_sample_is_small_and_a_few_seconds_long(sample: Sample) -> None:
    pcm, rate = read_audio(FOLDER / sample.file)
    assert (FOLDER / sample.file).stat().st_size <= MAX_BYTES
    assert 2 < len(pcm) / rate < 10


@every_sample
def test_a_recogniser_hears_what_the_page_says(sample: Sample) -> None:
    pcm, rate = read_audio(FOLDER / sample.file)
    wrong, words = errors(plain(" ".join(text for _, text in sample.lines)), hear(resample(pcm, rate, SAMPLE_RATE_HZ)))
    assert wrong / words <= MAX_WORD_ERROR


def test_the_telephones_is_as_a_network_carries_it() -> None:
    (sample,) = (sample for sample in SAMPLES if sample.file.endswith(".wav"))
    about = soundfile.info(FOLDER / sample.file)
    assert (about.subtype, about.samplerate, about.channels) == ("ULAW", TELEPHONE_RATE_HZ, 1)
