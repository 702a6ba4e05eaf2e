"""What was heard: at every interruption the LLM's context and the conversation's agree, word for word."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import Callable

import numpy as np
import pytest
from pipecat.frames.frames import InterruptionFrame, TTSSpeakFrame, TTSStoppedFrame

from csm_plugin.conversation.heard import heard_text
from csm_plugin.conversation.words import Word
from csm_plugin.pipecat import CSMTTSService
from csm_plugin.pipecat.recorded import MAX_CONTEXTS, RecordedWords, count_words
from csm_plugin.pipecat.spoken_turn import MAX_SENTENCES, Sentence, SpokenTurn
from csm_plugin.pipecat.word_times import heard_after_frames
from csm_plugin.settings import FRAME_S
from csm_plugin.text.normalize import is_speakable, normalize
from csm_plugin.text.sentences import split_sentences
from tests.pipecat.harness import running
from tests.pipecat.room import Loudspeaker, Room, talking
from tests.scripted_engine import Script, ScriptedConversation, ScriptedEngine, words_of

TURNS = 20
REPLIES = [
    "Well, that is a good question, and I have an answer. The second sentence is here. And a third one follows it!",
    'Dr. Smith paid $42.50 on Monday, at 5:30pm! Is it — you know — fine? He said "hello" (twice), didn\'t he?',
    "I. A b c d e f g h i j k. No.",
    "**Bold** words: one, two. The U.S. has 50 states… Go to https://example.com/a now.",
    "Yes.",
    "It costs 1,000,000 dollars; or less - who knows? 3 of 4 people.",
]

Witness = Callable[[np.ndarray, str, str], None]
"""Is told of each turn: what was played of it, int16 [samples] at 24 kHz, what was committed, and the LLM's reply."""


def words_in(text: str) -> list[str]:
    """The words of a text as they are spoken, without punctuation."""
    spoken = " ".join(normalize(piece) for piece in split_sentences(text) if is_speakable(piece))
    return re.findall(r"[\w']+", spoken.lower())


async def interrupted_turns(
    room: Room, rng: random.Random, *, turns: int = TURNS, longest_s: float = 9.5, witness: Witness | None = None
) -> int:
    """Talk, interrupt each reply at a random moment, and compare what was committed with the conversation's segments.

    Args:
        witness: is told of each turn, to judge what was played.

    Returns:
        how many replies were cut off in the middle.
    """
    service, cut = room.service, 0
    for number in range(turns):
        commits, pieces = len(room.commits.texts), len(room.loudspeaker.played)
        await room.user_says(f"Question number {number}?", 0.6)
        await asyncio.sleep(rng.uniform(0.0, longest_s))
        await room.interrupt()
        await asyncio.sleep(0.3)
        last = list(itertools.takewhile(lambda segment: segment.speaker == 0, reversed(service.conversation.segments)))
        ours = " ".join(segment.text for segment in reversed(last))
        theirs = " ".join(room.commits.texts[commits:])
        assert words_in(ours) == words_in(theirs), f"turn {number}: we have {ours!r}, the LLM has {theirs!r}"
        cut += 0 < len(words_in(theirs)) < len(words_in(room.brain.said[-1]))
        if witness is not None:
            played = [samples for _, samples in room.loudspeaker.played[pieces:]]
            witness(np.concatenate([np.zeros(0, np.int16), *played]), theirs, room.brain.said[-1])
    return cut


@pytest.mark.parametrize(
    ("pace", "chunk", "rate", "tracked"),
    [(0.05, 8, 24_000, True), (0.5, 3, 16_000, False), (0.97, 1, 24_000, False), (1.2, 8, 8_000, True)],
)
async def test_in_twenty_interrupted_turns_the_two_contexts_agree_word_for_word(
    pace: float, chunk: int, rate: int, tracked: bool
) -> None:
    def script(text: str) -> Script:
        return Script(frames=max(4, len(text)), frames_per_chunk=chunk, frame_delay_s=chunk * FRAME_S * pace)

    service = CSMTTSService(engine=ScriptedEngine(script))
    async with talking(service, REPLIES * 4, tracked=tracked, loudspeaker=Loudspeaker(rate)) as room:
        cut = await interrupted_turns(room, random.Random(f"{pace} {tracked}"))
    assert cut >= TURNS // 3
    assert room.session.errors == []
    context = [message["content"] for message in room.context.get_messages() if message["role"] == "assistant"]
    assert context == room.commits.texts


