"""Word error of speech, as an offline recogniser hears it."""

import re
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from csm_plugin.audio import resample
from csm_plugin.evaluation.errors import EvaluationError
from csm_plugin.extras import install_command
from csm_plugin.settings import SAMPLE_RATE_HZ

_RECOGNISER_RATE_HZ = 16_000
_SILENCE_S = 0.3  # the recogniser wants some before and after
_SILENT = 0.003  # of full scale, -50 dB: what is never louder is silence, in which the recogniser would hear words
_SAME = {  # two ways of writing one word
    "okay": "ok",
    "mister": "mr",
    "neighbour": "neighbor",
    "favourite": "favorite",
    "colour": "color",
    "colours": "colors",
    "grey": "gray",
    "theatre": "theater",
}


# The recogniser's library promises nothing about threads.
_lock = threading.Lock()


@cache
def _recogniser() -> Any:
    try:
        from moonshine_voice import ModelArch, Transcriber, get_model_path
    except ImportError as error:
        raise EvaluationError(
            f"speech cannot be judged without the recogniser ({error.name}): {install_command('eval')}"
        ) from error

    class Lasting(Transcriber):
        def close(self) -> None:
            """Leave it to the end of the process: the library crashes when it frees what has no speaker model."""

    options = {
        "identify_speakers": "false",  # a quarter faster without
        "return_audio_data": "false",
        "vad_threshold": "0",  # its detector of speech cuts words off, and remembers what it heard last
        "vad_max_segment_duration": "30",
    }
    return Lasting(str(get_model_path("tiny-en")), ModelArch.TINY, options=options)


def load_recogniser() -> None:
    """Load the recogniser now: Moonshine's tiny English model, which its package carries. Blocks; thread-safe.

    Raises:
        EvaluationError: it is not installed.
    """
    with _lock:
        _recogniser()


def hear(audio: np.ndarray) -> str:
    """What the recogniser hears in audio [n] at 24 kHz, lower case, without punctuation. Blocks; thread-safe.

    Raises:
        EvaluationError: the recogniser is not installed.
    """
    if not (np.abs(audio) > _SILENT).any():
        return ""
    rest = np.zeros(int(_SILENCE_S * SAMPLE_RATE_HZ), np.float32)
    padded = np.concatenate([rest, audio.astype(np.float32), rest])
    samples = resample(padded, SAMPLE_RATE_HZ, _RECOGNISER_RATE_HZ).tolist()
    with _lock:
        transcript = _recogniser().transcribe_without_streaming(samples, _RECOGNISER_RATE_HZ)
    return plain(" ".join(line.text for line in transcript.lines))


def plain(text: str) -> str:
    """Words only, lower case, numbers below a million written out, one spelling for each word."""
    text = re.sub(r"(\d),(\d{3})", r"\1\2", text.lower().replace("\u2019", "'"))
    text = re.sub(r"(\d+):(\d\d)", r"\1 \2", text)
    text = re.sub(r"\d+", lambda digits: f" {spelled(int(digits[0]))} ", text)
    words = re.findall(r"[a-z']+", text.replace("-", " "))
    return " ".join(_SAME.get(word.strip("'"), word.strip("'")) for word in words)


def spelled(number: int) -> str:
    """A number from 0 to 999,999 in words, without "and"."""
    small = (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen"
    ).split()
    tens = "twenty thirty forty fifty sixty seventy eighty ninety".split()
    if number < 20:
        return small[number]
    if number < 100:
        return " ".join([tens[number // 10 - 2], *([small[number % 10]] if number % 10 else [])])
    if number < 1000:
        return " ".join([small[number // 100], "hundred", *([spelled(number % 100)] if number % 100 else [])])
    if number < 1_000_000:
        return " ".join([spelled(number // 1000), "thousand", *([spelled(number % 1000)] if number % 1000 else [])])
    return " ".join(small[int(digit)] for digit in str(number))


def errors(said: str, heard: str) -> tuple[int, int]:
    """Word errors (substituted, missing, added) and the number of words said; both texts as `plain` writes them.

    One word and the same as two (someone, some one) sound alike, and are no error.
    """
    wanted, found = said.split(), heard.split()
    rows = [list(range(len(found) + 1))]
    for i, word in enumerate(wanted, 1):
        row = [i]
        for j, other in enumerate(found, 1):
            ways = [rows[i - 1][j] + 1, row[j - 1] + 1, rows[i - 1][j - 1] + (word != other)]
            if j > 1 and word == found[j - 2] + other:
                ways.append(rows[i - 1][j - 2])
            if i > 1 and wanted[i - 2] + word == other:
                ways.append(rows[i - 2][j - 1])
            row.append(min(ways))
        rows.append(row)
    return rows[-1][-1], len(wanted)


def word_error(said: Sequence[str], audio: Sequence[np.ndarray]) -> float:
    """Word error rate over several utterances: errors in all, divided by words in all."""
    counts = [errors(plain(text), hear(samples)) for text, samples in zip(said, audio, strict=True)]
    return sum(wrong for wrong, _ in counts) / max(1, sum(words for _, words in counts))
