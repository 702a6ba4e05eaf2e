"""Sound goes to the device that there is, else to a program; a player left by an error is silent at once."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from csm_plugin.audio import wav_header
from csm_plugin.cli import outputs
from csm_plugin.errors import SettingsError

TONE = np.linspace(-0.5, 0.5, 480, dtype=np.float32)


class Device:
    """Stands in for sounddevice's output, and keeps what is done with it."""

    def __init__(self, samplerate: int, channels: int, dtype: str) -> None:
        self.opened = (samplerate, channels, dtype)
        self.done: list[str] = []
        self.heard: list[np.ndarray] = []

    def start(self) -> None:
        self.done.append("start")

    def stop(self) -> None:
        self.done.append("stop")

    def abort(self) -> None:
        self.done.append("abort")

    def close(self) -> None:
        self.done.append("close")

    def write(self, pcm: np.ndarray) -> None:
        self.heard.append(pcm)


class NoDevice(Exception):
    """As PortAudio says that there is none."""


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> list[Device]:
    """What sounddevice was asked to open."""
    opened: list[Device] = []

    def open_one(**options: object) -> Device:
        opened.append(Device(**options))  # type: ignore[arg-type]
        return opened[-1]

    monkeypatch.setitem(sys.modules, "sounddevice", SimpleNamespace(OutputStream=open_one, PortAudioError=NoDevice))
    return opened


def test_standard_output_that_is_a_file_has_its_length_in_its_header(tmp_path: Path) -> None:
    with (tmp_path / "out.wav").open("wb") as stream, outputs.wav_stream(stream, 24_000) as write:
        write(TONE)
        write(TONE)
    assert (tmp_path / "out.wav").read_bytes()[:44] == wav_header(24_000, 2 * len(TONE))


def test_a_device_plays_all_before_it_is_closed(devices: list[Device]) -> None:
    with outputs.loudspeaker(24_000) as play:
        play(TONE)
        play(TONE)
    (device,) = devices
    assert device.opened == (24_000, 1, "float32")
    assert np.array_equal(np.concatenate(device.heard), np.tile(TONE, 2)[:, None])
    assert device.done == ["start", "stop", "close"]


def test_a_device_that_is_left_by_an_error_falls_silent_at_once(devices: list[Device]) -> None:
    with pytest.raises(KeyboardInterrupt), outputs.loudspeaker(24_000) as play:
        play(TONE)
        raise KeyboardInterrupt
    assert devices[0].done == ["start", "abort", "close"]


def test_a_device_that_is_only_asked_for_is_closed_again(devices: list[Device]) -> None:
    assert outputs.can_play(24_000)
    assert devices[0].done == ["close"]


def test_without_a_device_or_a_program_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**options: object) -> Device:
        raise NoDevice

    monkeypatch.setitem(sys.modules, "sounddevice", SimpleNamespace(OutputStream=none, PortAudioError=NoDevice))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not outputs.can_play(24_000)
    with pytest.raises(SettingsError, match="install sounddevice"), outputs.loudspeaker(24_000):
        pass
