"""A random conversation: what is said in it and when follows from a seed, and every word is said once."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from pipecat.frames.frames import (
    BotBackchannelFrame,
    EagerEndOfTurnCancelFrame,
    Frame,
    FunctionCallCancelFrame,
    FunctionCallFromLLM,
    FunctionCallInProgressFrame,
    FunctionCallResultFrame,
    FunctionCallsStartedFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMMessagesAppendFrame,
    ManuallySwitchServiceFrame,
    TTSSpeakFrame,
)
from pipecat.observers.base_observer import BaseObserver, FramePushed
from pipecat.pipeline.service_switcher import ServiceSwitcher
from pipecat.processors.aggregators.llm_response_universal import LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection
from pipecat.turns.user_turn_strategies import EagerUserTurnStrategies

from csm_plugin.audio.pcm import to_int16
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.settings import FRAME_S
from tests.pipecat.room import Brain, Room, talking
from tests.pipecat.test_eager import commit, predict
from tests.pipecat.test_heard import words_in
from tests.scripted_engine import Script, ScriptedConversation, ScriptedEngine

EVENTS = 9
SILENT_FOR_EVER_S = 90.0
ASIDE = "x"
"""What begins with this is not meant for the LLM's context."""
TYPED = "Typed: "


class Words:
    """Words that nobody has said before."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        syllables = [first + second for first in "bdfgklmnprsv" for second in "aeiou"]
        self._words = itertools.product(syllables, syllables)
        for _ in range(rng.randrange(50)):
            next(self._words)

    def sentence(self, *, aside: bool = False) -> str:
        """A sentence of two to eight words, maybe in two clauses."""
        words = [(ASIDE if aside else "") + "".join(next(self._words)) + "n" for _ in range(self._rng.randint(2, 8))]
        if len(words) > 4 and self._rng.random() < 0.4:
            words[self._rng.randint(1, 3)] += ","
        return " ".join(words).capitalize() + "."

    def reply(self) -> str:
        """One to three sentences."""
        return " ".join(self.sentence() for _ in range(self._rng.randint(1, 3)))


class Mind(Brain):
    """Answers each context with new words, now and then after a word or two and the use of a tool.

    Args:
        rng: decides.
        words: what it says.
    """

    def __init__(self, rng: random.Random, words: Words) -> None:
        super().__init__([])
        self._rng = rng
        self._words = words
        self._numbers = itertools.count()
        self._tool: asyncio.Task[None] | None = None
        self.busy = 0
        self.answers: list[tuple[str, str]] = []
        """What was asked last, and the answer."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        if isinstance(frame, InterruptionFrame) and self._tool is not None:
            await self.cancel_task(self._tool)
        if not isinstance(frame, LLMContextFrame):
            await super().process_frame(frame, direction)
            return
        self._gate.begin_speculation(frame.speculation)
        asked = next((m for m in reversed(frame.context.get_messages()) if m["role"] == "user"), {"content": ""})
        self.busy += 1
        try:
            if self._rng.random() < 0.2 and self._tool is None and not frame.speculation:
                if self._rng.random() < 0.5:
                    await self.answer(self._words.sentence())
                self._tool = self.create_task(self._use_tool())
            else:
                reply = self._words.reply()
                self.answers.append((str(asked["content"]), reply))
                await asyncio.sleep(self._rng.uniform(0.05, 0.5))
                await self.answer(reply)
        finally:
            self.busy -= 1

    async def cleanup(self) -> None:
        await super().cleanup()
        if self._tool is not None:
            await self.cancel_task(self._tool)

    async def _use_tool(self) -> None:
        name, number = "look_up", f"call-{next(self._numbers)}"
        self.busy += 1
        try:
            call = FunctionCallFromLLM(name, number, {}, None)
            await self.broadcast_frame(FunctionCallsStartedFrame, function_calls=[call])
            await self.broadcast_frame(
                FunctionCallInProgressFrame,
                function_name=name,
                tool_call_id=number,
                arguments={},
                cancel_on_interruption=True,
            )
            if self._rng.random() < 0.5:
                await self.push_frame(TTSSpeakFrame(self._words.sentence()))
            await asyncio.sleep(self._rng.uniform(0.1, 2.0))
            await self.broadcast_frame(
                FunctionCallResultFrame, function_name=name, tool_call_id=number, arguments={}, result="done"
            )
        except asyncio.CancelledError:
            await self.broadcast_frame(FunctionCallCancelFrame, function_name=name, tool_call_id=number)
            raise
        finally:
            self.busy -= 1
            self._tool = None


