"""Many callers, slow callers, callers who leave, and a model that fails."""

from __future__ import annotations

import asyncio
import gc
import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from loguru import logger

from csm_plugin.conversation import VoicePrompt
from csm_plugin.engine import Engine, Utterance
from csm_plugin.engine.stepper import Stepper
from csm_plugin.errors import EngineBusyError, EngineClosedError, GenerationError
from csm_plugin.settings import Sampling
from tests.engine.helpers import GREEDY, TWENTY_FRAMES, EditedSteps, HeldStep, codes_of, end_after, spoken

Eventually = Callable[[Callable[[], bool]], None]
ENDLESS = Sampling(seed=3, max_seconds=60, trim_silence=False)
LONG_TEXT = "This is a long text that keeps a row busy for as long as the test needs it, and longer. " * 4


def test_a_cancelled_utterance_takes_no_further_step_and_delivers_nothing(
    engine: Engine, eventually: Eventually
) -> None:
    with engine.conversation() as talk:
        utterance = talk.speak(LONG_TEXT, ENDLESS)
        reader = iter(utterance)
        next(reader)
        utterance.cancel()
        stepped = engine.stats().frames_stepped
        assert next(reader, None) is None
        eventually(lambda: engine.stats().live_rows == 0)
        assert engine.stats().frames_stepped - stepped <= 2
        assert utterance.finish_reason == "cancelled"


def test_an_interrupted_row_is_free_within_two_steps(engine: Engine, eventually: Eventually) -> None:
    with engine.conversation() as talk:
        reader = iter(talk.speak(LONG_TEXT, ENDLESS))
        next(reader)
        talk.interrupt()
        stepped = engine.stats().frames_stepped
        eventually(lambda: engine.stats().live_rows == 0)
        assert engine.stats().frames_stepped - stepped <= 2


def test_a_queued_utterance_can_be_cancelled_before_it_begins(engine: Engine) -> None:
    with engine.conversation() as talk:
        first, second, third = (talk.speak(text, TWENTY_FRAMES) for text in ("One.", "Two.", "Three."))
        second.cancel()
        assert len(codes_of(first)) == len(codes_of(third)) == 20
        assert list(second) == []
        assert [segment.text for segment in talk.segments] == ["One.", "Three."]


def test_an_interruption_cancels_what_is_queued_too(engine: Engine) -> None:
    with engine.conversation() as talk:
        utterances = [talk.speak(LONG_TEXT, ENDLESS) for _ in range(5)]
        next(iter(utterances[0]))
        talk.interrupt(heard_s=0)
        assert [utterance.finish_reason for utterance in utterances] == ["cancelled"] * 5
        assert talk.segments == ()
        assert len(spoken(talk, "Now.")) == 20


def test_a_reader_who_leaves_cancels(engine: Engine, eventually: Eventually) -> None:
    with engine.conversation() as talk:
        utterance = talk.speak(LONG_TEXT, ENDLESS)
        for _ in utterance:
            break
        eventually(lambda: utterance.finish_reason == "cancelled")
        eventually(lambda: engine.stats().live_rows == 0)


async def test_a_cancelled_task_cancels_its_utterance(engine: Engine, eventually: Eventually) -> None:
    async with engine.conversation() as talk:
        utterance = talk.speak(LONG_TEXT, ENDLESS)
        began = asyncio.Event()

        async def read() -> None:
            async for _ in utterance:
                began.set()

        task = asyncio.create_task(read())
        await began.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(eventually, lambda: utterance.finish_reason == "cancelled")


def test_a_slow_reader_pauses_only_itself(engine: Engine, eventually: Eventually) -> None:
    with engine.conversation() as slow, engine.conversation() as quick:
        waiting = slow.speak(LONG_TEXT, ENDLESS)
        eventually(lambda: len(waiting._buffer) == 25)
        assert len(spoken(quick, "Quick.")) == 20
        stepped = engine.stats().frames_stepped
        assert len(spoken(quick, "Quick.")) == 20
        assert engine.stats().frames_stepped == stepped + 20
        assert len(waiting._buffer) == 25
        next(iter(waiting))
        eventually(lambda: waiting.finish_reason == "cancelled")


