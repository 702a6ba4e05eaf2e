"""The phonemes of American English as flite names them; 0 is silence."""

from collections.abc import Sequence

import numpy as np

from training.sizes import FRAME_RATE_HZ

PHONEMES: tuple[str, ...] = (
    *"pau aa ae ah ao aw ax ay b ch d dh eh er ey f g hh ih iy jh k l m n".split(),
    *"ng ow oy p r s sh t th uh uw v w y z zh".split(),
)
PHONEME_TIMES_S = (0.02, 0.06)  # where in an 80 ms frame its phonemes are asked for
_NUMBER = {name: index for index, name in enumerate(PHONEMES)}


def phoneme_number(name: str) -> int:
    """The number of a phoneme; whatever is not speech is silence."""
    return _NUMBER.get(name, 0)


def phonemes_at(times_s: np.ndarray, ends_s: Sequence[float], numbers: Sequence[int]) -> np.ndarray:
    """Which phoneme is spoken at each of some times.

    Args:
        times_s: float [n].
        ends_s: when each phoneme ends, rising.
        numbers: the phonemes, as many as ends.

    Returns:
        int64 [n]; 0 after the last phoneme.
    """
    index = np.searchsorted(np.asarray(ends_s), times_s, side="right")
    return np.append(np.asarray(numbers, np.int64), 0)[index]


def frame_phonemes(ends_s: Sequence[float], numbers: Sequence[int], frames: int) -> np.ndarray:
    """The phonemes of a recording's frames, int64 [frames, 2]."""
    starts_s = np.arange(frames) / FRAME_RATE_HZ
    times_s = (starts_s[:, None] + PHONEME_TIMES_S).ravel()
    return phonemes_at(times_s, ends_s, numbers).reshape(frames, len(PHONEME_TIMES_S))
