"""Mimi, the codec, as a stream: every layer carries its state from chunk to chunk, so chunks join without a seam.

Source: transformers' `MimiModel`; the streamed result equals its whole-utterance one.
"""

from csm_plugin.model.mimi.codec import Mimi
from csm_plugin.model.mimi.stream import StreamState

__all__ = ["Mimi", "StreamState"]