def test_exactly_rows_and_queue_are_admitted(tiny_checkpoint: Path) -> None:
    with Engine.load(tiny_checkpoint, max_conversations=8, max_queue=16) as engine:
        talks = [engine.conversation() for _ in range(200)]
        admitted, refused, slowest = [], 0, 0.0
        for talk in talks:
            began = time.perf_counter()
            try:
                admitted.append(talk.speak("Hello.", Sampling(seed=1, max_seconds=2.4, trim_silence=False)))
            except EngineBusyError as error:
                refused += 1
                slowest = max(slowest, time.perf_counter() - began)
                assert error.retry_after_s > 0
        assert (len(admitted), refused) == (24, 176)
        print(f"24 admitted, 176 refused, each in at most {slowest * 1000:.1f} ms")
        readers = [threading.Thread(target=lambda u=utterance: list(u)) for utterance in admitted]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(60)
        assert {utterance.finish_reason for utterance in admitted} == {"length"}


def test_a_conversations_own_queue_is_bounded(engine: Engine) -> None:
    with engine.conversation() as talk:
        with pytest.raises(EngineBusyError, match="interrupt"):
            for _ in range(100):
                talk.speak(LONG_TEXT, ENDLESS)
        talk.interrupt()


def test_a_thousand_starts_and_stops_leave_nothing_behind(engine: Engine, eventually: Eventually) -> None:
    golden = engine.synthesize("Golden.", sampling=TWENTY_FRAMES)
    threads = threading.active_count()
    with engine.conversation() as talk:
        for number in range(1_000):
            utterance = talk.speak("Extraordinarily long words.", ENDLESS)
            if number % 3 == 0:
                next(iter(utterance))
            utterance.cancel()
            utterance.cancel()
        eventually(lambda: talk.segments == ())
    eventually(lambda: engine.stats().conversations == 0)
    stats = engine.stats()
    assert (stats.live_rows, stats.free_rows, stats.queued) == (0, engine.max_conversations, 0)
    assert threading.active_count() == threads
    assert np.array_equal(engine.synthesize("Golden.", sampling=TWENTY_FRAMES), golden)


def test_a_row_whose_numbers_fail_gets_a_typed_error_and_the_others_go_on(engine: Engine) -> None:
    with engine.conversation() as talk:
        expected = spoken(talk, "Fine.")

    def break_second_row(number: int, result) -> None:  # type: ignore[no-untyped-def]
        if number > 3:
            result.finite[1:] = False

    with engine.conversation() as good, engine.conversation() as bad:
        EditedSteps(engine, break_second_row)
        first, second = good.speak("Fine.", GREEDY), bad.speak("Not fine.", GREEDY)
        with pytest.raises(GenerationError, match="speak the text again"):
            codes_of(second)
        assert np.array_equal(codes_of(first), expected)
        assert second.finish_reason == "error"


def test_a_failing_step_ends_what_was_spoken_and_the_engine_goes_on(engine: Engine) -> None:
    launch = engine._scheduler.live_batch.stepper.launch
    failures = iter([True] * 3)

    def fail(rows: list[int], lengths: list[int], top_k: int):  # type: ignore[no-untyped-def]
        if next(failures, False):
            raise MemoryError("out of memory")
        return launch(rows, lengths, top_k)

    engine._scheduler.live_batch.stepper.launch = fail  # type: ignore[method-assign]
    with engine.conversation() as talk:
        for _ in range(3):
            with pytest.raises(GenerationError, match="MemoryError"):
                codes_of(talk.speak("Hello.", GREEDY))
        assert len(spoken(talk, "Hello.")) == 20
        assert [segment.text for segment in talk.segments] == ["Hello."]


def test_a_failing_prefill_fails_its_utterance_only(engine: Engine) -> None:
    prefill = engine._model.prefill
    failures = iter([True])

    def fail(row: int, start: int, inputs: np.ndarray) -> None:
        if next(failures, False):
            raise MemoryError("out of memory")
        prefill(row, start, inputs)

    engine._model.prefill = fail  # type: ignore[method-assign]
    with engine.conversation() as talk:
        with pytest.raises(GenerationError):
            codes_of(talk.speak("Hello.", GREEDY))
        assert len(spoken(talk, "Hello.")) == 20


