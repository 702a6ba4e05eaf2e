"""From pieces of text to frames of sound: what both kinds of stream do."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from livekit import rtc
from livekit.agents import APIError, APIStatusError
from livekit.agents import tts as base
from livekit.agents.types import TimedString

from csm_plugin.audio.pcm import to_int16
from csm_plugin.livekit.failures import api_error
from csm_plugin.livekit.log import logger
from csm_plugin.livekit.pieces import Piece
from csm_plugin.livekit.takes import SpokenPiece, Take
from csm_plugin.livekit.transcript import TimedToken
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from csm_plugin.conversation import SpeechChunk

CLIENT_CLOSED = 499
"""LiveKit ends a stream with this status in silence."""


class Speech:
    """One attempt to speak a text into an emitter. For one event loop; cancelling it cancels the engine at once.

    Args:
        open_take: opens the take that it speaks; called when there is text.
        emitter: an initialised emitter; takes frames of 80 ms and the written words with their times.
        timeout_s: how long the engine may take for the next piece of sound, in seconds.
        max_ahead_s: how far generation may run ahead of real time, in seconds; infinity for as fast as it can.
    """

    def __init__(
        self,
        open_take: Callable[[], Awaitable[Take]],
        emitter: base.AudioEmitter,
        *,
        timeout_s: float,
        max_ahead_s: float = math.inf,
    ) -> None:
        self._open_take = open_take
        self._emitter = emitter
        self._timeout_s = timeout_s
        self._max_ahead_s = max_ahead_s
        self._played_by_s = 0.0  # when all that was emitted will have been played, if playing never waits
        self._take: Take | None = None
        self._mute = False  # whether there was something to speak that gave no sound

    @property
    def seconds(self) -> float:
        """How much sound was emitted."""
        return 0.0 if self._take is None else self._take.seconds

    async def run(self, pieces: AsyncIterator[Piece]) -> None:
        """Speak all pieces, one after the other; text without anything to speak becomes a short silence.

        Raises:
            APIError: the engine failed, or gave no sound for something that can be spoken.
        """
        try:
            async for piece in pieces:
                if piece.text:
                    await self._say(piece)
                elif self._take is not None:
                    self._emit_words([TimedToken(piece.written, 0.0, 0.0)], self._take.seconds)
            if self._take is not None and not self._take.seconds:
                if self._mute:
                    raise APIError("no audio frames: the engine gave no sound for the text")
                self._emit(self._take, bytes(2 * FRAME_SAMPLES))
        except APIError:
            raise
        except Exception as error:
            raise api_error(error) from error
        finally:
            if self._take is not None:
                self._take.end()

    async def _say(self, piece: Piece) -> None:
        """Speak a piece; anew, where a turn of the user comes before its first sound."""
        said = False
        while not said:
            if self._take is None or self._take.put_off:
                self._take = await self._open_take()
            said = await self._speak(self._take, piece)

    async def _speak(self, take: Take, piece: Piece) -> bool:
        """Speak a piece to its end; False if the take was put off."""
        spoken, utterance = take.say(piece)
        if utterance is not None:
            chunks = aiter(utterance)
            try:
                while True:
                    async with asyncio.timeout(self._timeout_s):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        break
                    self._take_in(take, spoken, chunk)
                    await self._keep_pace()
            finally:
                take.stop(spoken, utterance)
            if take.put_off:
                return False
            if utterance.finish_reason == "cancelled":
                raise APIStatusError("the speech was cancelled", status_code=CLIENT_CLOSED)
            if utterance.finish_reason == "length":
                logger.warning("an utterance was cut off at its maximal length")
            if not spoken.frames:
                self._mute = True
                logger.warning("the engine gave no sound for a sentence; it counts as not said")
                take.withdraw(spoken)
                return True
        self._emit_words(spoken.transcript.finish(take.seconds - spoken.start_s), spoken.start_s)
        return True

    def _take_in(self, take: Take, spoken: SpokenPiece, chunk: SpeechChunk) -> None:
        self._emit_words(spoken.transcript.hear(chunk.words), spoken.start_s)
        spoken.add(len(chunk.pcm) // FRAME_SAMPLES, chunk)
        pcm = to_int16(chunk.pcm)
        for start in range(0, len(pcm), FRAME_SAMPLES):
            self._emit(take, pcm[start : start + FRAME_SAMPLES].tobytes())

    def _emit(self, take: Take, samples: bytes) -> None:
        """Emit 80 ms of sound, int16."""
        self._played_by_s = max(self._played_by_s, _now_s()) + FRAME_S
        self._emitter.push_frame(rtc.AudioFrame(samples, SAMPLE_RATE_HZ, 1, len(samples) // 2))
        take.seconds += FRAME_S

    def _emit_words(self, tokens: list[TimedToken], start_s: float) -> None:
        for token in tokens:
            timed = TimedString(token.text, start_time=start_s + token.start_s, end_time=start_s + token.end_s)
            self._emitter.push_timed_transcript(timed)

    async def _keep_pace(self) -> None:
        """Wait while generation is too far ahead of real time."""
        too_far_s = self._played_by_s - _now_s() - self._max_ahead_s
        if too_far_s > 0:
            await asyncio.sleep(too_far_s)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
