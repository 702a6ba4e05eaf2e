"""The corpus as the language model sees it: text tokens, codes, and what is spoken in each frame."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from loguru import logger
from transformers import MimiModel

from csm_plugin.training import corpus, files
from csm_plugin.training.corpus import Sentence, Shard
from csm_plugin.training.crops import PHONEME_TIMES_S
from csm_plugin.training.errors import MissingInput, TrainingError
from csm_plugin.training.phonemes import phonemes_at
from csm_plugin.training.progress import progress
from csm_plugin.training.sizes import FRAME_SAMPLES
from csm_plugin.training.synthesis import SAMPLE_RATE

_BATCH = 16
NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence ready for the language model.

    Args:
        text: as spoken, lower case.
        voice: number of its voice.
        codes: int16 [frames, codebooks].
        phonemes: int64 [frames, 2], what is spoken a quarter and three quarters into each frame.
        character: int64 [frames], the character of `text` that each frame speaks, or `NOWHERE`.
    """

    text: str
    voice: int
    codes: np.ndarray
    phonemes: np.ndarray
    character: np.ndarray


def prepare(folder: Path, codec: MimiModel, device: torch.device, shards: int) -> Path:
    """Encode the first shards, as far as they are not encoded yet by this codec's encoder; resumable.

    Returns:
        Where the codes lie: one folder for each encoder, so that codes of two codecs never mix.
    """
    place = folder / f"codes-{fingerprint(codec)}"
    codec = codec.to(device).eval()
    missing = [shard for shard in corpus.shards(folder, shards) if not _path(place, shard.number).exists()]
    with progress("codes", len(missing)) as bar:
        for shard in missing:
            files.write_array(_path(place, shard.number), _encoded(shard, codec, device))
            bar.advance()
            logger.info("shard {} encoded", shard.number)
    return place


def fingerprint(codec: MimiModel) -> str:
    """Short hash of all that decides the codes: the encoder and the quantiser."""
    digest = hashlib.blake2b(digest_size=6)
    for name, value in sorted({**codec.encoder.state_dict(), **codec.quantizer.state_dict()}.items()):
        digest.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def other_codec(state: Path, made_with: str, present: str) -> TrainingError:
    """The error for a language model whose codes are not those of the codec there is."""
    return TrainingError(
        f"{state} was trained on the codes of another codec ({made_with}, now it is {present}). Put that codec back or "
        f"move the file away to train a new language model."
    )


def segments(folder: Path, place: Path, shards: int | None = None) -> Iterator[Segment]:
    """The sentences of the first shards, or of all that are encoded.

    Raises:
        MissingInput: nothing is encoded.
    """
    found = False
    for shard in corpus.shards(folder, shards):
        path = _path(place, shard.number)
        if not path.exists():
            continue
        found = True
        codes, start = np.array(files.read_array(path, "lm")), 0
        for sentence in shard.sentences:
            frames = frames_of(sentence.samples)
            yield _segment(sentence, codes[start : start + frames])
            start += frames
    if not found:
        raise MissingInput(f"there are no codes in {place}; run: python -m csm_plugin.training lm --folder {folder}")


def frames_of(samples: int) -> int:
    """How many frames the codec makes of some samples."""
    return -(-samples // FRAME_SAMPLES)


@torch.no_grad()  # not inference mode: Mimi keeps what is computed here for later
def _encoded(shard: Shard, codec: MimiModel, device: torch.device) -> np.ndarray:
    """int16 [frames of all sentences, codebooks]; each sentence is encoded from silence, as a recording would be."""
    order = sorted(range(len(shard.sentences)), key=lambda index: shard.sentences[index].samples)
    found: dict[int, np.ndarray] = {}
    for first in range(0, len(order), _BATCH):
        chosen = order[first : first + _BATCH]
        longest = frames_of(shard.sentences[chosen[-1]].samples)
        audio = np.zeros((len(chosen), 1, longest * FRAME_SAMPLES), np.float32)
        for row, index in enumerate(chosen):
            samples = shard.audio(shard.sentences[index])
            audio[row, 0, : len(samples)] = samples
        codes = codec.encode(torch.from_numpy(audio).to(device)).audio_codes.cpu().numpy()  # [B, K, T]
        for row, index in enumerate(chosen):
            found[index] = codes[row, :, : frames_of(shard.sentences[index].samples)].T.astype(np.int16)
    return np.concatenate([found[index] for index in range(len(order))])


def _segment(sentence: Sentence, codes: np.ndarray) -> Segment:
    frames = len(codes)
    starts_s = np.arange(frames) * FRAME_SAMPLES / SAMPLE_RATE
    times_s = (starts_s[:, None] + PHONEME_TIMES_S).ravel()
    phonemes = phonemes_at(times_s, sentence.phoneme_ends_s, sentence.phonemes).reshape(frames, len(PHONEME_TIMES_S))
    text = sentence.text.lower()
    middle_s = starts_s + FRAME_SAMPLES / SAMPLE_RATE / 2
    return Segment(text, sentence.voice, codes, phonemes, _characters(text, sentence, middle_s))


def _characters(text: str, sentence: Sentence, times_s: np.ndarray) -> np.ndarray:
    """Which character is spoken at each time: a word's characters share its time evenly."""
    character = np.full(len(times_s), NOWHERE, np.int64)
    cursor = 0
    for word, (start_s, end_s) in zip(sentence.words, sentence.word_times_s, strict=True):
        at = text.find(word.lower(), cursor)
        if at < 0 or not word or end_s <= start_s:
            continue
        inside = (times_s >= start_s) & (times_s < end_s)
        share = (times_s[inside] - start_s) / (end_s - start_s)
        character[inside] = at + np.minimum((share * len(word)).astype(np.int64), len(word) - 1)
        cursor = at + len(word)
    return character


def _path(place: Path, number: int) -> Path:
    return place / f"shard-{number:05d}.npy"