async def test_the_event_loop_is_never_blocked(engine: Engine) -> None:
    """The step goes on only once all calls have come back: one that waited for the device would wait for ever."""
    prompt = VoicePrompt("tone", "A tone.", np.zeros(24_000, np.float32))

    async def frames_of(utterance: Utterance) -> int:
        return sum([len(chunk.codes) async for chunk in utterance])

    async with engine.conversation() as talk, engine.conversation() as other:
        held = HeldStep(engine)
        reading = asyncio.create_task(frames_of(talk.speak("Hello.", TWENTY_FRAMES)))
        await asyncio.to_thread(held.began.wait)
        cancelled = other.speak("Never mind.", TWENTY_FRAMES)
        cancelled.cancel()
        other.listen("How are you?", np.zeros(24_000, np.float32))
        other.interrupt(heard_s=0.1)
        other.configure(voice=prompt, speaker=2)
        later = asyncio.create_task(frames_of(other.speak("And on.", TWENTY_FRAMES)))
        async with engine.conversation() as third:
            third.speak("Left alone.")
        assert engine.stats().frames_stepped == 0 and other.segments == ()
        held.let_go()
        assert await asyncio.gather(reading, later) == [20, 20]
        assert not held.given_up


def test_when_the_device_thread_dies_everyone_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    talk = engine.conversation()
    reader = iter(talk.speak(LONG_TEXT, ENDLESS))
    next(reader)

    def die(sessions: object) -> bool:
        raise SystemError("the driver is gone")

    engine._scheduler._round = die  # type: ignore[method-assign, assignment]
    engine._scheduler.registry.wake()
    with pytest.raises(EngineClosedError):
        for _ in reader:
            pass
    with pytest.raises(EngineClosedError, match="SystemError"):
        talk.speak("More.")


def test_a_conversation_that_nobody_holds_closes_itself(engine: Engine, eventually: Eventually) -> None:
    utterance = engine.conversation().speak("Hello.", GREEDY)
    assert len(codes_of(utterance)) == 20
    assert engine.stats().conversations == 1
    del utterance
    gc.collect()
    eventually(lambda: engine.stats().conversations == 0)


def test_an_errors_log_tells_where_and_never_what_was_said(engine: Engine) -> None:
    log = io.StringIO()
    sink = logger.add(log, level="INFO", backtrace=True, diagnose=True)
    canary = "The canary sang Zanzibar."

    def fail(row: int, start: int, inputs: np.ndarray) -> None:
        text, tokens = canary, inputs
        raise ValueError(f"{len(text)} {len(tokens)}")

    engine._model.prefill = fail  # type: ignore[method-assign]
    try:
        with engine.conversation() as talk, pytest.raises(GenerationError) as caught:
            codes_of(talk.speak(canary))
    finally:
        logger.remove(sink)
    assert "in fail" in log.getvalue() and "ValueError" in log.getvalue()
    assert "Zanzibar" not in log.getvalue() + str(caught.value)


def test_steps_as_a_gpu_takes_them_give_the_same_speech(engine: Engine) -> None:
    def say_all() -> list[np.ndarray]:
        with engine.conversation() as first, engine.conversation() as second:
            said = [
                first.speak("Hello.", TWENTY_FRAMES),
                second.speak("And more.", GREEDY),
                first.speak("Two.", GREEDY),
            ]
            return [codes_of(utterance) for utterance in said]

    expected = say_all()
    engine._scheduler.live_batch.stepper = Stepper(engine._model, fixed_shapes=True)
    assert engine._scheduler.live_batch.stepper.lag == 1
    assert all(np.array_equal(a, b) for a, b in zip(say_all(), expected, strict=True))
    EditedSteps(engine, end_after(7))
    with engine.conversation() as talk:
        assert len(spoken(talk, "Ends by itself.")) == 7
        reader = iter(talk.speak(LONG_TEXT, ENDLESS))
        next(reader)
        talk.interrupt()


def test_a_program_may_end_in_the_middle_of_speech(tiny_checkpoint: Path) -> None:
    program = f"""
from csm_plugin import Engine
talk = Engine.load({str(tiny_checkpoint)!r}).conversation()
print(len(next(iter(talk.speak("This is left alone while the program ends."))).pcm))
"""
    for _ in range(3):
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
        assert (ended.returncode, ended.stdout) == (0, "1920\n"), ended.stderr