@pytest.mark.parametrize("tracked", [True, False], ids=["tracked", "estimated"])
async def test_the_sound_is_cut_where_the_listener_was(tracked: bool) -> None:
    service = CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=len(text), frames_per_chunk=8)))
    rng = random.Random(4)
    off = []
    async with talking(service, [REPLIES[0]] * 12, tracked=tracked) as room:
        for _ in range(12):
            pieces = len(room.loudspeaker.played)
            await room.user_says("Go on.", 0.6)
            await asyncio.sleep(rng.uniform(0.5, 8.0))
            now = asyncio.get_running_loop().time()
            played = [min(len(p) / 24_000, now - at) for at, p in room.loudspeaker.played[pieces:] if at < now]
            await room.interrupt()
            off.append(talk_of(service).interruptions[-1] - sum(played))
    assert np.median(np.abs(off)) < 0.05
    assert max(np.abs(off)) < 0.5, "more than a word off"


async def test_a_reply_that_was_heard_to_its_end_stays_whole() -> None:
    service = CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=10)))
    async with talking(service, ["All of this is heard. And this."]) as room:
        await room.user_says("Speak.", 0.6)
        await asyncio.sleep(4.0)
        await room.user_says("Thank you.", 0.6)
    spoken = [segment for segment in service.conversation.segments if segment.speaker == 0]
    assert [(segment.text, len(segment.codes)) for segment in spoken] == [
        ("All of this is heard.", 10),
        ("And this.", 10),
    ]


async def test_a_reply_that_nobody_heard_a_word_of_leaves_nothing() -> None:
    service = CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=50, frame_delay_s=0.02)))
    async with talking(service, ["Extraordinarily long words."]) as room:
        await room.user_says("Speak.", 0.6)
        await room.session.until(lambda: room.loudspeaker.played)
        await room.interrupt()
        await asyncio.sleep(0.3)
        assert [segment.speaker for segment in service.conversation.segments] == [1]
    assert room.commits.texts == []


async def test_without_an_aggregator_the_clock_decides() -> None:
    service = CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=len(text))), max_ahead_s=60.0)
    async with running(service, Loudspeaker()) as session:
        await session.reply(REPLIES[0])
        await session.until(lambda: session.of(TTSStoppedFrame) or service.playback.ahead_s > 5)
        await asyncio.sleep(2.8)
        await session.send(InterruptionFrame())
        await session.until(lambda: session.of(InterruptionFrame))
        assert talk_of(service).interruptions[-1] == pytest.approx(2.8, abs=0.1)
        assert " ".join(s.text for s in service.conversation.segments) == "Well, that is a good question, and I"


async def test_the_conversation_learns_of_an_interruption_by_itself() -> None:
    service = CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=100)))
    async with running(service) as session:
        await session.send(TTSSpeakFrame("Nobody says anything after this."))
        await asyncio.sleep(1.0)
        talk = talk_of(service)
        await session.send(InterruptionFrame())
        await asyncio.sleep(0.5)
        assert len(talk.interruptions) == 1


async def test_speech_that_is_not_to_be_recorded_is_cut_by_its_own_time() -> None:
    service = CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=len(text), frames_per_chunk=8)))
    async with talking(service, ["This is recorded."]) as room:
        await room.user_says("Hello.", 0.6)
        await asyncio.sleep(2.0)
        await room.session.send(TTSSpeakFrame("This is said, and not recorded.", append_to_context=False))
        await asyncio.sleep(1.1)
        await room.interrupt()
        await asyncio.sleep(0.3)
    assert room.commits.texts == ["This is recorded."]
    said = [segment.text for segment in service.conversation.segments if segment.speaker == 0]
    assert said == ["This is recorded.", "This is said,"]


async def test_what_cannot_be_interrupted_stays_whole_in_the_context() -> None:
    service = CSMTTSService(engine=ScriptedEngine(lambda text: Script(frames=len(text), frames_per_chunk=8)))
    kept = TTSSpeakFrame("Please hear this out to its end.")
    kept.interruptible = False
    async with talking(service, ["And this is not so important."]) as room:
        await room.session.send(kept)
        await room.user_says("Hello.", 0.6)
        await asyncio.sleep(3.0)
        await room.interrupt()
        await asyncio.sleep(1.0)
        await room.session.send(TTSSpeakFrame("Next."))
        await asyncio.sleep(1.0)
    said = [segment.text for segment in service.conversation.segments if segment.speaker == 0]
    assert said[0] == "Please hear this out to its end."
    assert said[-1] == "Next."
    assert words_in(" ".join(said)) == words_in(" ".join(room.commits.texts))


