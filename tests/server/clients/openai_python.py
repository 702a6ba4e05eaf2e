"""Calls of OpenAI's Python client."""

from __future__ import annotations

import functools
import io
import json

import numpy as np
import openai
import pytest
import soundfile

from tests.server.clients.door import TEXT, Door, row


@row("openai 3 (Python)", "`audio.speech.create`, each format", "the engine's sound, within 25 ms in mp3 and aac")
def every_format(door: Door) -> None:
    for form in ("mp3", "opus", "aac", "flac", "wav", "pcm"):
        answer = door.openai.audio.speech.create(
            model="tts-1", voice="alloy", input=TEXT, response_format=form, extra_body={"seed": 1}
        )
        door.holds_what_was_said(answer.read(), form)


@row("openai 3 (Python)", '`write_to_file("x.flac")`, then `soundfile.read`', "the engine's samples")
def a_flac_file(door: Door) -> None:
    path = door.folder / "x.flac"
    door.openai.audio.speech.create(
        model="tts-1-hd", voice="nova", input=TEXT, response_format="flac", extra_body={"seed": 1}
    ).write_to_file(path)
    assert np.array_equal(soundfile.read(path, dtype="int16")[0], door.said())


@row(
    "openai 3 (Python)",
    '`model="gpt-4o-mini-tts-2025-12-15"`, `instructions`',
    "spoken; `Warning` says that they are passed over",
)
def a_dated_model_and_instructions(door: Door) -> None:
    answer = door.openai.audio.speech.with_raw_response.create(
        model="gpt-4o-mini-tts-2025-12-15", voice="ash", input=TEXT, instructions="Whisper.", extra_body={"seed": 1}
    )
    assert "instructions are passed over" in answer.headers["warning"]
    door.holds_what_was_said(answer.content)


@row("openai 3 (Python)", '`stream_format="sse"`', "events while it is spoken")
def events(door: Door) -> None:
    with door.openai.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", voice="alloy", input=TEXT, stream_format="sse"
    ) as answer:
        told = [json.loads(line.removeprefix("data: "))["type"] for line in answer.iter_lines() if line]
    assert told[0] == "speech.audio.delta" and told[-1] == "speech.audio.done"


@row("openai 3 (Python)", '`models.list`, `models.retrieve("tts-1")`', "the loaded model")
def models(door: Door) -> None:
    loaded = door.server.engine.model_name
    assert [model.id for model in door.openai.models.list()] == [loaded]
    for name in (loaded, "tts-1", "hexgrad/Kokoro-82M"):
        assert door.openai.models.retrieve(name).id == loaded
    with pytest.raises(openai.NotFoundError):
        door.openai.models.retrieve("whisper-1")


@row(
    "openai 3 (Python)",
    '`audio.voice_consents`, `audio.voices.create(…, extra_body={"text": …})`',
    "kept; a voice here, named as it may be",
)
def voices_with_consent(door: Door) -> None:
    recording = io.BytesIO()
    soundfile.write(recording, 0.1 * np.random.default_rng(0).normal(size=24_000), 24_000, format="WAV")
    audio = door.openai.audio
    sample = ("me.wav", recording.getvalue())
    consent = audio.voice_consents.create(name="Ann's", language="en-US", recording=sample)
    assert [one.id for one in audio.voice_consents.list()] == [consent.id]
    assert audio.voice_consents.update(consent.id, name="Ann").name == "Ann"
    assert audio.voice_consents.retrieve(consent.id).name == "Ann"
    for given, why in ((consent.id, "send text"), ("cons_none", "no such consent")):
        with pytest.raises(openai.APIStatusError, match=why):
            audio.voices.create(name="Ann", audio_sample=sample, consent=given)
    made = audio.voices.create(
        name="Ann Smith", audio_sample=sample, consent=consent.id, extra_body={"text": "This is me."}
    )
    assert made.id == "Ann-Smith"
    spoken = audio.speech.with_raw_response.create(model="tts-1", voice={"id": made.id}, input=TEXT)
    assert "warning" not in spoken.headers
    assert audio.voices.delete(made.id).deleted
    assert audio.voice_consents.delete(consent.id).deleted
    with pytest.raises(openai.NotFoundError):
        audio.voice_consents.retrieve(consent.id)


@row(
    "openai 3 (Python)",
    "a wrong key; no text; too much; a model that is none",
    "`AuthenticationError`, `UnprocessableEntityError`, `NotFoundError`",
)
def errors(door: Door) -> None:
    speak = functools.partial(door.openai.audio.speech.create, voice="alloy")
    for order, kind in (({"input": ""}, openai.UnprocessableEntityError),
                        ({"input": "a" * 4_097}, openai.UnprocessableEntityError),
                        ({"input": TEXT, "model": "gpt-9"}, openai.NotFoundError)):  # fmt: skip
        with pytest.raises(kind):
            speak(**({"model": "tts-1"} | order))  # type: ignore[arg-type]
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=door.base, api_key="wrong").models.list()
