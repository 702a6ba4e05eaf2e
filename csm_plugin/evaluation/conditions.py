"""The dialogues that each part of the evaluation needs."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from csm_plugin.conversation import VoicePrompt
from csm_plugin.evaluation.dialogue import Condition, Dialogue, Recording
from csm_plugin.settings import Sampling

NEEDS: dict[str, frozenset[Condition]] = {
    "words": frozenset({Condition.DEFAULT, Condition.PROMPT}),
    "endings": frozenset({Condition.DEFAULT, Condition.PROMPT}),
    "voices": frozenset({Condition.PROMPT, Condition.EARLIER, Condition.SPEAKER_ID}),
    "pitch": frozenset({Condition.PROMPT}),
    "turns": frozenset({Condition.ALONE, Condition.ANSWERED}),
    "parity": frozenset({Condition.DEFAULT}),
    "speed": frozenset(),
}
"""The parts of the evaluation, and what must be spoken for each."""

SPEAKER_IDS = 8
TURNS = 20

_DEFAULT_TIMES = 3  # one reading of a hundred sentences is right within 2 points only
_EARLIER_SHARE = 5
_ID_SHARE = 10
_STRANGE_ID = 3  # added to a voice's number: an id that would name another voice, were there no context
_SEED_STEP = 1_000  # between dialogues, more than one has turns


def dialogues(
    parts: Collection[str], sentences: Sequence[str], voices: Sequence[VoicePrompt], sampling: Sampling
) -> list[Dialogue]:
    """Everything that the parts need, each dialogue with a seed of its own.

    Args:
        parts: names of `NEEDS`.
        sentences: what is read.
        voices: the voice prompts to read in; conditions that need some are left out without.
        sampling: how; its seed is that of the first dialogue, 0 without one.
    """
    needed = frozenset().union(*(NEEDS[part] for part in parts))
    whole = replace(sampling, trim_silence=False)  # endings are looked at
    found = [
        *(_default(sentences, whole) if Condition.DEFAULT in needed else ()),
        *(_prompted(sentences, voices, whole) if Condition.PROMPT in needed else ()),
        *(_earlier(sentences, voices, whole) if Condition.EARLIER in needed and len(voices) > 1 else ()),
        *(_speaker_ids(sentences, whole) if Condition.SPEAKER_ID in needed and len(voices) > 1 else ()),
        *(_turns(Condition.ALONE, sentences, voices, sampling) if Condition.ALONE in needed else ()),
        *(_turns(Condition.ANSWERED, sentences, voices, sampling) if len(voices) > 1 and "turns" in parts else ()),
    ]
    first = sampling.seed or 0
    return [
        replace(item, sampling=replace(item.sampling, seed=first + number * _SEED_STEP))
        for number, item in enumerate(found)
    ]


def _default(sentences: Sequence[str], sampling: Sampling) -> Iterator[Dialogue]:
    for text in (*sentences,) * _DEFAULT_TIMES:
        yield Dialogue(Condition.DEFAULT, (text,), sampling)


def _prompted(sentences: Sequence[str], voices: Sequence[VoicePrompt], sampling: Sampling) -> Iterator[Dialogue]:
    for voice in voices:
        for text in sentences:
            yield Dialogue(Condition.PROMPT, (text,), sampling, voice=voice, wanted=voice.name)


def _earlier(sentences: Sequence[str], voices: Sequence[VoicePrompt], sampling: Sampling) -> Iterator[Dialogue]:
    for number, voice in enumerate(voices):
        other = voices[(number + 1) % len(voices)]
        own = (number + _STRANGE_ID) % SPEAKER_IDS
        before = Recording(voice, own), Recording(other, (own + 1) % SPEAKER_IDS)
        for index, text in enumerate(_some(sentences, _EARLIER_SHARE, number)):
            turns = (*(before if index % 2 else before[::-1]), text)
            yield Dialogue(Condition.EARLIER, turns, sampling, speaker=own, wanted=voice.name, heard=False)


def _speaker_ids(sentences: Sequence[str], sampling: Sampling) -> Iterator[Dialogue]:
    for speaker in range(SPEAKER_IDS):
        for text in _some(sentences, _ID_SHARE, speaker):
            yield Dialogue(Condition.SPEAKER_ID, (text,), sampling, speaker=speaker, heard=False)


def _turns(
    condition: Condition, sentences: Sequence[str], voices: Sequence[VoicePrompt], sampling: Sampling
) -> Iterator[Dialogue]:
    """One conversation in each voice; of two that follow one another the second reads the sentences backwards, so that
    first and last turns hold the same ones."""
    for number, voice in enumerate(voices or (None, None)):
        start = number // 2 * TURNS
        texts = [sentences[(start + turn) % len(sentences)] for turn in range(TURNS)]
        turns: list[str | Recording] = list(texts[::-1] if number % 2 else texts)
        if condition is Condition.ANSWERED:
            answer = Recording(voices[(number + 1) % len(voices)], speaker=1)
            turns = [item for text in turns for item in (text, answer)]
        wanted = voice.name if voice else None
        yield Dialogue(condition, tuple(turns), sampling, voice=voice, wanted=wanted)


def _some(sentences: Sequence[str], share: int, offset: int) -> Sequence[str]:
    """One sentence in `share`, others for each offset; at least one."""
    return sentences[offset % min(share, len(sentences)) :: share]
