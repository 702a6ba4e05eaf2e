"""`csm voices` lists, adds, removes and plays voices, in the folder that the server uses too."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from csm_plugin.audio import read_audio, resample
from csm_plugin.cli import main, outputs
from csm_plugin.conversation import VoiceLibrary
from csm_plugin.evaluation import recognition
from csm_plugin.model.checkpoint import BUNDLED

VOICES = BUNDLED / "csm-tiny" / "voices"
CLARA = VOICES / "clara.flac"
TEXT = CLARA.with_suffix(".txt").read_text().strip()
Told = pytest.CaptureFixture[str]


def listed(told: Told, *options: str) -> Any:
    assert main(["voices", "list", "--json", *options]) == 0
    return json.loads(told.readouterr().out)


def refused(told: Told, *arguments: str) -> str:
    assert main(["voices", *arguments]) == 1
    said = told.readouterr().err
    assert said.startswith("csm: ") and said.count("\n") == 1
    return said


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint that comes with recordings, stereo and 44.1 kHz, one of them with its text."""
    folder = tmp_path / "model"
    (folder / "prompts").mkdir(parents=True)
    spoken, rate = read_audio(CLARA)
    sound = np.pad(resample(spoken, rate, 44_100), 44_100)
    for name in ("read_speech_a", "conversational_a"):
        soundfile.write(folder / "prompts" / f"{name}.wav", np.stack([sound, sound], axis=1), 44_100)
    (folder / "prompts" / "read_speech_a.txt").write_text(TEXT)
    return folder


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, np.ndarray]]:
    """What the loudspeaker was given, with its rate."""
    heard: list[tuple[int, np.ndarray]] = []

    @contextmanager
    def loudspeaker(rate: int) -> Iterator[outputs.Write]:
        yield lambda pcm: heard.append((rate, pcm))

    monkeypatch.setattr(outputs, "can_play", lambda rate: True)
    monkeypatch.setattr(outputs, "loudspeaker", loudspeaker)
    return heard


def test_a_recording_becomes_a_voice_that_the_engine_knows(capsys: Told, own_voices: Path, tmp_path: Path) -> None:
    assert main(["voices", "add", "ann", str(CLARA), "--text", TEXT]) == 0
    said = capsys.readouterr().err
    assert "ann: 2.7 s of 2.7 s" in said
    assert "speech at -19.1 dBFS, levelled by -0.9 dB; noise 4" in said
    assert "8 words, spoken in 0.9" in said
    assert sorted(path.name for path in own_voices.iterdir()) == ["ann.txt", "ann.wav"]
    prompt = VoiceLibrary.beside(tmp_path).get("ann")
    assert prompt.text == TEXT
    assert len(prompt.pcm) == pytest.approx(len(read_audio(CLARA)[0]), abs=2_400)


def test_the_text_may_be_in_a_file(capsys: Told, tmp_path: Path) -> None:
    assert main(["voices", "add", "beside", str(CLARA)]) == 0
    (tmp_path / "words").write_text(TEXT + "\n")
    assert main(["voices", "add", "named", str(CLARA), "--text-file", str(tmp_path / "words")]) == 0
    capsys.readouterr()
    texts = {voice["name"]: voice["text"] for voice in listed(capsys)["voices"]}
    assert texts["beside"] == texts["named"] == TEXT


