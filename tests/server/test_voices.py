"""Voices are uploaded, decoded within limits, spoken with, and removed; a name reaches nothing else."""

from __future__ import annotations

import asyncio
import io
import re
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import httpx
import numpy as np
import pytest
import soundfile
from loguru import logger

from csm_plugin.audio import read_audio, to_int16, wav_header
from csm_plugin.cli import main
from csm_plugin.conversation import VoiceLibrary, VoicePrompt
from csm_plugin.conversation.prepared_voice import MAX_PROMPT_S
from csm_plugin.engine import Engine
from csm_plugin.errors import AudioError, SettingsError, VoiceError
from csm_plugin.model.checkpoint import BUNDLED
from csm_plugin.server.app import create_app
from csm_plugin.server.formats.av_frames import samples_of
from csm_plugin.server.shared import uploads
from csm_plugin.server.shared.uploaded_voices import VoiceShelf
from csm_plugin.server.shared.uploads import decode_channels, decode_upload
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling, VoiceStyle
from tests.server.decoding import pitch_of
from tests.server.running import RunningServer, running, settings
from tests.server.socket_client import client

TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)).astype(np.float32)

CLARA = BUNDLED / "csm-tiny" / "voices" / "clara.flac"
WORDS = CLARA.with_suffix(".txt").read_text().strip()
SPOKEN, _ = read_audio(CLARA)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voices")


@pytest.fixture(scope="module")
def server(tiny_checkpoint: Path, folder: Path) -> Iterator[RunningServer]:
    with running(tiny_checkpoint, voices=folder, max_voices=5) as server:
        yield server


def file_of(kind: str, sound: np.ndarray = TONE, rate: int = SAMPLE_RATE_HZ) -> bytes:
    """A sound file."""
    out = io.BytesIO()
    subtypes = {"WAV": "PCM_16", "FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}
    soundfile.write(out, sound, rate, format=kind, subtype=subtypes[kind])
    return out.getvalue()


def opus_of(sound: np.ndarray) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(to_int16(np.repeat(sound, 2))[None], format="s16", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def add(server: RunningServer, name: str, data: bytes | None = None, text: str = WORDS, **more: str) -> httpx.Response:
    files = {"file": ("x", CLARA.read_bytes() if data is None else data)}
    return httpx.post(f"{server.url}/v1/voices", data={"name": name, "text": text, **more}, files=files, timeout=30)


def names(server: RunningServer) -> list[str]:
    return [voice["id"] for voice in httpx.get(f"{server.url}/v1/voices").json()["data"]]


def test_a_voice_is_added_spoken_with_and_removed(server: RunningServer, folder: Path) -> None:
    assert add(server, "ann").json() == {"id": "ann", "object": "voice", "source": "upload"}
    assert names(server) == ["ann"]
    assert add(server, "ann").status_code == 409
    prompt = VoiceLibrary([folder]).get("ann")
    spoken = server.speak(voice="ann", response_format="pcm", seed=2)
    with server.engine.conversation(voice=prompt) as talk:
        alone = np.concatenate([to_int16(c.pcm) for c in talk.speak("Hello.", Sampling(seed=2))])
    np.testing.assert_allclose(np.frombuffer(spoken.content, "<i2").astype(int), alone, atol=1)
    assert httpx.delete(f"{server.url}/v1/voices/ann").status_code == 204
    assert names(server) == []
    assert httpx.delete(f"{server.url}/v1/voices/ann").status_code == 404
    assert "default one speaks" in server.speak(voice="ann").headers["warning"]


@pytest.mark.parametrize("style", ["context", "continue"])
def test_an_added_voice_keeps_its_style(server: RunningServer, folder: Path, style: VoiceStyle) -> None:
    assert add(server, "eve", style="before").status_code == 422
    assert add(server, "eve", style=style).status_code == 201
    prompt = VoiceLibrary([folder]).get("eve")
    assert prompt.style == style
    spoken = server.speak(voice="eve", response_format="pcm", seed=2)
    with server.engine.conversation(voice=prompt) as talk:
        alone = np.concatenate([to_int16(c.pcm) for c in talk.speak("Hello.", Sampling(seed=2))])
    np.testing.assert_allclose(np.frombuffer(spoken.content, "<i2").astype(int), alone, atol=1)
    assert httpx.delete(f"{server.url}/v1/voices/eve").status_code == 204


def test_positions_of_a_voice_prompt_count_as_taken_in_either_style(server: RunningServer) -> None:
    def used(style: VoiceStyle) -> int:
        prompt = VoicePrompt("eve", "This is me.", decode_upload(file_of("WAV"), 30), style=style)
        with server.engine.conversation(voice=prompt) as talk:
            list(talk.speak("Hello.", Sampling(seed=2, max_seconds=0.8, trim_silence=False)))
            return talk.transfer().used

    assert used("continue") == used("context")


async def test_sockets_are_told_of_new_voices(server: RunningServer) -> None:
    async with client(server.ws) as listening:
        await asyncio.to_thread(add, server, "bob")
        assert (await listening.until("voices"))["voices"] == ["bob"]
        await asyncio.to_thread(httpx.delete, f"{server.url}/v1/voices/bob")
        assert (await listening.until("voices"))["voices"] == []


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "opus"])
def test_every_usual_kind_of_file_is_read(kind: str) -> None:
    heard = decode_upload(opus_of(TONE) if kind == "opus" else file_of(kind), 30)
    assert len(heard) / SAMPLE_RATE_HZ == pytest.approx(1, abs=0.1)
    assert pitch_of(heard) == pytest.approx(440, abs=2)


