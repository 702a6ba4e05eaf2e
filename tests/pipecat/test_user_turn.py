"""What the user says becomes context: where their speech is cut, what it is paired with, and when it is left out."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from pipecat.frames.frames import (
    InputAudioRawFrame,
    LLMFullResponseEndFrame,
    TranscriptionFrame,
    TTSUpdateSettingsFrame,
    UserMuteStartedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.turns.user_mute import AlwaysUserMuteStrategy
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies

from csm_plugin.errors import EngineBusyError
from csm_plugin.pipecat import CSMTTSService, user_turn
from csm_plugin.pipecat.user_turn import MARGIN_S, MAX_TURN_S, UserTurn
from csm_plugin.settings import SAMPLE_RATE_HZ
from tests.pipecat.harness import running
from tests.pipecat.room import MICROPHONE_HZ, talking
from tests.scripted_engine import Script, ScriptedConversation, ScriptedEngine

Settings = CSMTTSService.Settings
RATE = 1_000
NOW_S = 1_000_000.0


@pytest.fixture(autouse=True)
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let frames take no time on their way: a busy machine would move the bounds of the speech."""
    monkeypatch.setattr(user_turn, "time", SimpleNamespace(time=lambda: NOW_S))


def quick(text: str) -> Script:
    return Script(frames=5, frames_per_chunk=5)