class Interruptions(BaseObserver):
    """Remembers when somebody interrupted, in seconds of the loop's time."""

    def __init__(self) -> None:
        super().__init__()
        self.last_s = -1.0

    async def on_push_frame(self, data: FramePushed) -> None:
        if isinstance(data.frame, InterruptionFrame):
            self.last_s = asyncio.get_running_loop().time()


@dataclass
class Talk:
    """A conversation that goes on: what was ordered in it.

    Args:
        protected: what is to be said to its end, whatever happens.
        ordered: all that was ordered to be said, and when.
    """

    room: Room
    services: list[CSMTTSService]
    rng: random.Random
    words: Words
    mind: Mind
    interruptions: Interruptions
    eager: bool = False
    active: int = 0
    protected: list[str] = field(default_factory=list)
    ordered: list[tuple[float, str]] = field(default_factory=list)
    user_said: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    async def go_on(self) -> None:
        """Let one more thing happen, and some time pass."""
        kinds = ["user", "typed", "say", "say", "aside", "protected", "backchannel", "interrupt", "over", "switch"]
        kind = self.rng.choice(kinds)
        self.log.append(f"{asyncio.get_running_loop().time():.2f} {kind}")
        if kind == "user":
            await self._user_speaks()
        elif kind == "typed":
            if self.rng.random() < 0.5:
                await self.room.interrupt()
            message = {"role": "user", "content": TYPED + self.words.sentence()}
            await self.room.session.send(LLMMessagesAppendFrame([message], run_llm=True))
        elif kind == "interrupt":
            await self.room.interrupt()
        elif kind == "over":
            speaking = asyncio.create_task(self._user_speaks())
            await asyncio.sleep(self.rng.uniform(0.1, 1.0))
            await self._say("backchannel")
            await speaking
        elif kind == "switch":
            await self._switch()
        else:
            await self._say(kind)
        if self.rng.random() < 0.75:
            await asyncio.sleep(self.rng.choice([0.1, 0.5, 2.0]) * self.rng.uniform(0, 2))

    async def quiet(self) -> None:
        """Wait until all that was ordered is over; fail if that never comes."""
        deadline, still = asyncio.get_running_loop().time() + SILENT_FOR_EVER_S, 0
        while still < 5:
            assert asyncio.get_running_loop().time() < deadline, f"it never ends: {self.log}"
            await asyncio.sleep(0.25)
            busy = self.mind.busy or any(s.get_audio_contexts() or s.playback.unheard_s > 0 for s in self.services)
            still = 0 if busy else still + 1

    async def _user_speaks(self) -> None:
        text = self.words.sentence()
        self.user_said.append(text)
        if not self.eager:
            await self.room.user_says(text, self.rng.uniform(0.5, 1.5))
            return
        predicted = text[:-1].lower() if self.rng.random() < 0.7 else text.split(",")[0].split(" ")[0]
        await predict(self.room, predicted, self.rng.uniform(0.5, 1.5))
        await asyncio.sleep(self.rng.uniform(0.0, 1.0))
        if self.rng.random() < 0.2:
            await self.room.session.send(EagerEndOfTurnCancelFrame())
            await self.room.speech(self.rng.uniform(0.3, 1.0))
        await commit(self.room, text)

    async def _say(self, kind: str) -> None:
        aside = kind == "backchannel" or kind == "aside" or (kind == "protected" and self.rng.random() < 0.3)
        text = self.words.sentence(aside=aside)
        frame = BotBackchannelFrame(text) if kind == "backchannel" else TTSSpeakFrame(text, append_to_context=not aside)
        if kind == "protected":
            frame.interruptible = False
        if not frame.interruptible:
            self.protected.append(text)
        self.ordered.append((asyncio.get_running_loop().time(), text))
        await self.room.session.send(frame)

    async def _switch(self) -> None:
        if len(self.services) > 1:
            await self.quiet()
            self.active = 1 - self.active
            await self.room.session.send(ManuallySwitchServiceFrame(service=self.services[self.active]))


