"""The sound on its way to the telephone: complete, once, and not late."""

from __future__ import annotations

import asyncio
import time
import zlib

import numpy as np
import pytest
from pipecat.frames.frames import InterruptionFrame, TTSAudioRawFrame, TTSStartedFrame, TTSStoppedFrame

from agents.backends import chosen_backend
from agents.telephony.narrowband import PACKET_SAMPLES, Narrowband
from csm_plugin.audio.decimator import FACTOR, TELEPHONE_RATE_HZ, Decimator
from csm_plugin.audio.pcm import to_int16
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.settings import FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.agents.edge_service import TONE_HZ, edge_service
from tests.agents.exchange import Reciter, exchange
from tests.agents.phone import Phone, calling, until
from tests.agents.ulaw import Sound, ulaw_step
from tests.pipecat.harness import running, samples
from tests.scripted_engine import Script, ScriptedEngine, Segment

CALLERS = "amber birch cedar dune ember fjord grove heath".split()
NUMBERS = "one two three four five".split()
TELEPHONE_FRAME = FRAME_SAMPLES // FACTOR


def lengths(text: str) -> Script:
    """One to three frames, by the text, for some texts two to a chunk."""
    number = zlib.crc32(text.encode())
    return Script(frames=1 + number % 3, frames_per_chunk=1 + number % 2)


def sentences(caller: str, reply: str) -> list[str]:
    return [f"This is {caller} with reply {reply} and sentence {number}." for number in NUMBERS]


def telephone_samples(texts: list[str]) -> int:
    return sum(lengths(text).frames or 0 for text in texts) * TELEPHONE_FRAME


def narrowed(segments: list[Segment]) -> Sound:
    """What a reply of some sentences is at 8 kHz, made in one piece."""
    decimator = Decimator()
    return np.concatenate([decimator.feed(to_int16(np.concatenate([s.pcm for s in segments]))), decimator.flush()])


async def test_no_sound_is_lost_or_doubled_over_two_hundred_utterances() -> None:
    """Each of 8 calls at once hears 5 replies of 5 sentences; a key, which clears, comes between replies."""
    engine = ScriptedEngine(lengths)
    names = iter(CALLERS)

    def brain() -> Reciter:
        caller = next(names)
        return Reciter([" ".join(sentences(caller, reply)) for reply in NUMBERS])

    async def listen(phone: Phone, caller: str) -> None:
        due = 0
        for reply in NUMBERS:
            due += telephone_samples(sentences(caller, reply))
            await until(lambda due=due: len(phone.heard) >= due)
            await phone.press("#")  # after the last reply there is nothing to say

    with exchange(brain, engine=engine) as there:
        phones = {caller: Phone(there.address, number=number) for number, caller in enumerate(CALLERS)}
        async with asyncio.TaskGroup() as group:
            for called, (caller, phone) in enumerate(phones.items(), start=1):
                await phone.dial()
                await until(lambda called=called: len(engine.conversations) == called)
                group.create_task(listen(phone, caller))
        for phone in phones.values():
            await phone.hang_up()
    for caller, phone in phones.items():
        replies = [[s for s in engine.segments if f"{caller} with reply {reply} " in s.text] for reply in NUMBERS]
        expected = np.concatenate([narrowed(segments) for segments in replies])
        assert [len(segments) for segments in replies] == [5] * 5
        assert len(phone.heard) == len(expected) == telephone_samples([s.text for reply in replies for s in reply])
        error = np.abs(phone.heard.astype(np.int32) - expected)
        assert (error <= ulaw_step(expected) + 4).all(), f"{caller}: differs from sample {np.argmax(error)} on"
        assert phone.complaints == []
    made, played = engine.frames_stepped, sum(len(phone.heard) for phone in phones.values())
    print(f"\n{len(engine.segments)} utterances in {len(phones)} calls at once; a clear after every fifth")
    print(f"made {made} frames of {FRAME_SAMPLES:,} samples at 24 kHz; played {played:,} samples at 8 kHz")
    assert len(engine.segments) == 200
    assert played * FACTOR == made * FRAME_SAMPLES


