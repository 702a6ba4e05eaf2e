"""One utterance, judged: what the recogniser hears, in which voice, at which pitch, and how it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from csm_plugin.conversation import VoicePrompt
from csm_plugin.evaluation.dialogue import Condition, Dialogue, Spoken
from csm_plugin.evaluation.ending import LONG_SILENCE_S, LONGEST, SHORTEST, ending, expected_s
from csm_plugin.evaluation.pitch import median_pitch_hz
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.evaluation.voice_match import VoiceMatch
from csm_plugin.settings import SAMPLE_RATE_HZ

_LAST_WORDS = 3  # heard ones among which the last of the text must be
_NEAR_PITCH = 0.1


@dataclass(frozen=True, slots=True)
class Reading:
    """A sentence as it was spoken and heard.

    Args:
        condition: how it came to be spoken.
        voice: the voice that it should be in, None where none was asked for.
        speaker: the number under which it was spoken.
        turn: its number in its conversation, from 0.
        seed: of its conversation.
        text: as the model read it.
        heard: by the recogniser; None where it was not asked.
        words, word_errors: of the text, and in what was heard.
        last_word_heard: whether the last word was among the last heard; None as `heard`.
        ended: by itself, not at its limit.
        seconds: of all of its sound.
        length: of its speech, as a factor on what the text leads to expect.
        silence_s: behind the last sound.
        broken_off: loud to the end.
        voice_found: the nearest voice prompt, None where it is silent or there are no voice prompts.
        pitch_hz: median, None where nothing is voiced.
        pitch_ratio: to the median of the voice prompt that it should sound like.
    """

    condition: Condition
    voice: str | None
    speaker: int
    turn: int
    seed: int | None
    text: str
    heard: str | None
    words: int
    word_errors: int
    last_word_heard: bool | None
    ended: bool
    seconds: float
    length: float
    silence_s: float
    broken_off: bool
    voice_found: str | None
    pitch_hz: float | None
    pitch_ratio: float | None

    @property
    def in_right_voice(self) -> bool:
        return self.voice_found == self.voice

    @property
    def ended_well(self) -> bool:
        """Whether it ended by itself at a plausible length."""
        return self.ended and SHORTEST <= self.length <= LONGEST

    @property
    def trails_off(self) -> bool:
        """Whether a long silence follows its last sound."""
        return self.silence_s > LONG_SILENCE_S

    @property
    def pitch_is_near(self) -> bool:
        return self.pitch_ratio is not None and abs(self.pitch_ratio - 1) <= _NEAR_PITCH


class Listener:
    """Judges utterances. Safe from any thread."""

    def __init__(self, voices: Sequence[VoicePrompt]) -> None:
        """
        Args:
            voices: among which the voice of an utterance is looked for.
        """
        self._pitches = {voice.name: median_pitch_hz(voice.pcm) for voice in voices}
        self._match = VoiceMatch({voice.name: voice.pcm for voice in voices})

    def judge(self, dialogue: Dialogue, spoken: Spoken) -> Reading:
        """Judge an utterance of a dialogue. Blocks for about 0.3 s where its words are heard.

        Raises:
            EvaluationError: the recogniser is not installed.
        """
        heard = hear(spoken.pcm) if dialogue.heard else None
        text = plain(spoken.text)
        wrong, words = errors(text, heard) if heard is not None else (0, 0)
        end = ending(spoken.pcm)
        pitch = median_pitch_hz(spoken.pcm)
        wanted = self._pitches.get(dialogue.wanted) if dialogue.wanted else None
        return Reading(
            condition=dialogue.condition,
            voice=dialogue.wanted,
            speaker=dialogue.speaker,
            turn=spoken.turn,
            seed=dialogue.sampling.seed,
            text=spoken.text,
            heard=heard,
            words=words,
            word_errors=wrong,
            last_word_heard=None if heard is None else _ends_with(heard, text.split()[-1]),
            ended=spoken.ended,
            seconds=len(spoken.pcm) / SAMPLE_RATE_HZ,
            length=end.speech_s / expected_s(spoken.text),
            silence_s=end.silence_s,
            broken_off=end.broken_off,
            voice_found=self._match(spoken.pcm),
            pitch_hz=pitch,
            pitch_ratio=pitch / wanted if pitch and wanted else None,
        )


def _ends_with(heard: str, word: str) -> bool:
    last = heard.split()[-_LAST_WORDS:]
    return word in last or word in map("".join, pairwise(last))  # written as two