def pitch_hz(sound: np.ndarray) -> float:
    """The strongest pitch of a sound at 24 kHz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum)) * SAMPLE_RATE_HZ / len(sound)


def talk_of(service: CSMTTSService) -> ScriptedConversation:
    return service.conversation  # type: ignore[return-value]


async def test_the_users_turn_is_context_before_the_reply() -> None:
    service = CSMTTSService(engine=ScriptedEngine(quick))
    async with talking(service, ["It is noon.", "It is late."]) as room:
        await room.silence(1.0)
        await room.user_says("What time is it?", 1.5, pitch_hz=300.0)
        await asyncio.sleep(2.0)
        await room.user_says("And now?", 0.8, pitch_hz=500.0)
        await asyncio.sleep(2.0)
    assert [(s.speaker, s.text) for s in talk_of(service).segments] == [
        (1, "What time is it?"),
        (0, "It is noon."),
        (1, "And now?"),
        (0, "It is late."),
    ]
    for (_, sound, _), said_s, pitch in zip(talk_of(service).heard, (1.5, 0.8), (300.0, 500.0), strict=True):
        assert said_s < len(sound) / SAMPLE_RATE_HZ < said_s + 2 * MARGIN_S + 0.05
        assert pitch_hz(sound) == pytest.approx(pitch, abs=2)
        assert np.abs(sound[: int(MARGIN_S * SAMPLE_RATE_HZ) - 480]).max() < 0.01  # what comes before the speech


async def test_the_pauses_within_a_turn_are_left_out() -> None:
    service = CSMTTSService(engine=ScriptedEngine(quick))
    strategies = UserTurnStrategies(
        start=[VADUserTurnStartStrategy()], stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=2.5)]
    )
    params = LLMUserAggregatorParams(user_turn_strategies=strategies)
    async with talking(service, ["I see."], user_params=params) as room:
        await room.speech(1.0)
        await room.silence(2.0)
        await room.user_says("Well, let me think.", 1.0)
        await asyncio.sleep(4.0)
    ((text, sound, _),) = talk_of(service).heard
    assert text == "Well, let me think."
    assert len(sound) / SAMPLE_RATE_HZ == pytest.approx(2.0 + 3 * MARGIN_S, abs=0.1)


async def test_without_transcription_the_turn_has_sound_and_no_words() -> None:
    service = CSMTTSService(engine=ScriptedEngine(quick))
    async with running(service) as session:
        await speak_into(session.send, 1.0)
        await session.reply("I heard something.")
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
    assert [(s.speaker, s.text) for s in talk_of(service).segments] == [(1, ""), (0, "I heard something.")]


async def test_without_an_aggregator_the_words_are_those_that_pass_by() -> None:
    service = CSMTTSService(engine=ScriptedEngine(quick))
    async with running(service) as session:
        await speak_into(session.send, 1.0)
        await session.send(TranscriptionFrame("Good", "", ""), TranscriptionFrame("morning.", "", ""))
        await session.reply("Good morning.")
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
        await session.reply("Are you there?")
        await session.until(lambda: len(session.of(LLMFullResponseEndFrame)) == 2)
    assert [(s.speaker, s.text) for s in talk_of(service).segments] == [
        (1, "Good morning."),
        (0, "Good morning."),
        (0, "Are you there?"),
    ]


async def test_without_voice_activity_detection_the_turns_own_bounds_are_used() -> None:
    service = CSMTTSService(engine=ScriptedEngine(quick))
    async with running(service) as session:
        await session.send(*microphone(2.0), UserStartedSpeakingFrame(), *microphone(1.0), UserStoppedSpeakingFrame())
        await session.send(*microphone(1.0))
        await session.reply("I heard something.")
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
    ((_, sound, _),) = talk_of(service).heard
    assert len(sound) / SAMPLE_RATE_HZ == pytest.approx(2.0, abs=0.05)


async def test_without_any_bounds_the_reply_is_spoken_without_that_context() -> None:
    service = CSMTTSService(engine=ScriptedEngine(quick))
    async with running(service) as session:
        await session.send(*microphone(2.0))
        await session.reply("I heard nothing.")
        await session.until(lambda: session.of(LLMFullResponseEndFrame))
    assert [(s.speaker, s.text) for s in talk_of(service).segments] == [(0, "I heard nothing.")]


async def test_what_a_muted_user_says_is_nobodys_business() -> None:
    service = CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=40, frames_per_chunk=8)))
    strategies = UserTurnStrategies(
        start=[VADUserTurnStartStrategy()], stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.05)]
    )
    params = LLMUserAggregatorParams(user_turn_strategies=strategies, user_mute_strategies=[AlwaysUserMuteStrategy()])
    async with talking(service, ["A reply of more than three seconds.", "Yes."], user_params=params) as room:
        await room.user_says("Hello?", 0.8)
        await asyncio.sleep(0.5)
        await room.user_says("You cannot hear me.", 1.0)  # while the agent speaks, which mutes the user
        await asyncio.sleep(3.0)
        await room.user_says("And now?", 0.8)
        await asyncio.sleep(4.0)
    assert [(s.speaker, s.text) for s in talk_of(service).segments] == [
        (1, "Hello?"),
        (0, "A reply of more than three seconds."),
        (1, "And now?"),
        (0, "Yes."),
    ]
    assert all(len(sound) / SAMPLE_RATE_HZ < 1.3 for _, sound, _ in talk_of(service).heard)


async def test_listening_can_be_switched_off_and_on() -> None:
    service = CSMTTSService(engine=ScriptedEngine(quick), settings=Settings(listen=False, user_speaker=7))
    async with talking(service, ["One.", "Two.", "Three."]) as room:
        await room.user_says("Is anybody listening?")
        await asyncio.sleep(1.0)
        await room.session.send(TTSUpdateSettingsFrame(delta=Settings(listen=True)))
        await room.user_says("And now?")
        await asyncio.sleep(1.0)
        await room.session.send(TTSUpdateSettingsFrame(delta=Settings(listen=False)))
        await room.user_says("And now again?")
        await asyncio.sleep(1.0)
    said = [(s.speaker, s.text) for s in talk_of(service).segments]
    assert said == [(0, "One."), (7, "And now?"), (0, "Two."), (0, "Three.")]
    assert not service._listening.is_due, "what nobody listens to is kept"


def refuse(*_: object) -> None:
    raise EngineBusyError("64 utterances of this conversation are waiting", retry_after_s=1.0)


async def test_a_turn_that_the_engine_refuses_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedConversation, "listen", refuse)
    service = CSMTTSService(engine=ScriptedEngine(quick))
    async with talking(service, ["Never mind."]) as room:
        await room.user_says("Can you hear me?")
        await asyncio.sleep(1.0)
    assert [(s.speaker, s.text) for s in talk_of(service).segments] == [(0, "Never mind.")]
    assert room.session.errors == []


async def test_after_a_turn_that_the_engine_refuses_the_reply_is_cut_where_it_was_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The conversation counts from the reply before, as it knows of no turn between; so must the service."""
    service = CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=len(text), frames_per_chunk=8)))
    strategies = UserTurnStrategies(
        start=[VADUserTurnStartStrategy(enable_interruptions=False)],
        stop=[SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.05)],
    )
    params = LLMUserAggregatorParams(user_turn_strategies=strategies)
    replies = ["This one is heard to its end.", "This one is cut off in the middle."]
    async with talking(service, replies, user_params=params) as room:
        await room.user_says("Begin.", 0.6)
        await asyncio.sleep(4.0)
        monkeypatch.setattr(ScriptedConversation, "listen", refuse)
        await room.user_says("Go on.", 0.6)
        await asyncio.sleep(1.5)
        await room.interrupt()
        await asyncio.sleep(0.5)
        said = [segment.text for segment in talk_of(service).segments if segment.speaker == 0]
    assert said == room.commits.texts
    assert said[0] == "This one is heard to its end." and said[1].startswith("This one is")


async def test_a_turn_that_was_understood_is_kept_when_the_user_goes_on_at_once() -> None:
    service = CSMTTSService(engine=ScriptedEngine(quick))
    async with talking(service, ["Let me see.", "All right."]) as room:
        await room.user_says("I have a question.")
        await room.user_says("It is a long one.")
        await asyncio.sleep(2.0)
    assert [text for text, _, _ in talk_of(service).heard] == ["I have a question.", "It is a long one."]


def input_of(seconds: float, *, rate: int = RATE, channels: int = 1, level: int = 1) -> InputAudioRawFrame:
    samples = np.full(int(seconds * rate) * channels, level, np.int16)
    return InputAudioRawFrame(samples.tobytes(), rate, channels)