async def converse(seed: int, *, events: int = EVENTS) -> None:
    """Have a conversation, and fail if anything of it is lost, out of order, or remembered differently."""
    rng = random.Random(seed)
    pace, chunk = rng.choice([0.05, 0.3, 0.7, 0.95]), rng.choice([1, 3, 8])

    def script(text: str) -> Script:
        return Script(frames=max(4, len(text)), frames_per_chunk=chunk, frame_delay_s=chunk * FRAME_S * pace)

    words = Words(rng)
    services = [CSMTTSService(engine=ScriptedEngine(script)) for _ in range(rng.choice([1, 1, 2]))]
    voices: ServiceSwitcher | None = ServiceSwitcher(list(services)) if len(services) > 1 else None
    interruptions, mind = Interruptions(), Mind(rng, words)
    eager = rng.random() < 0.3
    tracked = len(services) == 1 and rng.random() < 0.5
    async with talking(
        services[0],
        [],
        tracked=tracked,
        user_params=LLMUserAggregatorParams(user_turn_strategies=EagerUserTurnStrategies()) if eager else None,
        observers=[interruptions],
        voices=voices,
        brain=mind,
    ) as room:
        talk = Talk(room, services, rng, words, mind, interruptions, eager)
        for _ in range(events):
            await talk.go_on()
        await talk.quiet()
        talk.ordered.append((asyncio.get_running_loop().time(), closing := words.sentence()))
        await room.session.send(TTSSpeakFrame(closing))
        await talk.quiet()
        try:
            check(talk)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, pace {pace}, {talk.log}: {error}") from None
    assert room.session.errors == []


def check(talk: Talk) -> None:
    """What holds of every conversation."""
    messages = talk.room.context.get_messages()
    theirs = words_in(" ".join(str(m.get("content") or "") for m in messages if m["role"] == "assistant"))
    sound = talk.room.loudspeaker.sound.tobytes()
    spoken = [segment for service in talk.services for segment in service._engine.segments]  # type: ignore[union-attr]
    for service in talk.services:
        made = set(words_in(" ".join(segment.text for segment in service._engine.segments)))  # type: ignore[union-attr]
        held = held_words(service, 0)
        ours = [word for word in held if not word.startswith(ASIDE)]
        assert ours == [word for word in theirs if word in made], f"{ours} != {theirs}"
        users = held_words(service, 1)
        assert is_within(users, words_in(" ".join(talk.user_said))), "the user's turns are out of order"
    for text in talk.protected:
        assert any(to_int16(s.pcm).tobytes() in sound for s in spoken if s.text == text), f"{text!r} was cut off"
    said = {segment.text for segment in spoken}
    for at_s, text in talk.ordered:
        if at_s > talk.interruptions.last_s:
            assert text in said, f"{text!r} was never said"
            assert any(to_int16(s.pcm).tobytes() in sound for s in spoken if s.text == text), f"{text!r} is incomplete"
            assert text[0].lower() == ASIDE or is_within(words_in(text), theirs), f"{text!r} was not committed"
    order = [words_in(text)[0] for _, text in talk.ordered]
    begun = [word for word in itertools.chain.from_iterable(words_in(s.text)[:1] for s in spoken) if word in order]
    if len(talk.services) == 1:
        assert begun == [word for word in order if word in begun], "not said in the order in which it was ordered"
        asked = [str(m["content"]) for m in messages if m["role"] == "user"]
        theirs = words_in(" ".join(text for text in asked if not text.startswith(TYPED)))
        assert held_words(talk.services[0], 1) == theirs, f"the user said {theirs}"
        for asked, reply in talk.mind.answers:
            answers_follow(talk.services[0], asked, reply)


def answers_follow(service: CSMTTSService, asked: str, reply: str) -> None:
    """Fail if a turn of the user's stands behind the reply to it."""
    texts = [words_in(segment.text) for segment in conversation_of(service).segments]
    question = next((at for at, words in enumerate(texts) if words and words == words_in(asked)), -1)
    answer = next((at for at, words in enumerate(texts) if words and words[0] == words_in(reply)[0]), len(texts))
    assert question < answer, f"{asked!r} stands behind {reply!r}"


def held_words(service: CSMTTSService, speaker: int) -> list[str]:
    """The words that a service's conversation holds of one side."""
    if service._talk is None:
        return []
    return words_in(" ".join(s.text for s in conversation_of(service).segments if s.speaker == speaker))


def conversation_of(service: CSMTTSService) -> ScriptedConversation:
    return service.conversation  # type: ignore[return-value]


def is_within(words: list[str], others: Iterator[str] | list[str]) -> bool:
    """Whether words stand in the same order among others."""
    others = iter(others)
    return all(word in others for word in words)
