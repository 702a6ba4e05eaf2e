"""The flite synthesiser through its C library: samples, and when each phoneme and word ends.

Source: flite 2.2, `flite.h`, `cst_relation.h`, `cst_wave.h` (Debian packages libflite1 and flite).
"""

import ctypes
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np

from training.errors import SynthesisError

_PACKAGE = "libflite1"
_LAST_SEGMENT = b"R:SylStructure.daughtern.daughtern.R:Segment.end"
_BEFORE_FIRST_SEGMENT = b"R:SylStructure.daughter1.daughter1.R:Segment.p.end"


class _Wave(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    ]


class _Relation(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("features", ctypes.c_void_p),
        ("utterance", ctypes.c_void_p),
        ("head", ctypes.c_void_p),
        ("tail", ctypes.c_void_p),
    ]


class _Voice(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("features", ctypes.c_void_p)]


_SIGNATURES = {
    "flite_init": (ctypes.c_int, []),
    "flite_synth_text": (ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_void_p]),
    "flite_feat_set_float": (None, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_float]),
    "utt_relation": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_char_p]),
    "utt_wave": (ctypes.POINTER(_Wave), [ctypes.c_void_p]),
    "item_next": (ctypes.c_void_p, [ctypes.c_void_p]),
    "ffeature_string": (ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_char_p]),
    "ffeature_float": (ctypes.c_float, [ctypes.c_void_p, ctypes.c_char_p]),
    "delete_utterance": (None, [ctypes.c_void_p]),
}


@dataclass(frozen=True, slots=True)
class Interval:
    """A phoneme or a word, and where it lies, in seconds."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """What flite said: float32 [samples] in [-1, 1], at `sample_rate`, with its phonemes and words."""

    samples: np.ndarray
    sample_rate: int
    phonemes: tuple[Interval, ...]
    words: tuple[Interval, ...]


def _open(name: str) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise SynthesisError(
            f"flite's library {name} is not installed. Install the Debian package {_PACKAGE} "
            f"(apt-get install {_PACKAGE}) and run the stage again."
        ) from error


@cache
def _library() -> ctypes.CDLL:
    library = _open("libflite.so.1")
    _open("libflite_cmulex.so.1")
    _open("libflite_usenglish.so.1")
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    library.flite_init()
    return library


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)


@cache
def _voice(source: str) -> int:
    _library()
    register = getattr(_open(f"libflite_cmu_us_{source}.so.1"), f"register_cmu_us_{source}")
    register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
    return register(None)


def say(text: str, source: str, stretch: float = 1.0, pitch_hz: float | None = None) -> Utterance:
    """Speak a text with one of flite's voices.

    Args:
        text: ASCII English, one sentence.
        source: `slt`, `rms` or `awb`.
        stretch: factor on all durations.
        pitch_hz: mean pitch; None is the voice's own. A voice keeps what it was last told, so a caller that sets
            the pitch of a source once has to set it always.

    Raises:
        SynthesisError: flite is not installed, or it could not speak the text.

    Not thread-safe: flite's voices are shared, mutable state.
    """
    library, voice = _library(), _voice(source)
    features = ctypes.cast(voice, ctypes.POINTER(_Voice)).contents.features
    library.flite_feat_set_float(features, b"duration_stretch", stretch)
    if pitch_hz is not None:
        library.flite_feat_set_float(features, b"int_f0_target_mean", pitch_hz)
    _c_library().srand(zlib.crc32(text.encode()))  # the noise in the voice: the same for the same text
    utterance = library.flite_synth_text(text.encode("ascii", "ignore"), voice)
    if not utterance:
        raise SynthesisError(f"flite could not speak a text of {len(text)} characters; give it ASCII English.")
    try:
        wave = library.utt_wave(utterance).contents
        samples = np.ctypeslib.as_array(wave.samples, (wave.num_samples,)).astype(np.float32) / 32768.0
        return Utterance(
            samples=samples,
            sample_rate=wave.sample_rate,
            phonemes=tuple(_phonemes(library, utterance)),
            words=tuple(_words(library, utterance)),
        )
    finally:
        library.delete_utterance(utterance)


def _items(library: ctypes.CDLL, utterance: int, relation: bytes) -> list[int]:
    item = ctypes.cast(library.utt_relation(utterance, relation), ctypes.POINTER(_Relation)).contents.head
    items = []
    while item:
        items.append(item)
        item = library.item_next(item)
    return items


def _phonemes(library: ctypes.CDLL, utterance: int) -> list[Interval]:
    found, start_s = [], 0.0
    for item in _items(library, utterance, b"Segment"):
        end_s = library.ffeature_float(item, b"end")
        found.append(Interval(library.ffeature_string(item, b"name").decode(), start_s, end_s))
        start_s = end_s
    return found


def _words(library: ctypes.CDLL, utterance: int) -> list[Interval]:
    return [
        Interval(
            library.ffeature_string(item, b"name").decode("ascii", "ignore"),
            library.ffeature_float(item, _BEFORE_FIRST_SEGMENT),
            library.ffeature_float(item, _LAST_SEGMENT),
        )
        for item in _items(library, utterance, b"Word")
    ]
