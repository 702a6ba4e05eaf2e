"""A random conversation in a session, and what is to be asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import Agent, RunContext, SpeechCreatedEvent, function_tool
from livekit.agents import llm as llms
from livekit.agents.voice import SpeechHandle

from csm_plugin.livekit import TTS
from csm_plugin.livekit.speeches import current_tts, is_typed
from tests.livekit_plugin.hearing import Kind, Talk, talking
from tests.livekit_plugin.writing import Answer, Writer
from tests.scripted_engine import Script, ScriptedEngine

WORDS = "one two three four five six seven eight nine ten".split()
SYLLABLES = "ba de fi go ku la me ni po ru".split()
STEPS = 12


@dataclass
class Outcome:
    """What became of a conversation.

    Attributes:
        steps: what was done, with when in seconds.
        unsaid: speeches that nobody interrupted and that were not said whole.
        out_of_order: speeches that were said before one that was asked for before them.
        remembered: by voice, the words in the conversation.
        history: by voice, what is to be in the conversation by the session's history.
    """

    steps: list[str] = field(default_factory=list)
    unsaid: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    remembered: dict[str, str] = field(default_factory=dict)
    history: dict[str, str] = field(default_factory=dict)

    def told(self) -> str:
        """The steps, a line each."""
        return "\n".join(self.steps)


@dataclass
class Asked:
    """A speech that was asked for."""

    handle: SpeechHandle
    text: str | None  # of what was told to be said
    kept: bool = True  # in the history


class Conversation:
    """A user, an app and an LLM that do things at random.

    Args:
        seed: of what they do.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.outcome = Outcome()
        self.engine = ScriptedEngine(self._script)
        self.voices = {"ann": TTS(engine=self.engine, voice="ann"), "bob": TTS(engine=self.engine, voice="bob")}
        self.asked: list[Asked] = []
        self.belongs: dict[str, str] = {}  # a message of the history to whose it is
        self.handed_over: set[str] = set()  # speeches that may end without words
        self.confirmed_at_s: dict[str, float] = {}
        self._count = 0
        self._told: tuple[str, bool] | None = None
        self._own_speed = self.chance.choice([0.01, 0.03, 0.07])

    def text(self, name: str) -> str:
        """Some sentences, told from all others by their name."""
        self._count += 1
        name += "".join(SYLLABLES[int(digit)] for digit in str(self._count))
        counts = [self.chance.randint(1, 7) for _ in range(self.chance.randint(1, 3))]
        return " ".join(f"{name} {' '.join(self.chance.choices(WORDS, k=count))}." for count in counts)

    def _script(self, text: str) -> Script:
        return Script(
            frames=max(1, len(text) // 2),
            frames_per_chunk=self.chance.choice([1, 1, 4]),
            frame_delay_s=self._own_speed * self.chance.uniform(0.5, 1),
        )

    def answer(self, context: llms.ChatContext) -> Answer:
        """What the LLM writes."""
        answered = bool(context.items) and context.items[-1].type == "function_call_output"
        drawn = self.chance.random()
        calls = ("look",) if drawn < 0.15 else ("transfer",) if drawn < 0.25 else ()
        wordless = bool(calls) and self.chance.random() < 0.4
        text = "" if wordless and not answered else self.text("Reply")
        return Answer(text, self.chance.choice([0.001, 0.02, 0.4]), () if answered else calls)

    def agent(self, voice: str | None = None) -> Agent:
        """An agent, with a voice of its own or the session's."""

        @function_tool(name="look")
        async def look(context: RunContext[Any]) -> str:
            """Look something up."""
            await asyncio.sleep(self.chance.random() * 3)
            if self.chance.random() < 0.4:
                with contextlib.suppress(RuntimeError):  # once the agent has handed over
                    speech = self.say(context.session, "Tool")
                    if self.chance.random() < 0.5:
                        await speech
            return "It is so."

        @function_tool(name="transfer")
        async def transfer(context: RunContext[Any]) -> Any:
            """Hand over to somebody else."""
            self.handed_over.add(context.speech_handle.id)
            other = self.agent(self.chance.choice([None, "bob"]))
            return other if self.chance.random() < 0.5 else (other, "Handed over.")

        given: dict[str, Any] = {} if voice is None else {"tts": self.voices[voice]}
        return Agent(instructions="", tools=[look, transfer], **given)

    def say(self, session: Any, name: str, *, kept: bool = True, **options: Any) -> SpeechHandle:
        """Have something said."""
        text = self.text(name)
        self._told = (text, kept)
        handle: SpeechHandle = session.say(text, add_to_chat_ctx=kept, **options)
        return handle

    def note_speech(self, event: SpeechCreatedEvent) -> None:
        """A speech was asked for."""
        text, kept = self._told or (None, True)
        self._told = None
        self.asked.append(Asked(event.speech_handle, text, kept))

    def note_item(self, event: Any) -> None:
        """A message came into the history."""
        item = event.item
        if isinstance(item, llms.ChatMessage) and item.role == "user":
            self.belongs[item.id] = "" if is_typed() else "user"
            self.confirmed_at_s[item.id] = time.time()
        elif isinstance(item, llms.ChatMessage):
            used = current_tts()
            self.belongs[item.id] = next(name for name, tts in self.voices.items() if tts is used)

    def heard_at_s(self, item: llms.ChatMessage) -> float:
        """Where a message stands in the conversation.

        LiveKit's history has a turn of the user where its words were there; speech that sounds before the turn is
        confirmed, while LiveKit waits for a tool, is before it in the conversation.
        """
        if item.role == "user":
            return self.confirmed_at_s[item.id]
        return item.metrics.get("started_speaking_at", item.created_at)

    def is_reply_lost(self, one: Asked) -> bool:
        """Whether something of a reply was not said, although nobody interrupted it."""
        if one.text is not None or one.handle.interrupted or not one.handle.scheduled:
            return False
        messages = [item for item in one.handle.chat_items if isinstance(item, llms.ChatMessage)]
        return any(item.interrupted for item in messages) or not (messages or one.handle.id in self.handed_over)

    async def step(self, talk: Talk) -> None:
        """Somebody does something."""
        await asyncio.sleep(self.chance.choice([0.0, 0.01, 0.3, 2.0, 6.0]) * self.chance.random())
        doing = self.chance.choice(
            ["say", "say", "reply", "reply", "type", "interrupt", "speak", "speak", "cough", "protected", "backchannel"]
        )
        now_s = asyncio.get_running_loop().time()
        self.outcome.steps.append(f"{now_s:8.3f} {doing}")
        session = talk.session
        match doing:
            case "say":
                self.say(session, "Say")
            case "protected":
                self.say(session, "Protected", allow_interruptions=False)
            case "backchannel":
                self.say(session, "Mhm", allow_interruptions=False, kept=self.chance.random() < 0.3)
            case "reply":
                session.generate_reply()
            case "type":
                if self.chance.random() < 0.7:
                    self.interrupt(talk)
                session.generate_reply(user_input=self.text("Typed"))
            case "interrupt":
                self.interrupt(talk)
            case "speak":
                await self.speak(talk)
            case "cough":
                await talk.begin(0.2 + self.chance.random())
                talk.end("")

    def interrupt(self, talk: Talk) -> None:
        """Interrupt what may be interrupted."""
        try:
            talk.session.interrupt()
        except RuntimeError:
            self.outcome.steps[-1] += ", which is protected"

    async def speak(self, talk: Talk) -> None:
        """The user says something, maybe with a pause, and maybe more is done meanwhile."""
        words = self.text("User")
        await talk.begin(0.3 + self.chance.random())
        if self.chance.random() < 0.3:
            talk.hear(Kind.PREFLIGHT_TRANSCRIPT, words.split()[0])
        with contextlib.suppress(RuntimeError):
            if self.chance.random() < 0.2:
                talk.session.generate_reply(user_input=self.text("Typed"))
            if self.chance.random() < 0.2:
                self.say(talk.session, "Mhm", allow_interruptions=False, kept=False)
        await asyncio.sleep(0.3 + self.chance.random())
        talk.end(words)

    def judge(self, talk: Talk) -> None:
        """Say what became of it."""
        messages = [item for item in talk.session.history.items if isinstance(item, llms.ChatMessage)]
        messages.sort(key=self.heard_at_s)
        for name, tts in self.voices.items():
            segments = tts.context.segments if tts.context else ()
            self.outcome.remembered[name] = " ".join(segment.text for segment in segments)
            own = [item for item in messages if self.belongs.get(item.id) in (name, "user")]
            self.outcome.history[name] = " ".join((item.text_content or "").strip() for item in own)
        said = [item.text_content or "" for item in messages if item.role == "assistant"]
        uncut = [one for one in self.asked if not one.handle.interrupted and one.text is not None]
        made = {segment.text for segment in self.engine.segments}
        for one in uncut:
            assert one.text is not None
            sentences = {sentence.strip() + "." for sentence in one.text.split(".")[:-1]}
            if (one.kept and one.text not in said) or not sentences <= made:
                self.outcome.unsaid.append(one.text)
        self.outcome.unsaid += [one.handle.id for one in self.asked if self.is_reply_lost(one)]
        order = [said.index(one.text) for one in uncut if one.kept and one.text in said]
        self.outcome.out_of_order += [
            said[at] for at, sorted_at in zip(order, sorted(order), strict=True) if at != sorted_at
        ]


async def converse(seed: int) -> Outcome:
    """Have a random conversation, and wait until all of it is over.

    Raises:
        TimeoutError: it waits for ever.
    """
    conversation = Conversation(seed)
    chance = conversation.chance
    turns = {
        "preemptive_generation": {"enabled": chance.random() < 0.5, "preemptive_tts": chance.random() < 0.5},
        "interruption": {"min_words": chance.choice([0, 0, 3])},
    }
    writer = Writer(conversation.answer)
    async with talking(conversation.voices["ann"], writer, agent=conversation.agent(), **turns) as talk:
        conversation.voices["bob"].attach(talk.session)
        talk.session.on("speech_created", conversation.note_speech)
        talk.session.on("conversation_item_added", conversation.note_item)
        for _ in range(STEPS):
            with contextlib.suppress(RuntimeError):  # nothing new while an agent that hands over says its last
                await conversation.step(talk)
        await asyncio.sleep(10)
        for one in conversation.asked:
            if one.handle.scheduled:  # a reply that is made beforehand waits for its words, and nobody may say them
                await one.handle
        await asyncio.sleep(10)
        conversation.judge(talk)
    return conversation.outcome