def started(ago_s: float = 0.0) -> VADUserStartedSpeakingFrame:
    return VADUserStartedSpeakingFrame(start_secs=0.2, timestamp=NOW_S - ago_s)


def stopped(ago_s: float = 0.0) -> VADUserStoppedSpeakingFrame:
    return VADUserStoppedSpeakingFrame(stop_secs=0.2, timestamp=NOW_S - ago_s)


def followed(*frames: object) -> UserTurn:
    turn = UserTurn()
    for frame in frames:
        turn.observe(frame)  # type: ignore[arg-type]
    return turn


def test_speech_is_cut_where_detection_says_with_a_margin() -> None:
    turn = followed(
        *(input_of(0.1, level=number) for number in range(20)),
        started(),
        *(input_of(0.1, level=number) for number in range(20, 40)),
        stopped(),
        *(input_of(0.1, level=number) for number in range(40, 60)),
    )
    heard = turn.take("Hello.")
    assert heard is not None
    assert heard.text == "Hello."
    assert heard.sample_rate == RATE
    assert (heard.pcm[0], heard.pcm[-1]) == (16, 39)  # 0.2 s were needed to be sure, and 0.2 s are kept before them
    assert turn.take("Again.") is None


def test_a_frame_that_comes_late_says_how_late() -> None:
    turn = followed(*(input_of(0.1, level=number) for number in range(20)), started(ago_s=0.5), input_of(1.0, level=99))
    heard = turn.take("")
    assert heard is not None and heard.pcm[0] in (10, 11)


def test_speech_that_goes_on_belongs_to_the_next_turn() -> None:
    turn = followed(input_of(1.0, level=1), started(), input_of(1.0, level=2))
    first = turn.take("One.")
    turn.observe(input_of(1.0, level=3))
    turn.observe(stopped())
    second = turn.take("Two.")
    assert first is not None and first.pcm[-1] == 2
    assert second is not None and set(second.pcm) == {3}


def test_a_reply_in_the_middle_of_speech_that_nobody_transcribes_does_not_end_the_turn() -> None:
    turn = followed(input_of(1.0), started(), input_of(1.0))
    assert turn.take(None) is None
    turn.observe(stopped())
    heard = turn.take(None)
    assert heard is not None and len(heard.pcm) == 1.4 * RATE


def test_of_a_long_turn_the_last_part_is_kept_and_the_words_that_go_with_it() -> None:
    turn = followed(started(), *(input_of(0.5) for _ in range(int(4 * MAX_TURN_S))), stopped())
    heard = turn.take(" ".join(map(str, range(100))))
    assert heard is not None
    assert len(heard.pcm) == MAX_TURN_S * RATE
    assert heard.text == " ".join(map(str, range(50, 100)))
    assert sum(map(len, turn._speech._chunks)) <= (MAX_TURN_S + 1) * RATE


def test_another_sample_rate_begins_anew() -> None:
    turn = followed(input_of(1.0), started(), input_of(1.0), stopped(), input_of(1.0, rate=2 * RATE))
    assert turn.take("Lost.") is None
    turn.observe(started())
    turn.observe(input_of(1.0, rate=2 * RATE))
    heard = turn.take("Found.")
    assert heard is not None and heard.sample_rate == 2 * RATE


def test_channels_are_mixed_down() -> None:
    stereo = InputAudioRawFrame(np.tile(np.array([10, 30], np.int16), RATE).tobytes(), RATE, 2)
    heard = followed(started(), stereo, stopped()).take("")
    assert heard is not None
    assert (len(heard.pcm), set(heard.pcm)) == (RATE, {20})


def test_a_mute_ends_the_speech_before_it() -> None:
    turn = followed(started(), input_of(1.0), UserMuteStartedFrame(), input_of(1.0, level=9), stopped())
    heard = turn.take("")
    assert heard is not None and 9 not in heard.pcm


def test_a_click_is_no_turn_and_an_old_cough_is_not_of_this_one() -> None:
    assert followed(input_of(0.0), started(), input_of(0.1), stopped()).take("What?") is None
    turn = followed(started(), input_of(1.0, level=5), stopped(), input_of(9.0), started(), UserStartedSpeakingFrame())
    turn.observe(input_of(1.0))
    heard = turn.take("Hello.")
    assert heard is not None and 5 not in heard.pcm


def microphone(seconds: float) -> list[InputAudioRawFrame]:
    """Sound at once, in frames of 20 ms."""
    frame = (8_000 * np.sin(np.arange(MICROPHONE_HZ // 50))).astype(np.int16).tobytes()
    return [InputAudioRawFrame(frame, MICROPHONE_HZ, 1) for _ in range(round(seconds * 50))]


async def speak_into(send, seconds: float) -> None:  # type: ignore[no-untyped-def]
    await send(
        VADUserStartedSpeakingFrame(timestamp=NOW_S), *microphone(seconds), VADUserStoppedSpeakingFrame(timestamp=NOW_S)
    )
