"""Whether a text is what is said in a recording, as far as a recogniser can tell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from csm_plugin.errors import VoiceError
from csm_plugin.evaluation.recognition import errors, hear, plain

FEW = 3
"""Words of which a recogniser that mishears one or two tells nothing."""

MOST_WRONG = 0.6
"""Of csm-tiny's own voices the recogniser misses at most 0.33 of the words; with the text of another, at least 0.78."""


def check_transcript(text: str, pcm: npt.NDArray[np.float32]) -> float:
    """Make sure that a recogniser hears a text in its recording. Blocks; thread-safe.

    Args:
        text: normalised.
        pcm: float32 [samples] in [-1, 1], mono, 24 kHz.

    Returns:
        the share of its words that the recogniser heard otherwise; 0 for a text with hardly an English word.

    Raises:
        VoiceError: it heard hardly any of them.
        EvaluationError: the recogniser is not installed.
    """
    said = plain(text)
    if len(said.split()) < max(FEW, len(text.split()) / 2):
        return 0.0
    wrong, words = errors(said, hear(pcm))
    share = min(1.0, wrong / words)
    if share > MOST_WRONG:
        raise VoiceError(
            "the text is not what is said in the recording: an English recogniser hears "
            f"{round((1 - share) * words)} of its {words} words; write down, word for word, what is said"
        )
    return share
