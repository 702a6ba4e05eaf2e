"""What a conversation orders of the engine: utterances, turns of the other side, voice prompts."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from csm_plugin.conversation import Entry, Positions, VoicePrompt, frame_positions, text_positions
from csm_plugin.conversation.frame_buffer import FrameBuffer
from csm_plugin.engine.delivery import Delivery
from csm_plugin.engine.word_times.clock import WordClock
from csm_plugin.engine.word_times.script import Script
from csm_plugin.settings import Sampling

MAX_BUFFERED_FRAMES = 25
"""2 s of audio: generation pauses when so much waits for the reader."""


@dataclass(slots=True, eq=False)
class SpeakJob:
    """An utterance that waits, is prepared, or is being spoken.

    Args:
        tokens: what the model reads of it, int32 [n]: the entry's, unless it continues a voice prompt; then those of
            both texts as one.
        continued: the voice prompt that it continues; has its frames by the time that it is prepared.
    """

    entry: Entry
    tokens: npt.NDArray[np.int32]
    continued: Entry | None
    script: Script
    clock: WordClock
    delivery: Delivery
    sampling: Sampling
    seed: int
    max_frames: int
    buffer: FrameBuffer = field(default_factory=FrameBuffer)
    number: int = 0  # in the order in which jobs came, over all conversations
    top_k: int = 1  # how many of the likeliest codes may be drawn, known once it is live
    launched: int = 0  # steps that were given to the device
    made: int = 0  # frames that came back
    paused_since_s: float | None = None  # on the monotonic clock, while the reader is too far behind

    @property
    def is_full(self) -> bool:
        """Whether the reader is so far behind that generation should pause."""
        return len(self.buffer) + len(self.delivery) >= MAX_BUFFERED_FRAMES

    def opening(self, codebooks: int) -> Positions:
        """Return the context positions that come before its first frame, int32 [n, 1 + codebooks]."""
        text = text_positions(self.tokens, codebooks)
        if self.continued is None:
            return text
        return np.concatenate((text, frame_positions(self.continued.frames, codebooks)))


@dataclass(slots=True, eq=False)
class ListenJob:
    """The other side's turn, to be encoded and added to the context."""

    entry: Entry
    pcm: npt.NDArray[np.float32]
    number: int = 0
    done: Future[Entry] = field(default_factory=Future)


@dataclass(slots=True, eq=False)
class VoiceJob:
    """A voice prompt to speak with; None takes it away.

    Args:
        continued: every utterance continues it; else it is put in front of the context.
    """

    prompt: VoicePrompt | None
    entry: Entry | None
    continued: bool
    number: int = 0

    @property
    def pcm(self) -> npt.NDArray[np.float32]:
        """The prompt's sound, empty without one."""
        return np.zeros(0, dtype=np.float32) if self.prompt is None else self.prompt.pcm


Job = SpeakJob | ListenJob | VoiceJob