async def test_a_backend_speaks_on_the_telephone_too_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    with edge_service(monkeypatch) as edge:
        backend = chosen_backend({"TTS_BACKEND": "edge"})
        assert backend is not None
        spoken = [samples async for samples in backend.another(SAMPLE_RATE_HZ).speak("Hello.")]
        length = -(-sum(map(len, spoken)) // (FACTOR * PACKET_SAMPLES)) * PACKET_SAMPLES  # the last one is filled up
        with exchange(lambda: Reciter(["One short sentence.", "And another."]), speech=backend) as there:
            async with calling(Phone(there.address)) as phone:
                await until(lambda: len(phone.heard) == length)
                await phone.press("#")
                await until(lambda: len(phone.heard) == 2 * length)
                await phone.hang_up()
    assert edge.texts == ["Hello.", "One short sentence.", "And another."]
    spectrum = np.abs(np.fft.rfft(phone.heard[:TELEPHONE_RATE_HZ] * np.hanning(TELEPHONE_RATE_HZ)))
    assert np.argmax(spectrum) == pytest.approx(TONE_HZ, abs=2)


def voice_frame(sound: Sound, context_id: str = "reply") -> TTSAudioRawFrame:
    return TTSAudioRawFrame(sound.tobytes(), SAMPLE_RATE_HZ, 1, context_id=context_id)


def noise(frames: int, seed: int = 0) -> list[Sound]:
    return list(np.random.default_rng(seed).integers(-9000, 9000, (frames, FRAME_SAMPLES)).astype(np.int16))


async def test_the_first_frame_gives_packets_at_once_and_all_of_it_is_there_at_the_stop() -> None:
    sound = noise(3)
    async with running(Narrowband()) as session:
        await session.send(TTSStartedFrame(context_id="reply"), voice_frame(sound[0]))
        await session.until(lambda: session.of(TTSAudioRawFrame))
        first = session.of(TTSAudioRawFrame)[0]
        assert first.sample_rate == TELEPHONE_RATE_HZ
        assert len(first.audio) == 2 * 3 * PACKET_SAMPLES  # 60 of the frame's 80 ms
        await session.send(voice_frame(sound[1]), voice_frame(sound[2]), TTSStoppedFrame(context_id="reply"))
        await session.until(lambda: session.of(TTSStoppedFrame))
        pieces = session.of(TTSAudioRawFrame)
        assert session.down.index(pieces[-1]) < session.down.index(session.of(TTSStoppedFrame)[0])
    decimator = Decimator()
    expected = np.concatenate([decimator.feed(np.concatenate(sound)), decimator.flush()])
    assert np.array_equal(samples(pieces), expected)
    assert len(expected) == 3 * TELEPHONE_FRAME


async def test_what_is_left_of_an_interrupted_reply_is_not_in_the_next() -> None:
    before, after = noise(1, seed=1), noise(2, seed=2)
    async with running(Narrowband()) as session:
        await session.send(TTSStartedFrame(context_id="first"), voice_frame(before[0], "first"))
        await session.until(lambda: session.of(TTSAudioRawFrame))
        await session.send(InterruptionFrame())
        await session.until(lambda: session.of(InterruptionFrame))
        await session.send(*(voice_frame(sound, "second") for sound in after), TTSStoppedFrame(context_id="second"))
        await session.until(lambda: session.of(TTSStoppedFrame))
        pieces = [frame for frame in session.of(TTSAudioRawFrame) if frame.context_id == "second"]
    decimator = Decimator()
    expected = np.concatenate([decimator.feed(np.concatenate(after)), decimator.flush()])
    assert np.array_equal(samples(pieces), expected)


async def test_the_first_sound_is_at_the_caller_at_most_40_ms_after_the_voice_gave_it() -> None:
    """What decides is the samples that must be there before a first packet goes out; the seconds are only told."""
    for_webrtc = round(0.04 * SAMPLE_RATE_HZ)  # Pipecat's transport sends 40 ms at a time
    decimator, needed, ready = Decimator(), 0, 0
    while ready < PACKET_SAMPLES:
        needed += 1
        ready += len(decimator.feed(np.zeros(1, np.int16)))
    print(f"\na first packet needs {needed} samples at 24 kHz ({needed / 24:.1f} ms); on WebRTC {for_webrtc} (40 ms);")
    print(f"a frame has {FRAME_SAMPLES} (80 ms), so both go out with the first frame")
    assert needed <= for_webrtc <= FRAME_SAMPLES

    service_ms = await delays_of_the_service()
    telephone_ms = await delays_at_the_caller()
    for name, delays in (("the voice's output", service_ms), ("at the caller's end", telephone_ms)):
        print(f"{name}: p50 {np.percentile(delays, 50):.1f} ms, p95 {np.percentile(delays, 95):.1f} ms after speak()")


class Stopwatch:
    """An engine's script that notes when each utterance began; its first frame is there at once."""

    def __init__(self) -> None:
        self.began_s: list[float] = []

    def __call__(self, text: str) -> Script:
        self.began_s.append(time.monotonic())
        return Script(frames=2)


async def delays_of_the_service(count: int = 20) -> list[float]:
    """Milliseconds from the engine's being asked to the first sound that leaves the voice, as on WebRTC."""
    watch, delays = Stopwatch(), []
    async with running(CSMTTSService(engine=ScriptedEngine(watch))) as session:
        for number in range(count):
            known = len(session.of(TTSAudioRawFrame))
            await session.reply("One short sentence.")
            await session.until(lambda known=known: len(session.of(TTSAudioRawFrame)) > known)
            delays.append((time.monotonic() - watch.began_s[number]) * 1e3)
            await session.until(lambda number=number: len(session.of(TTSStoppedFrame)) > number)
    return delays


async def delays_at_the_caller(count: int = 20) -> list[float]:
    """Milliseconds from the engine's being asked to the first packet at the far end of the media socket."""
    watch = Stopwatch()
    with exchange(lambda: Reciter(["One short sentence."] * count), engine=ScriptedEngine(watch)) as there:
        async with calling(Phone(there.address)) as phone:
            firsts: list[float] = []
            for number in range(count):
                await until(lambda number=number: len(phone.heard) == (number + 1) * 2 * TELEPHONE_FRAME)
                firsts.append(phone.arrivals_s[-2 * TELEPHONE_FRAME // PACKET_SAMPLES])
                await phone.press("#")
    return [(arrived_s - began_s) * 1e3 for arrived_s, began_s in zip(firsts, watch.began_s, strict=True)]


@pytest.mark.parametrize("frames", [1, 2, 7])
async def test_a_reply_without_a_context_is_narrowed_too(frames: int) -> None:
    sound = noise(frames)
    async with running(Narrowband()) as session:
        await session.send(*(TTSAudioRawFrame(piece.tobytes(), SAMPLE_RATE_HZ, 1) for piece in sound))
        await session.send(TTSStoppedFrame())
        await session.until(lambda: session.of(TTSStoppedFrame))
        assert len(samples(session.down)) == frames * TELEPHONE_FRAME