NOISY = SPOKEN + np.random.default_rng(0).normal(0, 0.03, len(SPOKEN)).astype(np.float32)
LONG = np.tile(np.pad(SPOKEN, (0, 12_000)), 24)


@pytest.mark.parametrize(
    ("sound", "text", "said"),
    [
        (SPOKEN, "Hello.", "the text is not what is said in the recording: its 1 words take about"),
        (SPOKEN, f"{WORDS} {WORDS}", "give exactly the words that are said"),
        (np.stack([SPOKEN, np.clip(SPOKEN * 40, -1, 1)], axis=1), WORDS, "the recording is clipped"),
        (NOISY, WORDS, "the recording is noisy"),
        (SPOKEN[:14_400], WORDS, "s of speech; at least 1 s are needed"),
        (np.zeros(48_000, np.float32), WORDS, "the recording is silent"),
        (LONG, " ".join([WORDS] * 24), "longer than 60 s"),
    ],
    ids=["too few words", "too many words", "one channel clipped", "noisy", "short", "silent", "over a minute"],
)
def test_what_csm_voices_add_refuses_is_refused_in_the_same_words(
    server: RunningServer, folder: Path, sound: np.ndarray, text: str, said: str
) -> None:
    """Uploads were taken as they were: a wrong transcript was found out when the voice spoke nonsense."""
    answer = add(server, "bad", file_of("WAV", sound), text)
    assert answer.status_code == 422
    assert said in answer.json()["error"]["message"]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_upload_becomes_the_voice_that_csm_voices_add_makes_of_it(
    server: RunningServer, folder: Path, own_voices: Path, tmp_path: Path, kind: str, channels: int
) -> None:
    sound = np.pad(SPOKEN / 3, 24_000) + 0.01
    data = file_of(kind, sound if channels == 1 else np.stack([sound, sound / 2], axis=1))
    (tmp_path / "ann").write_bytes(data)
    assert main(["voices", "add", "ann", str(tmp_path / "ann"), "--text", WORDS]) == 0
    assert add(server, "ann", data).status_code == 201
    for ending in ("wav", "txt"):
        assert (folder / f"ann.{ending}").read_bytes() == (own_voices / f"ann.{ending}").read_bytes()
    assert httpx.delete(f"{server.url}/v1/voices/ann").status_code == 204


