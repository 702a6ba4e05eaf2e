"""A voice of one's own on the server's page: recorded or uploaded, refused, tried, deleted; and the sound saved."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
import soundfile
from playwright.sync_api import Page, expect

from csm_plugin.audio import read_audio, to_int16
from csm_plugin.conversation import VoiceLibrary
from csm_plugin.model.checkpoint import BUNDLED
from csm_plugin.settings import SAMPLE_RATE_HZ
from tests.server.running import RunningServer, running, wait_until
from tests.server.test_page import DESKTOP, browsing, played

CLARA = BUNDLED / "csm-tiny" / "voices" / "clara.flac"
WORDS = CLARA.with_suffix(".txt").read_text(encoding="utf-8").strip()
SAID = "What is said, word for word"
MICROPHONE = "--use-fake-device-for-media-stream"
ALLOWED = "--use-fake-ui-for-media-stream"


@pytest.fixture
def server(tiny_checkpoint: Path, tmp_path: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint, voices=tmp_path / "voices") as server:
        yield server


@pytest.fixture
def microphone(tmp_path: Path) -> str:
    """Clara's recording as what the microphone hears, once."""
    sound, rate = read_audio(CLARA)
    soundfile.write(tmp_path / "microphone.wav", np.pad(sound, (rate // 2, 60 * rate)), rate, subtype="PCM_16")
    return f"--use-file-for-fake-audio-capture={tmp_path / 'microphone.wav'}%noloop"


def open_voices(page: Page) -> None:
    expect(page.locator("#state")).to_have_text("Ready")
    page.get_by_role("button", name="Your voices").click()
    expect(page.locator("#shelf-told")).to_have_text("None yet.")


def test_a_voice_is_recorded_refused_with_wrong_words_added_tried_and_deleted(
    server: RunningServer, microphone: str
) -> None:
    with browsing(f"{server.url}/", MICROPHONE, ALLOWED, microphone, **DESKTOP) as (page, _):
        open_voices(page)
        page.get_by_label("Name", exact=True).fill("clara-2")
        page.get_by_role("button", name="Record").click()
        expect(page.locator("#recording")).to_have_text(re.compile(r"Recording: ([6-9]|\d\d) s"))  # all of it, and more
        page.get_by_role("button", name="Stop recording").click()
        expect(page.locator("#recording")).to_contain_text("s from the microphone")

        page.get_by_label(SAID).fill("Hello.")
        page.get_by_role("button", name="Add the voice").click()
        refused = page.locator("#refused")
        expect(refused).to_contain_text("The text is not what is said in the recording: its 1 words take about 0.")
        expect(refused).to_contain_text("give exactly the words that are said.")
        assert httpx.get(f"{server.url}/v1/voices").json()["data"] == []

        page.get_by_label(SAID).fill(WORDS)
        page.get_by_role("button", name="Add the voice").click()
        expect(page.locator("#shelf-told")).to_have_text("clara-2 was added. Try it.")
        expect(refused).to_have_text("")
        expect(page.get_by_role("button", name="Try clara-2")).to_be_focused()
        kept = VoiceLibrary([server.settings.voices]).get("clara-2")
        assert len(kept.pcm) / SAMPLE_RATE_HZ == pytest.approx(len(read_audio(CLARA)[0]) / SAMPLE_RATE_HZ, abs=0.2)

        page.get_by_role("button", name="Try clara-2").click()
        expect(page.locator("#voices")).to_be_hidden()
        expect(page.get_by_label("Voice", exact=True)).to_have_value("clara-2")
        wait_until(lambda: played(page))
        page.get_by_role("button", name="Stop").click()

        page.get_by_role("button", name="Your voices").click()
        page.get_by_role("button", name="Delete clara-2").click()
        page.get_by_role("button", name="Really delete clara-2").click()
        expect(page.locator("#shelf-told")).to_have_text("clara-2 was deleted.")
        expect(page.locator("#shelf li")).to_have_count(0)
        expect(page.get_by_label("Voice", exact=True)).to_have_value("")
        assert httpx.get(f"{server.url}/v1/voices").json()["data"] == []


def m4a(path: Path) -> Path:
    """Clara's recording as a telephone keeps it, which the server does not take."""
    sound, rate = read_audio(CLARA)
    with av.open(str(path), "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(to_int16(sound)[None], format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", ["flac", "m4a"])
def test_a_file_is_uploaded_and_becomes_a_voice(server: RunningServer, tmp_path: Path, kind: str) -> None:
    path = CLARA if kind == "flac" else m4a(tmp_path / "My voice, 1.m4a")
    with browsing(f"{server.url}/", **DESKTOP) as (page, _):
        open_voices(page)
        page.get_by_label("a file").set_input_files(path)
        expect(page.locator("#recording")).to_contain_text("s from the file")
        expect(page.get_by_label("Name", exact=True)).to_have_value("clara" if kind == "flac" else "My-voice-1")
        expect(page.get_by_label(SAID)).to_have_value("")
        page.get_by_role("button", name="Listen to it").click()
        wait_until(lambda: played(page))
        page.get_by_label(SAID).fill(WORDS)
        page.get_by_role("button", name="Add the voice").click()
        expect(page.locator("#shelf-told")).to_contain_text("was added")
    (voice,) = httpx.get(f"{server.url}/v1/voices").json()["data"]
    kept = VoiceLibrary([server.settings.voices]).get(voice["id"])
    assert (kept.text, voice["source"]) == (WORDS, "upload")


def test_a_file_that_is_no_sound_and_a_taken_name_are_refused_in_words(server: RunningServer, tmp_path: Path) -> None:
    (tmp_path / "letter.wav").write_text("Dear all")
    form, files = {"name": "clara", "text": WORDS}, {"file": CLARA.read_bytes()}
    with browsing(f"{server.url}/", **DESKTOP) as (page, _):
        open_voices(page)
        assert httpx.post(f"{server.url}/v1/voices", data=form, files=files).status_code == 201
        page.get_by_label("a file").set_input_files(tmp_path / "letter.wav")
        refused = page.locator("#refused")
        expect(refused).to_have_text(
            "This file is no sound that can be read. Choose a WAV, FLAC, MP3, Ogg or M4A recording."
        )
        page.get_by_label("a file").set_input_files(CLARA)
        page.get_by_label(SAID).fill(WORDS)
        page.get_by_role("button", name="Add the voice").click()
        expect(refused).to_have_text("There is a voice of that name; remove it first.")


def test_a_microphone_that_is_denied_is_explained(server: RunningServer) -> None:
    with browsing(f"{server.url}/", MICROPHONE, **DESKTOP) as (page, _):
        open_voices(page)
        page.get_by_role("button", name="Record").click()
        expect(page.locator("#refused")).to_contain_text("The browser keeps the microphone from this page. Allow it")
        page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
        page.get_by_role("button", name="Record").click()
        expect(page.locator("#refused")).to_contain_text("only where its address begins with https")


def test_the_sound_is_saved_as_it_was_heard(server: RunningServer) -> None:
    with browsing(f"{server.url}/", **DESKTOP) as (page, _):
        save = page.get_by_role("button", name="Save the sound")
        expect(page.locator("#state")).to_have_text("Ready")
        expect(save).to_be_disabled()
        page.get_by_role("button", name="Speak").click()
        expect(page.locator("#state")).to_have_text("Ready")
        with page.expect_download() as saving:
            save.click()
        assert saving.value.suggested_filename == "csm-speech.wav"
        samples, rate = soundfile.read(io.BytesIO(saving.value.path().read_bytes()), dtype="int16")
        assert rate == SAMPLE_RATE_HZ
        assert np.array_equal(samples, np.concatenate([sound["samples"] for sound in played(page)]))