@pytest.mark.parametrize(("kind", "subtype"), [("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)])
def test_every_usual_kind_of_file_is_taken(capsys: Told, tmp_path: Path, kind: str, subtype: str | None) -> None:
    file = tmp_path / f"recording.{kind.lower()}"
    sound, rate = read_audio(CLARA)
    soundfile.write(file, np.stack([resample(sound, rate, 48_000)] * 2, axis=1), 48_000, format=kind, subtype=subtype)
    assert main(["voices", "add", "ann", str(file), "--text", TEXT]) == 0


def test_voices_are_listed_with_where_they_come_from(capsys: Told, own_voices: Path) -> None:
    main(["voices", "add", "ann", str(CLARA)])
    capsys.readouterr()
    report = listed(capsys)
    assert report["folder"] == str(own_voices)
    assert {voice["name"]: voice["from"] for voice in report["voices"]} == {
        "ann": "own", **dict.fromkeys(sorted(path.stem for path in VOICES.glob("*.flac")), "model")
    }  # fmt: skip
    assert report["voices"][0]["seconds"] == 2.56
    assert main(["voices", "list"]) == 0
    table = capsys.readouterr().out
    assert "ann         2.7  own    Please leave the box" in table
    assert str(own_voices) in table.replace("\n", "")


def test_a_long_text_is_shortened_in_the_table(capsys: Told, own_voices: Path) -> None:
    main(["voices", "add", "ann", str(CLARA)])
    (own_voices / "ann.txt").write_text("[bold] word " * 50)
    capsys.readouterr()
    assert main(["voices", "list"]) == 0
    assert "[bold] word [bold]" in capsys.readouterr().out
    assert len(next(voice for voice in listed(capsys)["voices"] if voice["name"] == "ann")["text"]) > 500


def test_a_damaged_voice_is_listed_without_its_length(capsys: Told, own_voices: Path) -> None:
    own_voices.mkdir(parents=True)
    (own_voices / "ann.wav").write_bytes(b"RIFF, or not")
    (own_voices / "ann.txt").write_bytes(b"\xff\xfe\xfd")
    voice = next(voice for voice in listed(capsys)["voices"] if voice["name"] == "ann")
    assert voice["seconds"] is None and voice["text"] is None
    assert main(["voices", "list"]) == 0


def test_a_recording_of_the_model_is_added_by_the_line_that_the_list_gives(
    capsys: Told, checkpoint: Path, own_voices: Path
) -> None:
    report = listed(capsys, "--model", str(checkpoint))
    assert [voice["name"] for voice in report["voices"]] == ["read_speech_a"]
    (wordless,) = report["wordless"]
    assert wordless["name"] == "conversational_a" and wordless["seconds"] == pytest.approx(4.66, abs=0.01)
    assert main(["voices", "list", "--model", str(checkpoint)]) == 0
    line = wordless["needs"]
    assert line in capsys.readouterr().out
    assert main(shlex.split(line.replace("…", TEXT))[1:]) == 0
    assert "conversational_a: 2.7 s of 4.7 s" in capsys.readouterr().err
    report = listed(capsys, "--model", str(checkpoint))
    assert {voice["name"]: voice["from"] for voice in report["voices"]} == {
        "conversational_a": "own", "read_speech_a": "model"
    }  # fmt: skip
    assert report["wordless"] == []


def test_a_recording_that_was_put_there_without_its_text_is_named(
    capsys: Told, own_voices: Path, played: list[tuple[int, np.ndarray]]
) -> None:
    own_voices.mkdir(parents=True)
    soundfile.write(own_voices / "me.wav", *read_audio(CLARA))
    text = own_voices / "me.txt"
    report = listed(capsys)
    assert [one["name"] for one in report["wordless"]] == ["me"] and str(text) in report["wordless"][0]["needs"]
    assert main(["voices", "list"]) == 0
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("me ("))
    assert said.endswith(f" s) has no text: write what is said in it, word for word, to {text}")
    assert main(["voices", "play", "me"]) == 0
    assert len(played) == 1
    capsys.readouterr()
    assert main(["say", "Hello.", "--voice", "me", "-o", str(own_voices / "hello.wav")]) == 1
    assert "the voice 'me' has a recording and no text" in capsys.readouterr().err
    text.write_text(TEXT)
    assert listed(capsys)["wordless"] == []


def test_no_message_speaks_of_python(capsys: Told) -> None:
    assert main(["say", "Hello.", "--voice", "nobody", "-o", "never.wav"]) == 1
    assert "VoicePrompt" not in (said := capsys.readouterr().err) and "known voices: alan" in said


def test_a_recording_that_the_model_does_not_have_is_said(capsys: Told, checkpoint: Path) -> None:
    said = refused(capsys, "add", "somebody", "--text", TEXT, "--model", str(checkpoint))
    assert "no recording 'somebody' (it has conversational_a, read_speech_a)" in said


def test_a_taken_name_is_refused_and_replaced_by_force(capsys: Told, own_voices: Path) -> None:
    assert main(["voices", "add", "ann", str(CLARA)]) == 0
    before = (own_voices / "ann.wav").read_bytes()
    capsys.readouterr()
    assert "there is a voice 'ann'" in refused(capsys, "add", "ann", str(VOICES / "alan.flac"))
    assert (own_voices / "ann.wav").read_bytes() == before
    assert main(["voices", "add", "ann", str(VOICES / "alan.flac"), "--force"]) == 0
    assert (own_voices / "ann.wav").read_bytes() != before


def test_the_words_of_another_recording_are_caught_by_the_recogniser(capsys: Told, own_voices: Path) -> None:
    other = (VOICES / "ruth.txt").read_text(encoding="utf-8")
    said = refused(capsys, "add", "ann", str(CLARA), "--text", other)
    assert re.search(
        r"the text is not what is said in the recording: an English recogniser hears [012] of its \d words", said
    )
    assert not list(own_voices.glob("ann*"))
    assert main(["voices", "add", "ann", str(CLARA)]) == 0
    assert "words: a recogniser hears 100% of them as they are written" in capsys.readouterr().err


def test_without_a_recogniser_a_voice_is_kept_and_that_is_said(
    capsys: Told, own_voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "moonshine_voice", None)
    recognition._recogniser.cache_clear()
    assert main(["voices", "add", "ann", str(CLARA)]) == 0
    assert "not compared with the text; speech cannot be judged without the recogniser" in capsys.readouterr().err
    recognition._recogniser.cache_clear()


def test_a_text_that_cannot_be_what_is_said_is_refused_and_taken_by_force(capsys: Told, own_voices: Path) -> None:
    said = refused(capsys, "add", "ann", str(CLARA), "--text", "No.")
    assert "its 1 words take about" in said and "No." not in said
    assert not own_voices.exists()
    assert main(["voices", "add", "ann", str(CLARA), "--text", "No.", "--force"]) == 0


def test_what_cannot_be_used_is_refused_with_the_figures_and_leaves_nothing(
    capsys: Told, own_voices: Path, tmp_path: Path
) -> None:
    sound, rate = read_audio(CLARA)
    noise = np.random.default_rng(0).normal(0, 0.05, len(sound))
    bad = {
        "noisy": sound + noise,
        "clipped": np.clip(sound * 8, -1, 1),
        "silent": np.zeros_like(sound),
        "short": sound[:12_000],
    }
    for name, samples in bad.items():
        soundfile.write(tmp_path / f"{name}.wav", samples, rate)
    assert "is noisy: its speech is 9 dB above" in refused(
        capsys, "add", "x", str(tmp_path / "noisy.wav"), "--text", TEXT
    )
    assert "is clipped: 1" in refused(capsys, "add", "x", str(tmp_path / "clipped.wav"), "--text", TEXT)
    assert "is silent" in refused(capsys, "add", "x", str(tmp_path / "silent.wav"), "--text", TEXT)
    assert "s of speech; at least 1 s" in refused(capsys, "add", "x", str(tmp_path / "short.wav"), "--text", TEXT)
    assert "there is no file" in refused(capsys, "add", "x", str(tmp_path / "none.wav"), "--text", TEXT)
    (tmp_path / "text.wav").write_text("This is no sound.")
    assert "cannot be read as sound" in refused(capsys, "add", "x", str(tmp_path / "text.wav"), "--text", TEXT)
    assert "what is said in noisy.wav?" in refused(capsys, "add", "x", str(tmp_path / "noisy.wav"))
    assert "must be a file of UTF-8" in refused(capsys, "add", "x", str(CLARA), "--text-file", str(tmp_path / "none"))
    assert "1 to 64 letters" in refused(capsys, "add", "../x", str(CLARA))
    assert not own_voices.exists()


def test_only_a_voice_of_ones_own_is_removed(capsys: Told, own_voices: Path) -> None:
    main(["voices", "add", "ann", str(CLARA)])
    assert main(["voices", "remove", "ann"]) == 0
    assert list(own_voices.iterdir()) == []
    capsys.readouterr()
    assert "there is no voice of that name" in refused(capsys, "remove", "clara")
    assert "there is no voice of that name" in refused(capsys, "remove", "../ann")
    assert CLARA.exists()


def test_voices_are_played(capsys: Told, checkpoint: Path, played: list[tuple[int, np.ndarray]]) -> None:
    main(["voices", "add", "ann", str(CLARA)])
    for arguments in (["ann"], ["clara"], ["conversational_a", "--model", str(checkpoint)]):
        assert main(["voices", "play", *arguments]) == 0
    assert [(rate, round(len(pcm) / rate, 1)) for rate, pcm in played] == [(24_000, 2.7), (24_000, 2.7), (44_100, 4.7)]
    capsys.readouterr()
    assert "there is no voice 'nobody'" in refused(capsys, "play", "nobody")


def test_where_nothing_can_play_the_file_is_named(
    capsys: Told, own_voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["voices", "add", "ann", str(CLARA)])
    monkeypatch.setattr(outputs, "can_play", lambda rate: False)
    capsys.readouterr()
    assert f"the recording is {own_voices / 'ann.wav'}" in refused(capsys, "play", "ann")


def test_without_a_home_voices_are_still_listed(capsys: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    from csm_plugin.conversation import voice_folder

    monkeypatch.setattr(voice_folder, "user_data_dir", lambda *_, **__: "~/.local/share/csm-plugin")
    assert listed(capsys)["folder"] is None
    assert main(["voices", "list"]) == 0
    capsys.readouterr()
    assert "set CSM_VOICES" in refused(capsys, "add", "ann", str(CLARA))


def test_no_command_loads_torch(own_voices: Path) -> None:
    code = """
import sys
from csm_plugin.cli import main
file = sys.argv[1]
assert main(["voices", "add", "ann", file]) == 0
assert main(["voices", "list"]) == 0
assert main(["voices", "play", "ann"]) in (0, 1)
assert main(["voices", "remove", "ann"]) == 0
print("loaded:", [name for name in ("torch", "transformers", "fastapi", "av") if name in sys.modules])
"""
    told = subprocess.run(
        [sys.executable, "-c", code, str(CLARA)],
        env=os.environ | {"PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout.splitlines()[-1] == "loaded: []"
