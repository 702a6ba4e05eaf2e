"""Examples for the language model: segments one after the other, as CSM is used.

An example is `<begin>[speaker]text<end>`, the frames, one frame of zeros, for each segment. Without context the speaker
id names the voice; with context the voice is that of the earlier segments with the same id, which is a random one.
Most examples are short, and many share a batch; now and then a batch holds a few long conversations instead.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training import tokens
from training.codec.codes import NOWHERE, Segment
from training.corpus.voices import VOICES
from training.sizes import CODEBOOKS

IGNORED = -100
SPEAKERS = 10
_ID_AT = 2  # in a segment: `<begin>`, `[`, the id
_ALONE = 0.25  # share of examples without context
_TWO_SPEAKERS = 0.6  # share of the others in which another voice speaks, too
_LONGEST = 480  # positions
_CONVERSATION = (600, 1_900)  # positions: the shortest and the longest
_SHORT_A_CONVERSATION = 7  # short examples whose place in a batch a conversation takes
_UNKNOWN_FRAMES = 12  # of a first segment with a random id: nothing tells its voice yet
_GROUP = 6  # batches that are sorted by length together
_CONVERSATIONS_EVERY = 4  # groups; in that one a batch is of conversations, which take several times as long


@dataclass(frozen=True, slots=True)
class Batch:
    """Arrays [B, S], or [B, S, ...]; position p of a target belongs to the input at p, which predicts what follows.

    Args:
        text: int64, text tokens; 0 where there is a frame or padding.
        codes: int64 [B, S, K], the frame at a position; 0 where there is text.
        is_frame: bool, whether the position holds a frame.
        target: int64 [B, S, K], the frame that follows, or `IGNORED`.
        phonemes: int64 [B, S, 2] of the frame that follows, or `IGNORED`.
        attend: int64, the position of the character that the following frame speaks, or `NOWHERE`.
        voice: int64, the voice to speak in, where the example tells it, or `IGNORED`.
        name: int64, the position of the segment's speaker id, or `NOWHERE` before it.
        speaker: int64, the segment's speaker id, or `NOWHERE` in padding.
    """

    text: np.ndarray
    codes: np.ndarray
    is_frame: np.ndarray
    target: np.ndarray
    phonemes: np.ndarray
    attend: np.ndarray
    voice: np.ndarray
    name: np.ndarray
    speaker: np.ndarray

    @property
    def positions(self) -> int:
        return int((self.is_frame | (self.text > 0)).sum())


class BatchSampler:
    """Batches of examples, each from its seed."""

    def __init__(self, segments: Sequence[Segment], size: int) -> None:
        self._by_voice: dict[int, list[Segment]] = defaultdict(list)
        for segment in segments:
            self._by_voice[segment.voice].append(segment)
        self._voices = sorted(self._by_voice)
        self._size = size
        self._group: tuple[tuple[int, int], list[Batch]] | None = None

    def batch(self, step: int, seed: int) -> Batch:
        """The batch of a step. Examples of similar length share a batch, so little is padding."""
        key = (seed, step // _GROUP)
        if self._group is None or self._group[0] != key:
            rng = np.random.default_rng(key)
            examples = sorted((self.example(rng) for _ in range(self._size * _GROUP)), key=_Example.length)
            parts = [examples[first : first + self._size] for first in range(0, len(examples), self._size)]
            if key[1] % _CONVERSATIONS_EVERY == 0:
                parts[-1] = [self.conversation(rng) for _ in range(-(-self._size // _SHORT_A_CONVERSATION))]
            self._group = key, [collate(parts[index]) for index in rng.permutation(_GROUP)]
        return self._group[1][step % _GROUP]

    def example(self, rng: np.random.Generator) -> "_Example":
        """One example, with or without context."""
        voices, ids = self._two(rng)
        if rng.random() < _ALONE:
            example = _Example()
            example.add(self._pick(voices[0], rng), voices[0], known=True)
            return example
        two = rng.random() < _TWO_SPEAKERS
        turns = [int(rng.integers(2)) if two else 0 for _ in range(int(rng.integers(1, 4 if two else 3)))]
        turns.append(turns[int(rng.integers(len(turns)))])  # the last segment's speaker was heard before
        chosen = [(turn, self._pick(voices[turn], rng)) for turn in turns]
        while len(chosen) > 2 and sum(_Example.cost(segment) for _, segment in chosen) > _LONGEST:
            del chosen[0]
        return _conversation(chosen, ids)

    def conversation(self, rng: np.random.Generator) -> "_Example":
        """A long conversation of one or two speakers."""
        voices, ids = self._two(rng)
        speakers, left = int(rng.integers(1, 3)), int(rng.integers(*_CONVERSATION))
        chosen: list[tuple[int, Segment]] = []
        while True:
            turn = int(rng.integers(speakers))
            segment = self._pick(voices[turn], rng)
            left -= _Example.cost(segment)
            if left < 0 and chosen:
                return _conversation(chosen, ids)
            chosen.append((turn, segment))

    def _two(self, rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """Two voices, and two speaker ids."""
        voices = rng.choice(self._voices, 2, replace=len(self._voices) < 2)
        return [int(voice) for voice in voices], [int(speaker) for speaker in rng.choice(SPEAKERS, 2, replace=False)]

    def _pick(self, voice: int, rng: np.random.Generator) -> Segment:
        segments = self._by_voice[voice]
        return segments[int(rng.integers(len(segments)))]


def _conversation(turns: Sequence[tuple[int, Segment]], ids: Sequence[int]) -> "_Example":
    """Segments in a row; a speaker's first one does not tell its voice beforehand."""
    example, heard = _Example(), set[int]()
    for turn, segment in turns:
        example.add(segment, ids[turn], known=turn in heard)
        heard.add(turn)
    return example


