"""csm-streaming-tf: the other side's turn and a reply in JSON, the reply's sound back in pieces. Its path is `/ws`."""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated

from pydantic import Field

from csm_plugin.audio import MAX_AUDIO_S
from csm_plugin.errors import AudioError
from csm_plugin.server.dropin.exchange import Fields, read_form
from csm_plugin.server.dropin.orders import Text, Wire, base64_of, wav_file
from csm_plugin.server.shared.service import Service
from csm_plugin.text.normalize import MAX_TEXT_CHARACTERS

SPEAKER = 0
"""Under this number both sides speak, as there: the reply follows the voice of the sound that came with it."""


class Turn(Wire):
    """What the other side said, and what is to be replied."""

    audio: Annotated[str, Field(min_length=1)]
    transcript: Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)] = ""
    response_text: Text

    @property
    def sound(self) -> bytes:
        """The file of the other side's sound.

        Raises:
            AudioError: it is not base64.
        """
        try:
            return base64.b64decode(self.audio.rpartition(",")[2], validate=True)  # a data URL has a comma
        except (binascii.Error, ValueError):
            raise AudioError("audio is not base64; send a WAV file in base64") from None


async def answer(service: Service, fields: Fields) -> AsyncGenerator[bytes | Fields, None]:
    """Answer a message on `/ws`: the reply's sound as it is made, then that it is complete."""
    turn = read_form(Turn, fields)
    pcm = await service.decode(turn.sound, MAX_AUDIO_S)
    talk = service.open(None, SPEAKER)
    with talk, service.speaking():
        async with service.keeper.watching():
            await talk.listen(turn.transcript, pcm, speaker=SPEAKER)
        async with contextlib.aclosing(service.say(talk, turn.response_text)) as chunks:
            async for chunk in chunks:
                if len(chunk.pcm):
                    yield {"audio_chunk": base64_of(wav_file(chunk.pcm))}
    yield {"status": "complete"}