def test_a_words_time_is_when_the_ledger_counts_it_as_heard() -> None:
    rng = random.Random(1)
    for _ in range(300):
        bounds = sorted(rng.uniform(0, 4) for _ in range(16))
        words = [Word(f"word{i}", bounds[2 * i], bounds[2 * i + 1]) for i in range(8)]
        text = " ".join(word.text for word in words)
        for number, word in enumerate(words, start=1):
            frames = heard_after_frames(word)
            assert len(heard_text(text, frames * FRAME_S, 99.0, words).split()) >= number
            assert len(heard_text(text, (frames - 1) * FRAME_S, 99.0, words).split()) < number


def sentence(context_id: str, text: str, *, recorded: bool = True, ended: bool = True) -> Sentence:
    """A sentence of a frame a character."""
    made = Sentence(context_id, text, recorded=recorded, live=False, ended=ended)
    made.add(len(text), words_of(text, len(text) * FRAME_S))
    return made


def spoken(*sentences: Sentence, shown: int = 99) -> tuple[SpokenTurn, RecordedWords]:
    """A turn, of which so many words went out."""
    turn, record = SpokenTurn(), RecordedWords()
    for each in sentences:
        turn.begin(each)
        for word in each.text.split(" ")[:shown]:
            record.show(each.context_id, word, word if each.recorded else "")
    return turn, record


def test_the_cut_leaves_as_many_words_as_were_committed() -> None:
    text = "one two three four five six"
    for committed in range(7):
        for heard in range(0, len(text) + 5, 3):
            turn, record = spoken(sentence("a", text))
            record.record(" ".join(text.split()[:committed]))
            kept = turn.cut_at(heard, record)
            assert count_words(turn.sentences[0].heard(kept)) == committed
            assert turn.cut_at(heard, None) == min(heard, len(text))


def test_a_cut_goes_no_further_than_what_is_known_of_an_unfinished_sentence() -> None:
    unfinished = Sentence("a", "one two three four", live=False)
    unfinished.add(20, [Word("one", 0.0, 0.3), Word("two", 0.4, 0.8)])
    turn, record = spoken(unfinished, shown=2)
    record.record("one two")
    assert turn.cut_at(20, record) == 10


def test_commits_are_matched_context_by_context() -> None:
    sentences = [sentence("a", "one two"), sentence("b", "three four", recorded=False), sentence("c", "five six")]
    turn, record = spoken(*sentences)
    record.record("one two")
    assert not turn.is_in(record)
    record.record("five")
    assert count_words(" ".join(_heard(turn, turn.cut_at(99, record)))) == 5
    record.record("six")
    assert turn.is_in(record)
    assert turn.cut_at(99, record) == turn.frames


def test_a_number_counts_once_all_of_its_words_were_heard() -> None:
    turn, record = spoken(sentence("a", "it costs forty two dollars"), shown=0)
    for word, stands_for in [("it", "It"), ("costs", "costs"), ("forty", ""), ("two", ""), ("dollars", "$42.")]:
        record.show("a", word, stands_for)
    record.record("It costs")
    assert _heard(turn, turn.cut_at(20, record)) == ["it costs"]
    record.record("$42.")
    assert _heard(turn, turn.cut_at(20, record)) == ["it costs forty two dollars"]


def test_a_monologue_without_end_keeps_its_last_sentences() -> None:
    turn, record = SpokenTurn(), RecordedWords()
    for number in range(10 * MAX_SENTENCES):
        turn.begin(sentence(str(number), "one two"))
        record.show(str(number), "one two", "one two")
        record.record("one two")
    assert len(turn.sentences) == MAX_SENTENCES
    assert len(record._words) == MAX_CONTEXTS
    assert turn.frames == 10 * MAX_SENTENCES * 7
    assert turn.cut_at(turn.frames - 4, None) == turn.frames - 4


def _heard(turn: SpokenTurn, frames: int) -> list[str]:
    texts = []
    for each in turn.sentences:
        if frames > 0:
            texts.append(each.heard(min(frames, each.frames)))
        frames -= each.frames
    return texts


def talk_of(service: CSMTTSService) -> ScriptedConversation:
    return service.conversation  # type: ignore[return-value]
