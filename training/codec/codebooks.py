"""The codebooks stage: the codec's codes, found by analysis instead of by gradient descent.

Mimi codes a frame as one vector of a semantic codebook beside a sum of vectors of acoustic ones. Here the vectors that
are coded are known beforehand. The semantic one is what tells phonemes apart (linear discriminants of the envelope);
the acoustic one holds the envelope's principal components, the pitch, and the phase of the voice. Each codebook
has its part of it, which is a special case of what a residual quantiser can express:

| codebook | codes |
|---|---|
| 0 | the phoneme |
| 1 | pitch and voicing |
| 2 to 8 | the envelope, finer and finer |
| 9 | the phase of the voice, and what is left of the envelope |

Numerics: principal components, linear discriminant analysis and k-means as in any textbook.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from loguru import logger
from torch import Tensor

from csm_plugin.evaluation.pitch import pitch_hz
from training import files
from training.codec.analysis import TONE, Analysis, analyse
from training.corpus import corpus
from training.corpus.corpus import Sentence, Shard
from training.corpus.phonemes import PHONEMES, frame_phonemes
from training.sizes import CODEBOOKS, CODES, VECTOR
from training.steps.progress import progress

STAGE = "codebooks"
STATE = "codebooks.safetensors"
COMPONENTS = VECTOR - TONE  # of the envelope
_SHARDS = 8
_DISCRIMINANTS = 12  # for each of the two moments of a frame
_KMEANS_ROUNDS = 15
_KMEANS_FRAMES = 60_000
_FAR = 100.0  # where the code that is never used lies
_ENVELOPE_SCALE = 0.55  # to a variance of about one a dimension
_PHASE_SCALE, _PITCH_SCALE, _VOICED_SCALE = 3.0, 3.0, 1.5
_PITCH_FROM = 10  # sentences that tell a voice's usual pitch
_SEED = 0


@dataclass(frozen=True, slots=True)
class Coder:
    """From the analysis of a recording to its vectors and codes.

    Args:
        mean: [ENVELOPE].
        components: [ENVELOPE, COMPONENTS].
        discriminants: [2 * COMPONENTS, VECTOR], of a frame's components and those of the frame before.
        books: [CODEBOOKS, CODES, VECTOR].
        usual_hz: [voices].
    """

    mean: Tensor
    components: Tensor
    discriminants: Tensor
    books: Tensor
    usual_hz: Tensor

    def vectors(self, audio: np.ndarray, voice: int) -> tuple[Tensor, Tensor]:
        """The semantic and the acoustic vectors of a recording in one of the corpus' voices, [T, VECTOR] each."""
        return self.vectors_of(analyse(torch.from_numpy(audio), float(self.usual_hz[voice])))

    def vectors_of(self, analysis: Analysis) -> tuple[Tensor, Tensor]:
        """The semantic and the acoustic vectors, [T, VECTOR] each."""
        envelope = (analysis.envelope - self.mean) @ self.components
        return _with_past(envelope) @ self.discriminants, torch.cat([envelope, _scaled(analysis.tone)], dim=1)

    def codes(self, semantic: Tensor, acoustic: Tensor) -> Tensor:
        """Int64 [T, CODEBOOKS]: the nearest vector of each codebook, as Mimi's quantiser finds it."""
        found = [torch.cdist(semantic, self.books[0]).argmin(dim=1)]
        residual = acoustic
        for book in self.books[1:]:
            found.append(torch.cdist(residual, book).argmin(dim=1))
            residual = residual - book[found[-1]]
        return torch.stack(found, dim=1)

    def save(self, path: Path) -> None:
        """Write it, atomically."""
        files.save_tensors(path, {field.name: getattr(self, field.name) for field in fields(self)}, {})


def load_coder(folder: Path) -> Coder:
    """What the stage made.

    Raises:
        MissingInput: it was not run.
        CorruptFile: its file is damaged.
    """
    return Coder(**files.load_tensors(folder / STATE, STAGE)[0])


def run(folder: Path) -> None:
    """Find components, discriminants and codebooks from the first shards, and write them.

    Raises:
        MissingInput: there is no corpus.
    """
    shards = list(corpus.shards(folder, _SHARDS))
    usual_hz = usual_pitches(shards)
    analyses: list[Analysis] = []
    phonemes: list[Tensor] = []
    with progress(STAGE, len(shards)) as bar:
        for shard in shards:
            for sentence in shard.sentences:
                audio = torch.from_numpy(shard.audio(sentence))
                analyses.append(analyse(audio, float(usual_hz[sentence.voice])))
                found = frame_phonemes(sentence.phoneme_ends_s, sentence.phonemes, len(analyses[-1].tone))
                phonemes.append(torch.from_numpy(found))
            bar.advance()
    coder = fit(analyses, torch.cat(phonemes), usual_hz)
    coder.save(folder / STATE)
    logger.info("codebooks written: {}", folder / STATE)


def usual_pitches(shards: Sequence[Shard]) -> Tensor:
    """Median pitch of each voice, float32 [voices]."""
    chosen: dict[int, list[tuple[Shard, Sentence]]] = {}
    for shard in shards:
        for sentence in shard.sentences:
            chosen.setdefault(sentence.voice, []).append((shard, sentence))
    found = torch.full((max(chosen) + 1,), float("nan"))
    for voice, said in chosen.items():
        heard = np.concatenate([pitch_hz(shard.audio(sentence)) for shard, sentence in said[:_PITCH_FROM]])
        found[voice] = float(np.median(heard[heard > 0]))
    return found


