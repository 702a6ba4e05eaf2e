"""The user's turn: their speech cut out of what the pipeline hears, paired with what was understood of it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    TranscriptionFrame,
    UserMuteStartedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStartedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)

from csm_plugin.audio.user_speech import MARGIN_S, MAX_TURN_S, Pcm16, UserSpeech

LOOK_BACK_S = 1.0
"""How long before its announcement a turn is taken to have begun where nothing detects voice activity."""

STALE_S = 3.0

MAX_TRANSCRIPTS = 64


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """What the user said.

    Args:
        text: the words, as far as known; empty if nobody transcribes.
        pcm: int16 [samples], mono.
        sample_rate: in Hz.
    """

    text: str
    pcm: Pcm16
    sample_rate: int


class UserTurn:
    """Follows what the user says until the turn is taken. For one event loop; nothing here blocks.

    Speech is where voice activity detection says it is; without one, where the turn's own start and end say; without
    those there is none. Input that is muted never comes here, and a mute ends the speech before it.
    """

    def __init__(self) -> None:
        self._speech = UserSpeech(MAX_TURN_S + 2 * MARGIN_S)
        self._detected = False
        self._transcripts: deque[str] = deque(maxlen=MAX_TRANSCRIPTS)

    @property
    def is_there(self) -> bool:
        """Whether there may be speech to it."""
        return self._speech.is_there

    def observe(self, frame: Frame) -> None:
        """Take in what passes by; frames that are not about the user are ignored."""
        match frame:
            case InputAudioRawFrame():
                self._speech.push(frame.audio, frame.num_channels, frame.sample_rate)
            case VADUserStartedSpeakingFrame():
                self._detected = True
                self._speech.begin(time.time() - frame.timestamp + frame.start_secs + MARGIN_S)
            case VADUserStoppedSpeakingFrame():
                self._speech.end(time.time() - frame.timestamp + frame.stop_secs - MARGIN_S)
            case UserStartedSpeakingFrame():
                self._speech.drop_before(STALE_S)  # sounds that nobody understood, such as a cough
                if not self._detected:
                    self._speech.begin(LOOK_BACK_S)
            case UserStoppedSpeakingFrame() if not self._detected:
                self._speech.end()
            case UserMuteStartedFrame():
                self._speech.end()
            case TranscriptionFrame() if frame.text.strip():
                self._transcripts.append(frame.text.strip())

    def take(self, text: str | None) -> HeardTurn | None:
        """End the turn and return it; what is said from now on belongs to the next one.

        Args:
            text: what was understood; None if only the transcripts that passed by tell. Then speech that goes on is
                taken to mean that the turn goes on.

        Returns:
            None if there is no speech to it.
        """
        if self._speech.goes_on and text is None:
            return None
        words = " ".join(self._transcripts) if text is None else text
        self._transcripts.clear()
        speech = self._speech.take()
        return None if speech is None else HeardTurn(speech.words(words), speech.pcm, speech.sample_rate)

    def drop(self) -> None:
        """Forget what was said; speech that goes on is kept."""
        self._speech.drop()
        self._transcripts.clear()