def test_a_long_upload_is_cut_with_its_text_at_the_end_of_a_sentence(server: RunningServer, folder: Path) -> None:
    assert add(server, "long", file_of("FLAC", LONG[: len(LONG) // 2]), " ".join([WORDS] * 12)).status_code == 201
    voice = VoiceLibrary([folder]).get("long")
    assert 20 < len(voice.pcm) / SAMPLE_RATE_HZ <= MAX_PROMPT_S
    assert voice.text == " ".join([WORDS] * (len(voice.text) // len(WORDS)))
    assert httpx.delete(f"{server.url}/v1/voices/long").status_code == 204


def test_many_channels_at_a_high_rate_are_decoded_to_two_at_ours() -> None:
    sound, rate = decode_channels(file_of("WAV", np.stack([np.repeat(TONE, 8)] * 8, axis=1), 192_000), 30)
    assert (sound.shape, rate) == ((48_000, 2), 48_000)
    sound, rate = decode_channels(file_of("WAV", np.stack([TONE, TONE / 2], axis=1), 22_050), 30)
    assert (sound.shape, rate) == ((24_000, 2), 22_050)


def test_other_rates_and_channels_are_brought_to_ours() -> None:
    time_s = np.arange(44_100) / 44_100
    stereo = np.stack([0.3 * np.sin(2 * np.pi * 440 * time_s)] * 2, axis=1)
    heard = decode_upload(file_of("WAV", stereo, 44_100), 30)
    assert len(heard) / SAMPLE_RATE_HZ == pytest.approx(1, abs=0.01)
    assert pitch_of(heard) == pytest.approx(440, abs=2)


def lying_wav(rate: int = 24_000, channels: int = 1, claimed: int = 0xFFFF_FFF0, sent: int = 48_000) -> bytes:
    """A WAV whose header says something else than what follows."""
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * 2 * channels & 0xFFFF_FFFF, 2 * channels, 16
    )
    return b"RIFF" + struct.pack("<I", claimed) + b"WAVE" + form + b"data" + struct.pack("<I", claimed) + bytes(sent)


def float_wav(sound: np.ndarray) -> bytes:
    """A WAV of float samples."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 24_000, 96_000, 4, 32)
    data = sound.astype("<f4").tobytes()
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE" + form + struct.pack("<4sI", b"data", len(data)) + data


BAD_FILES = {
    "empty": b"",
    "text": b"This is no sound at all.",
    "header only": wav_header(24_000),
    "0 Hz": lying_wav(rate=0),
    "1 GHz": lying_wav(rate=1_000_000_000),
    "64 channels": lying_wav(channels=64),
    "claims 4 GiB": lying_wav(sent=0),
    "two hours of silence": file_of("FLAC", np.zeros(7_200 * 8_000, np.float32), 8_000),
    "31 s": file_of("FLAC", np.zeros(31 * 24_000, np.float32)),
    "noise": bytes(np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8)),
    "mp3 noise": b"\xff\xfb" + bytes(np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8)),
    "a playlist": b"#EXTM3U\n#EXTINF:10,\nhttp://169.254.169.254/latest\n",
    "a playlist behind a tag": b"ID3\x04\x00\x00\x00\x00\x00\x00#EXTM3U\nfile:///etc/passwd\n",
    "not finite": float_wav(np.full(1_000, np.nan)),
    "16-bit values as float": float_wav(TONE * 32_767),
    "float that is far too loud": float_wav(TONE * 10),
}


@pytest.mark.parametrize("data", BAD_FILES.values(), ids=BAD_FILES)
def test_a_file_that_cannot_be_used_costs_little_and_says_why(
    server: RunningServer, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    monkeypatch.setattr(uploads, "samples_of", lambda frame: decoded.append(frame.samples) or samples_of(frame))
    tracemalloc.start()
    with pytest.raises(AudioError):
        decode_upload(data, 30)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{len(data):,} bytes: {sum(decoded):,} samples decoded, {peak / 2**20:.1f} MiB")
    assert sum(decoded) <= 31 * SAMPLE_RATE_HZ
    assert peak < 64 * 2**20
    answer = add(server, "bad", data)
    assert answer.status_code == 422
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert names(server) == []


def test_float_that_is_a_little_too_loud_is_clipped() -> None:
    heard = decode_upload(float_wav(TONE * 5), 30)
    assert np.abs(heard).max() == 1


def test_a_voice_is_judged_where_there_is_a_judge(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(voice: VoicePrompt) -> None:
        raise VoiceError(f"{len(voice.pcm)} samples are not what is said")

    monkeypatch.setattr(server.service, "judge", judge)
    answer = add(server, "ann")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_voice")
    assert re.search(r"\d samples are not what is said", answer.json()["error"]["message"]) and names(server) == []


@pytest.mark.parametrize("text", ["One thousand two hundred and thirty four words of text. " * 70, "7% " * 1_300])
def test_a_voice_that_leaves_no_room_in_the_context_is_refused(server: RunningServer, text: str) -> None:
    """It was taken, and whoever spoke with it had an error for ever."""
    with pytest.raises(VoiceError, match="positions"):
        server.engine.check_voice(VoicePrompt("long", text, SPOKEN))


def test_a_voice_that_leaves_room_for_a_sentence_is_taken(server: RunningServer) -> None:
    times = int(30 * SAMPLE_RATE_HZ / len(SPOKEN))
    thirty = file_of("FLAC", np.tile(SPOKEN, times))
    assert add(server, "thirty", thirty, " ".join([WORDS] * times)).status_code == 201
    assert server.speak(voice="thirty", response_format="pcm").status_code == 200
    assert httpx.delete(f"{server.url}/v1/voices/thirty").status_code == 204


@pytest.mark.parametrize("given", [{"default_voice": "nobody"}, {"default_voice": "alloy"}, {"default_voice": "../x"},
                                   {"morgan": {"voice": "nobody"}}], ids=str)  # fmt: skip
async def test_a_server_without_its_default_voice_is_never_ready(
    tiny_checkpoint: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    failed: list[bool] = []
    app = create_app(
        settings(voices=tmp_path, **given),
        lambda: Engine.load(tiny_checkpoint, device="cpu", max_conversations=1),
        lambda: failed.append(True),
    )
    keeper = app.state.service.keeper
    async with app.router.lifespan_context(app):
        with pytest.raises(SettingsError, match=r"voice is '.*'.*known voices: none"):
            await keeper.wait()
        assert not keeper.is_ready
    assert failed == [True]


@pytest.mark.parametrize(
    "given", [{"default_voice": "ann"}, {"morgan": {"voice": "ann"}}, {"morgan": {"voice": "speaker_7"}}], ids=str
)
async def test_a_server_with_its_default_voice_is_ready(
    tiny_checkpoint: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    VoiceShelf(tmp_path).add(VoicePrompt("ann", "This is me.", TONE), [])
    with running(tiny_checkpoint, voices=tmp_path, **given) as server:
        assert server.speak(response_format="pcm").status_code == 200


def test_the_default_voice_cannot_be_removed(tiny_checkpoint: Path, tmp_path: Path) -> None:
    VoiceShelf(tmp_path).add(VoicePrompt("ann", "This is me.", TONE), [])
    with running(tiny_checkpoint, voices=tmp_path, default_voice="ann") as server:
        answer = httpx.delete(f"{server.url}/v1/voices/ann")
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "default_voice")
        assert server.speak(response_format="pcm").status_code == 200


def test_a_truncated_file_is_read_as_far_as_it_goes_or_refused() -> None:
    data = file_of("FLAC", np.tile(TONE, 5))
    for part in (0.3, 0.6, 0.9):
        try:
            heard = decode_upload(data[: int(len(data) * part)], 30)
        except AudioError:
            continue
        assert len(heard) <= 5 * SAMPLE_RATE_HZ


@pytest.mark.parametrize(
    "name", ["", "../x", "..%2Fx", "/etc/x", "a/b", "x\0", "a" * 300, "-x", "ünder", "x.wav", "con fig"]
)
def test_a_name_that_is_none_is_refused(server: RunningServer, folder: Path, name: str) -> None:
    before = sorted(folder.rglob("*"))
    assert add(server, name).status_code == 422
    spoken = server.speak(voice=name or "/")
    assert spoken.status_code == 422 or "default one speaks" in spoken.headers["warning"]
    assert httpx.delete(f"{server.url}/v1/voices/{quote(name, safe='')}").status_code in (404, 405)
    assert sorted(folder.rglob("*")) == before


def test_a_link_out_of_the_folder_is_no_voice(server: RunningServer, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.wav").write_bytes(file_of("WAV"))
    (tmp_path / "secret.txt").write_text("A secret.")
    for ending in ("wav", "txt"):
        (folder / f"link.{ending}").symlink_to(tmp_path / f"secret.{ending}")
    try:
        assert "link" not in names(server)
        assert server.speak(voice="link").status_code == 422
        assert httpx.delete(f"{server.url}/v1/voices/link").status_code == 404
    finally:
        for ending in ("wav", "txt"):
            (folder / f"link.{ending}").unlink()
    assert (tmp_path / "secret.wav").exists()


def test_a_voice_whose_style_is_a_link_out_of_the_folder_is_none(
    server: RunningServer, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.json").write_text('{"style": "a secret"}')
    (folder / "link.wav").write_bytes(file_of("WAV"))
    (folder / "link.txt").write_text("No secret.")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    try:
        assert "link" not in names(server)
        assert "secret" not in server.speak(voice="link").text
    finally:
        for ending in ("wav", "txt", "json"):
            (folder / f"link.{ending}").unlink()


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_link_is_no_voice_of_the_engine_either(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """The engine reads the folder of `CSM_VOICES` too."""
    (tmp_path / f"secret.{suffix}").write_bytes(file_of(suffix.upper()))
    folder = tmp_path / "voices"
    folder.mkdir()
    (folder / f"link.{suffix}").symlink_to(tmp_path / f"secret.{suffix}")
    (folder / "link.txt").write_text("A secret.")
    monkeypatch.setenv("CSM_VOICES", str(folder))
    with running(tiny_checkpoint) as server:
        assert server.engine.voices == []
        assert names(server) == []
        assert server.speak(voice="link").status_code == 422


def test_a_voice_that_is_put_there_by_hand_is_found_and_can_be_removed(server: RunningServer, folder: Path) -> None:
    (folder / "hand.txt").write_text("By hand.")
    (folder / "hand.flac").write_bytes(file_of("FLAC"))
    assert names(server) == ["hand"]
    assert server.speak(voice="hand", response_format="pcm").status_code == 200
    assert httpx.delete(f"{server.url}/v1/voices/hand").status_code == 204
    assert list(folder.iterdir()) == []


def test_finding_a_voice_among_many_reads_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request read the folder several times over, on the event loop."""
    for number in range(100):
        (tmp_path / f"voice{number}.wav").write_bytes(file_of("WAV"))
        (tmp_path / f"voice{number}.txt").write_text("Hello.")
    shelf = VoiceShelf(tmp_path)
    assert isinstance(shelf.find("voice7", list), VoicePrompt)
    monkeypatch.setattr(Path, "iterdir", lambda folder: pytest.fail("the folder was read"))
    assert len(shelf.names) == 100
    assert isinstance(shelf.find("voice7", list), VoicePrompt)


def test_a_recording_without_its_text_is_told_of_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "me.wav").write_bytes(file_of("WAV"))
    told: list[str] = []
    sink = logger.add(told.append, level="WARNING", format="{message}")
    VoiceShelf(tmp_path)
    logger.remove(sink)
    assert len(told) == 1 and str(tmp_path / "me.txt") in told[0]


def test_without_a_folder_voices_are_kept_in_the_users_own(own_voices: Path) -> None:
    VoiceShelf(None).add(VoicePrompt("ann", "This is me.", TONE), [])
    assert sorted(path.name for path in own_voices.iterdir()) == ["ann.txt", "ann.wav"]
    assert VoiceShelf(None).names == ["ann"]


def test_where_the_users_own_folder_cannot_be_written_to_a_temporary_one_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/dev/null")
    told: list[Any] = []
    sink = logger.add(lambda message: told.append(message.record), level="WARNING")
    try:
        shelf = VoiceShelf(None)
    finally:
        logger.remove(sink)
    assert "will be lost when the server ends" in told[0]["message"]
    assert told[0]["extra"] == {"folder": "/dev/null/csm-plugin/voices", "reason": "Not a directory"}
    shelf.add(VoicePrompt("ann", "This is me.", TONE), [])
    assert shelf.names == ["ann"]


def test_a_voice_whose_text_alone_is_in_the_folder_is_the_models(tmp_path: Path) -> None:
    (tmp_path / "reader.txt").write_text("Hello.")
    assert VoiceShelf(tmp_path).not_here(["reader"]) == ["reader"]


@pytest.mark.parametrize(
    "fields",
    [{"name": "x"}, {"text": "Hello."}, {"name": "x", "text": "🙂"}, {"name": "x", "text": ""}],
    ids=str,
)
def test_an_upload_that_lacks_something_is_refused(server: RunningServer, fields: dict[str, Any]) -> None:
    answer = httpx.post(f"{server.url}/v1/voices", data=fields, files={"file": ("x", file_of("WAV"))})
    assert answer.status_code == 422


def test_there_are_only_so_many_voices(server: RunningServer) -> None:
    for number in range(5):
        assert add(server, f"voice{number}").status_code == 201
    answer = add(server, "onemore")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "too_many")
    for number in range(5):
        httpx.delete(f"{server.url}/v1/voices/voice{number}")


def test_a_voice_outlives_the_server_where_no_folder_is_given(tiny_checkpoint: Path, own_voices: Path) -> None:
    """It lies in the user's data directory, and is an uploaded one, which can be removed, again and again."""
    with running(tiny_checkpoint) as server:
        assert add(server, "ann").status_code == 201
        before = server.speak(voice="ann", response_format="pcm").content
    assert (own_voices / "ann.wav").is_file()
    with running(tiny_checkpoint) as server:
        assert httpx.get(f"{server.url}/v1/voices").json()["data"] == [
            {"id": "ann", "object": "voice", "source": "upload"}
        ]
        assert server.speak(voice="ann", response_format="pcm").content == before
        assert httpx.delete(f"{server.url}/v1/voices/ann").status_code == 204
    with running(tiny_checkpoint) as server:
        assert names(server) == []
    assert list(own_voices.iterdir()) == []


def test_a_voice_outlives_the_server_where_a_folder_is_given(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with running(tiny_checkpoint, voices=tmp_path) as server:
        add(server, "ann")
    with running(tiny_checkpoint, voices=tmp_path, default_voice="ann") as server:
        assert names(server) == ["ann"]
        by_default = server.speak(response_format="pcm").content
        for voice in ("ann", "alloy"):
            assert server.speak(voice=voice, response_format="pcm").content == by_default
