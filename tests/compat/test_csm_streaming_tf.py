"""A program written for csm-streaming-tf, from its README, runs when it imports these calls instead."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from csm_plugin.audio import to_int16
from csm_plugin.compat.csm_streaming_tf import (
    Generator,
    generate_streaming_audio,
    load_csm_1b,
    load_reference_audio,
    sampling_of,
)
from csm_plugin.engine import Engine
from csm_plugin.errors import AudioError, CheckpointNotFound, InputError, SettingsError
from csm_plugin.settings import Sampling

Eventually = Callable[[Callable[[], bool]], None]
PROMPT = "The sunset painted the sky with hues of orange and purple."
GREEDY = {"do_sample": False}


@pytest.fixture(scope="module")
def generator(tiny_checkpoint: Path) -> Iterator[Generator]:
    with load_csm_1b(str(tiny_checkpoint)) as generator:
        yield generator


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Half a second of a tone, 16 kHz, two channels."""
    path = tmp_path / "reference1.wav"
    samples = 4_000 * np.sin(np.arange(8_000) * 2 * np.pi * 220 / 16_000)
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes(np.repeat(samples.astype("<i2"), 2).tobytes())
    return path


def references(recording: Path) -> list[dict[str, str]]:
    return [{"path": str(recording), "text": "This is a reference sample for voice cloning.", "speaker_id": "0"}]


def conversation(refs: list[dict], text: str = PROMPT) -> list[dict]:
    """As the README makes one."""
    made = []
    for ref in refs:
        made.append({
            "role": ref["speaker_id"],
            "content": [{"type": "text", "text": ref["text"]}, {"type": "audio", "audio": ref["audio_array"]}],
        })  # fmt: skip
    made.append({"role": refs[0]["speaker_id"], "content": [{"type": "text", "text": text}]})
    return made


def alone(engine: Engine, text: str, context: list[tuple[str, np.ndarray]]) -> np.ndarray:
    """What the engine says by itself."""
    with engine.conversation(sampling=Sampling(temperature=0)) as talk:
        for said, pcm in context:
            talk.listen(said, pcm, speaker=0).wait()
        return np.concatenate([chunk.pcm for chunk in talk.speak(text)])


def test_a_text_is_spoken_into_a_file(generator: Generator, tmp_path: Path) -> None:
    audio = generate_streaming_audio(
        generator, PROMPT, output_filename=tmp_path / "output.wav", play_audio=True, **GREEDY
    )
    assert np.array_equal(audio, alone(generator.engine, PROMPT, []))
    with wave.open(str(tmp_path / "output.wav")) as file:
        assert file.getframerate() == 24_000
        assert file.readframes(file.getnframes()) == to_int16(audio).tobytes()


def test_a_recording_comes_as_one_channel_at_24_khz(recording: Path) -> None:
    (loaded,) = load_reference_audio(references(recording))
    assert loaded["text"] == "This is a reference sample for voice cloning."
    assert loaded["sample_rate"] == 24_000
    assert loaded["audio_array"].shape == (12_000,)
    assert np.abs(loaded["audio_array"]).max() == pytest.approx(1)


def test_a_recording_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(AudioError):
        load_reference_audio([{"path": str(tmp_path / "none.wav"), "text": "", "speaker_id": "0"}])


def test_chunks_come_by_frames_and_follow_the_recording(generator: Generator, recording: Path) -> None:
    refs = load_reference_audio(references(recording))
    inputs = generator.processor.apply_chat_template(conversation(refs), tokenize=True, return_dict=True)
    chunks = [
        chunk.cpu().numpy()
        for chunk in generator.generate_stream(inputs.to(generator.device), chunk_token_size=7, **GREEDY)
    ]
    assert {len(chunk) for chunk in chunks[:-1]} == {7 * 1_920}
    assert 0 < len(chunks[-1]) <= 7 * 1_920
    followed = alone(generator.engine, PROMPT, [(refs[0]["text"], refs[0]["audio_array"])])
    assert np.array_equal(np.concatenate(chunks), followed)
    assert not np.array_equal(followed, alone(generator.engine, PROMPT, []))
    again = generate_streaming_audio(generator, PROMPT, reference_data=refs, **GREEDY)
    assert np.array_equal(again, followed)


def test_each_chunk_and_all_have_a_real_time_factor(generator: Generator) -> None:
    inputs = generator.processor.apply_chat_template([{"role": "0", "content": [{"type": "text", "text": PROMPT}]}])
    chunks = list(generator.generate_stream(inputs, chunk_token_size=5))
    times = generator.times
    assert len(times.chunks) == len(chunks) > 1
    assert [chunk.audio_s for chunk in times.chunks] == pytest.approx([len(chunk) / 24_000 for chunk in chunks])
    assert all(0 < chunk.rtf == pytest.approx(chunk.wait_s / chunk.audio_s) for chunk in times.chunks)
    assert times.rtf == pytest.approx(times.wait_s / times.audio_s)
    assert times.first_chunk_s == times.chunks[0].wait_s
    assert times.chunk_rtfs is not None
    least, mean, greatest = times.chunk_rtfs
    assert 0 < least <= mean <= greatest


def test_leaving_the_stream_stops_it(generator: Generator, eventually: Eventually) -> None:
    inputs = generator.processor.apply_chat_template(PROMPT * 4)
    stream = generator.generate_stream(inputs, chunk_token_size=1)
    assert len(next(stream)) == 1_920
    stream.close()  # type: ignore[attr-defined]
    eventually(lambda: generator.engine.stats().conversations == 0)


def test_options_are_those_of_transformers() -> None:
    assert sampling_of({"temperature": 0.7, "top_k": 20, "seed": 3}) == Sampling(temperature=0.7, top_k=20, seed=3)
    assert sampling_of({"do_sample": False, "max_new_tokens": 25}) == Sampling(temperature=0, max_seconds=2.0)
    with pytest.raises(SettingsError, match="num_beams"):
        sampling_of({"num_beams": 4})
    with pytest.raises(SettingsError, match="max_new_tokens"):
        sampling_of({"max_new_tokens": "25"})


def test_max_new_tokens_ends_it(generator: Generator) -> None:
    assert len(generate_streaming_audio(generator, PROMPT, max_new_tokens=6)) <= 6 * 1_920


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [{"role": "0", "content": [{"type": "text", "text": "a"}, {"type": "audio", "audio": np.zeros(1_920)}]}],
        [{"role": "0", "content": "before, without sound"}, {"role": "0", "content": "Hello."}],
        [{"role": "anna", "content": "Hello."}],
        [{"content": "Hello."}],
    ],
    ids=["empty", "the last with sound", "an earlier one without", "no number", "no role"],
)
def test_a_conversation_that_is_none_is_an_error(generator: Generator, wrong: list[dict]) -> None:
    with pytest.raises(InputError):
        generator.processor.apply_chat_template(wrong)


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFound):
        load_csm_1b(tmp_path / "none")
