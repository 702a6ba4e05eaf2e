"""The two ways in which LiveKit asks for speech: a whole text, or text as it is written."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from livekit.agents import APIConnectionError, APIConnectOptions, APIError, utils
from livekit.agents import tts as base

from csm_plugin.livekit.pieces import Piece, PieceCutter
from csm_plugin.livekit.speech import Speech
from csm_plugin.livekit.speeches import current_speech
from csm_plugin.livekit.takes import Take
from csm_plugin.settings import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from csm_plugin.livekit.tts import TTS


class ChunkedStream(base.ChunkedStream):
    """Speaks a whole text. Made by `TTS.synthesize`. Leaving it stops the engine at once."""

    def __init__(self, *, tts: TTS, input_text: str, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, input_text=input_text, conn_options=conn_options)
        self._csm = tts
        self._options = tts.options
        self._speech = current_speech()

    async def _run(self, output_emitter: base.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid("csm_"),
            sample_rate=SAMPLE_RATE_HZ,
            num_channels=1,
            mime_type="audio/pcm",
        )
        speech = Speech(self._open_take, output_emitter, timeout_s=self._conn_options.timeout)
        await _speak(self._csm, speech, self._pieces(), retry_once_begun=False)

    async def _open_take(self) -> Take:
        return await self._csm.open_take(self._options, self._speech, self._conn_options.timeout)

    async def _pieces(self) -> AsyncGenerator[Piece, None]:
        cutter = PieceCutter(early=False)
        for piece in cutter.feed(self._input_text) + cutter.flush() + cutter.rest():
            yield piece


class SynthesizeStream(base.SynthesizeStream):
    """Speaks text while it is written, its first clause early. Made by `TTS.stream`.

    Leaving it stops the engine at once. One stream is one segment: LiveKit drops what is pushed after a flush.
    """

    def __init__(self, *, tts: TTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=tts, conn_options=conn_options)
        self._csm = tts
        self._options = tts.options
        self._speech = current_speech()

    async def _run(self, output_emitter: base.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid("csm_"),
            sample_rate=SAMPLE_RATE_HZ,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id=utils.shortuuid("segment_"))
        speech = Speech(
            self._open_take,
            output_emitter,
            timeout_s=self._conn_options.timeout,
            max_ahead_s=self._options.max_ahead_s,
        )
        await _speak(self._csm, speech, self._pieces())
        output_emitter.end_segment()
        async for _ in self._input_ch:
            pass

    async def _open_take(self) -> Take:
        take = await self._csm.open_take(self._options, self._speech, self._conn_options.timeout)
        self._mark_started()
        return take

    async def _pieces(self) -> AsyncGenerator[Piece, None]:
        cutter = PieceCutter()
        begun = False
        async for data in self._input_ch:
            if isinstance(data, str):
                begun = True
                for piece in cutter.feed(data):
                    yield piece
            elif begun:
                break
        for piece in cutter.flush() + cutter.rest():
            yield piece


async def _speak(
    tts: TTS, speech: Speech, pieces: AsyncGenerator[Piece, None], *, retry_once_begun: bool = True
) -> None:
    """Speak pieces to their end.

    Args:
        retry_once_begun: whether LiveKit itself sees to it that nothing is spoken twice.

    Raises:
        APIError: the engine failed.
    """
    try:
        async with contextlib.aclosing(pieces):
            await speech.run(pieces)
    except APIError as error:
        if isinstance(error, APIConnectionError):
            tts.revive()
        if speech.seconds and not retry_once_begun:
            error.retryable = False
        raise