def fit(analyses: Sequence[Analysis], phonemes: Tensor, usual_hz: Tensor) -> Coder:
    """Components, discriminants and codebooks for some recordings.

    Args:
        analyses: of the recordings.
        phonemes: int64 [frames of all of them, 2].
        usual_hz: [voices].
    """
    envelope = torch.cat([analysis.envelope for analysis in analyses])
    mean = envelope.mean(dim=0)
    _, directions = torch.linalg.eigh((envelope - mean).T @ (envelope - mean))
    components = directions.flip(1)[:, :COMPONENTS] * _ENVELOPE_SCALE
    parts = [(analysis.envelope - mean) @ components for analysis in analyses]
    discriminants = _discriminants(torch.cat([_with_past(part) for part in parts]), phonemes)
    coder = Coder(mean, components, discriminants, torch.zeros(CODEBOOKS, CODES, VECTOR), usual_hz)
    vectors = [coder.vectors_of(analysis) for analysis in analyses]
    semantic, acoustic = (torch.cat([pair[index] for pair in vectors]) for index in (0, 1))

    generator = torch.Generator().manual_seed(_SEED)
    coder.books[0, 0] = _FAR  # a frame of zeros ends an utterance in CSM: speech must never have this code
    coder.books[0, 1:] = kmeans(semantic, CODES - 1, generator)
    pitch = torch.zeros(VECTOR)
    pitch[COMPONENTS + 2 :] = 1.0
    shape = torch.zeros(VECTOR)
    shape[:COMPONENTS] = 1.0
    masks = [pitch, *[shape] * (CODEBOOKS - 3), torch.ones(VECTOR)]
    residual = acoustic
    for number, mask in enumerate(masks, 1):
        book = coder.books[number]
        book.copy_(kmeans(residual * mask, CODES, generator))
        residual = residual - book[torch.cdist(residual, book).argmin(dim=1)]
        left = (residual.square().sum() / acoustic.square().sum()).item()
        logger.info("codebook {}: {:.1%} of the acoustic vectors' energy is left", number, left)
    return coder


def kmeans(vectors: Tensor, centres: int, generator: torch.Generator) -> Tensor:
    """Lloyd's algorithm on vectors [N, D], started from random ones; empty clusters start again."""
    order = torch.randperm(len(vectors), generator=generator)[: max(_KMEANS_FRAMES, centres)]
    vectors = vectors[order]
    if len(vectors) < centres:
        vectors = vectors.repeat(-(-centres // len(vectors)), 1)
    found = vectors[:centres].clone()
    for _ in range(_KMEANS_ROUNDS):
        nearest = torch.cdist(vectors, found).argmin(dim=-1)
        count = torch.bincount(nearest, minlength=centres).to(vectors.dtype)
        sums = torch.zeros_like(found).index_add_(0, nearest, vectors)
        again = vectors[torch.randint(len(vectors), (centres,), generator=generator)]
        found = torch.where(count[:, None] > 0, sums / count.clamp(min=1)[:, None], again)
    return found


def _scaled(tone: Tensor) -> Tensor:
    scale = tone.new_tensor([_PHASE_SCALE] * 2 + [_PITCH_SCALE] * 2 + [_VOICED_SCALE] * 2)
    return tone * scale


def _with_past(components: Tensor) -> Tensor:
    """Each frame's components [T, C] beside those of the frame before: [T, 2 C]."""
    return torch.cat([components, torch.nn.functional.pad(components[:-1], (0, 0, 1, 0))], dim=1)


def _discriminants(vectors: Tensor, phonemes: Tensor) -> Tensor:
    """Directions [D, VECTOR] that tell the phonemes of a frame apart; the last ones are zero."""
    columns = [_directions(vectors, phonemes[:, moment]) for moment in range(phonemes.shape[1])]
    found = torch.cat(columns, dim=1)
    return torch.nn.functional.pad(found, (0, VECTOR - found.shape[1]))


def _directions(vectors: Tensor, labels: Tensor) -> Tensor:
    """Linear discriminants [D, _DISCRIMINANTS] of labelled vectors [N, D]."""
    size = vectors.shape[1]
    within, between = 1e-3 * torch.eye(size), torch.zeros(size, size)
    middle = vectors.mean(dim=0)
    for label in range(len(PHONEMES)):
        own = vectors[labels == label]
        if len(own) < 2:
            continue
        mean = own.mean(dim=0)
        within += (own - mean).T @ (own - mean) / len(vectors)
        between += len(own) / len(vectors) * torch.outer(mean - middle, mean - middle)
    whiten = torch.linalg.inv(torch.linalg.cholesky(within))
    separation, turned = torch.linalg.eigh(whiten @ between @ whiten.T)
    weight = (separation.clamp(min=0) / (1 + separation.clamp(min=0))).sqrt()  # a direction that separates nothing: 0
    return (whiten.T @ (turned * weight)).flip(1)[:, :_DISCRIMINANTS]