class _Example:
    """An example being put together, as lists of one entry a position."""

    def __init__(self) -> None:
        self.text: list[int] = []
        self.frames: list[np.ndarray] = []
        self.target: list[np.ndarray] = []
        self.phonemes: list[np.ndarray] = []
        self.attend: list[np.ndarray] = []
        self.voice: list[np.ndarray] = []
        self.name: list[np.ndarray] = []
        self.speaker: list[np.ndarray] = []

    @staticmethod
    def cost(segment: Segment) -> int:
        return len(segment.codes) + len(segment.text) + 6

    def length(self) -> int:
        return len(self.text)

    def add(self, segment: Segment, speaker: int, known: bool) -> None:
        """Append a segment; `known` says whether id or context tell its voice."""
        spoken = tokens.encode(segment.text, speaker)
        start, frames, characters = len(self.text), len(segment.codes), len(spoken)
        first = start + characters - 1 - len(segment.text)  # position of the text's first character
        closed = np.concatenate([segment.codes, np.zeros((1, CODEBOOKS), np.int16)]).astype(np.int64)
        self.text += spoken + [0] * (frames + 1)
        self.frames += [np.zeros((characters, CODEBOOKS), np.int64), closed]
        # the last token of the text predicts frame 0, frame t predicts t + 1, the frame of zeros predicts nothing
        target = np.full((characters + frames + 1, CODEBOOKS), IGNORED, np.int64)
        target[characters - 1 : characters + frames] = closed
        if not known:
            target[characters - 1 : characters - 1 + _UNKNOWN_FRAMES] = IGNORED
        phonemes = np.full((characters + frames + 1, segment.phonemes.shape[1]), IGNORED, np.int64)
        phonemes[characters - 1 : characters - 1 + frames] = segment.phonemes
        attend = np.full(characters + frames + 1, NOWHERE, np.int64)
        attend[characters - 1 : characters - 1 + frames] = np.where(
            segment.character == NOWHERE, NOWHERE, first + segment.character
        )
        voice = np.full(characters + frames + 1, IGNORED, np.int64)
        if known:
            voice[_ID_AT : characters + _UNKNOWN_FRAMES] = segment.voice
        name = np.full(characters + frames + 1, start + _ID_AT, np.int64)
        name[:_ID_AT] = NOWHERE
        self.target.append(target)
        self.phonemes.append(phonemes)
        self.attend.append(attend)
        self.voice.append(voice)
        self.name.append(name)
        self.speaker.append(np.full(len(name), speaker, np.int64))


def collate(examples: Sequence[_Example]) -> Batch:
    """Examples of different lengths as one batch, padded on the right."""
    longest = max(example.length() for example in examples)
    shape = (len(examples), longest)
    batch = Batch(
        text=np.zeros(shape, np.int64),
        codes=np.zeros((*shape, CODEBOOKS), np.int64),
        is_frame=np.zeros(shape, bool),
        target=np.full((*shape, CODEBOOKS), IGNORED, np.int64),
        phonemes=np.full((*shape, 2), IGNORED, np.int64),
        attend=np.full(shape, NOWHERE, np.int64),
        voice=np.full(shape, IGNORED, np.int64),
        name=np.full(shape, NOWHERE, np.int64),
        speaker=np.full(shape, NOWHERE, np.int64),
    )
    for row, example in enumerate(examples):
        end = example.length()
        batch.text[row, :end] = example.text
        batch.is_frame[row, :end] = batch.text[row, :end] == 0
        batch.codes[row, :end] = np.concatenate(example.frames)
        batch.target[row, :end] = np.concatenate(example.target)
        batch.phonemes[row, :end] = np.concatenate(example.phonemes)
        batch.attend[row, :end] = np.concatenate(example.attend)
        batch.voice[row, :end] = np.concatenate(example.voice)
        batch.name[row, :end] = np.concatenate(example.name)
        batch.speaker[row, :end] = np.concatenate(example.speaker)
    return batch


VOICE_CLASSES = len(VOICES)
