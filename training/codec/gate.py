"""The gate stage: is the codec as good as its source?

The decoder is judged on analysed codes, then codec and all, once there is an encoder.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from loguru import logger
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import MimiModel

from csm_plugin.evaluation.heldout import HELD_OUT
from csm_plugin.evaluation.pitch import agreement
from csm_plugin.evaluation.recognition import errors, hear, plain
from csm_plugin.evaluation.voice_match import VoiceMatch
from training import files
from training.codec import encoder
from training.codec.codebooks import Coder, load_coder
from training.codec.codec import load_codec
from training.corpus.synthesis import speak
from training.corpus.voices import VOICES
from training.sizes import FRAME_SAMPLES
from training.steps import pictures

_MOST_WORSE = 0.03  # word error above that of the source
_LEAST_CORRELATION = 0.9
_LEAST_RECOGNISED = 0.95


@dataclass(frozen=True, slots=True)
class Judgement:
    """The codec on one voice: word error rates, median pitch correlation and ratio, share taken for the right voice.

    `decoder_error` is from analysed codes, all others from what the encoder made of the recording; without an encoder
    they are from analysed codes, too.
    """

    voice: str
    source_error: float
    decoder_error: float
    codec_error: float
    pitch_correlation: float
    pitch_ratio: float
    recognised: float

    @property
    def passed(self) -> bool:
        return (
            self.codec_error <= self.source_error + _MOST_WORSE
            and self.pitch_correlation >= _LEAST_CORRELATION
            and self.recognised >= _LEAST_RECOGNISED
        )


def run(folder: Path, sentences: int = 20) -> list[Judgement]:
    """Judge the codec on sentences it was not trained on; writes `gate.json` and `gate.png` and prints a table.

    Raises:
        MissingInput: there is no codec.
        EvaluationError: the recogniser is not installed.
    """
    codec, coder = load_codec(folder), load_coder(folder)
    encodes = (folder / encoder.STATE).exists()
    match = VoiceMatch({voice.name: speak(HELD_OUT[-1], voice).samples for voice in VOICES})
    found = []
    for number in range(len(VOICES)):
        found.append(judge(codec, coder, number, match, sentences, encodes))
        logger.info("{}", found[-1])
    files.write_json(folder / "gate.json", [{**asdict(item), "passed": item.passed} for item in found])
    pairs = []
    for number, voice in enumerate(VOICES):
        audio = speak(HELD_OUT[0], voice).samples
        codes = coded(codec, audio) if encodes else analysed(coder, audio, number)
        pairs += [(voice.name, audio), (f"{voice.name}, codec", decoded(codec, codes, len(audio)))]
    pictures.spectrograms(folder / "gate.png", pairs)
    Console().print(_table(found))
    return found


def judge(codec: MimiModel, coder: Coder, number: int, match: VoiceMatch, sentences: int, encodes: bool) -> Judgement:
    """The codec on the first held-out sentences in one voice."""
    wrong = {"source": 0, "decoder": 0, "codec": 0}
    words, correlations, ratios, right = 0, [], [], 0
    for text in HELD_OUT[:sentences]:
        audio = speak(text, VOICES[number]).samples
        made = decoded(codec, analysed(coder, audio, number), len(audio))
        whole = decoded(codec, coded(codec, audio), len(audio)) if encodes else made
        for name, heard in (("source", audio), ("decoder", made), ("codec", whole)):
            more, count = errors(plain(text), hear(heard))
            wrong[name] += more
        correlation, ratio = agreement(whole, audio)
        correlations.append(correlation)
        ratios.append(ratio)
        right += match(whole) == VOICES[number].name
        words += count
    return Judgement(
        voice=VOICES[number].name,
        source_error=wrong["source"] / words,
        decoder_error=wrong["decoder"] / words,
        codec_error=wrong["codec"] / words,
        pitch_correlation=float(np.nanmedian(correlations)),
        pitch_ratio=float(np.nanmedian(ratios)),
        recognised=right / sentences,
    )


def analysed(coder: Coder, audio: np.ndarray, voice: int) -> Tensor:
    """The codes that the analysis finds for audio [n]: int64 [1, codebooks, frames]."""
    return coder.codes(*coder.vectors(audio, voice)).T[None]


@torch.no_grad()  # not inference mode: Mimi keeps what is computed here for later
def coded(codec: MimiModel, audio: np.ndarray) -> Tensor:
    """The codes that the encoder finds for audio [n]: int64 [1, codebooks, frames]."""
    padded = np.pad(audio, (0, -len(audio) % FRAME_SAMPLES))
    return codec.encode(torch.from_numpy(padded)[None, None]).audio_codes


@torch.no_grad()
def decoded(codec: MimiModel, codes: Tensor, samples: int) -> np.ndarray:
    """Float32 [samples] from codes."""
    return codec.decode(codes).audio_values[0, 0].float().numpy()[:samples]


def _table(found: list[Judgement]) -> Table:
    table = Table(
        "voice", "source", "decoder", "codec", "pitch r", "pitch ratio", "voice", "gate", title="word error and pitch"
    )
    for item in found:
        rates = f"{item.source_error:.1%}", f"{item.decoder_error:.1%}", f"{item.codec_error:.1%}"
        pitch = f"{item.pitch_correlation:.2f}", f"{item.pitch_ratio:.2f}"
        table.add_row(item.voice, *rates, *pitch, f"{item.recognised:.0%}", "passed" if item.passed else "not yet")
    return table
