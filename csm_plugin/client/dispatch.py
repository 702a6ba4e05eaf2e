"""A conversation's orders, written down as messages to the server that has it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from csm_plugin.client.ledger import Numbered
from csm_plugin.client.orders import ListenOrder, SpeakOrder
from csm_plugin.conversation import VoicePrompt
from csm_plugin.protocol import messages as m
from csm_plugin.protocol.shapes import MAX_SECONDS
from csm_plugin.protocol.wire import Kind, Packet, pack_codes, split
from csm_plugin.settings import Sampling

WINDOW_FRAMES = 12
"""About a second that the server may send ahead of what was taken."""

UPLOAD_BYTES = 32_768
MAX_NAME = 256
Voice = str | VoicePrompt | None
Post = Callable[[m.ClientMessage | Packet], None]


class Dispatch:
    """Sends a conversation's orders; without a server it sends nothing. For whoever holds the conversation's lock.

    Args:
        post: sends something, in order, without blocking.
    """

    def __init__(self, post: Post) -> None:
        self._post = post
        self.wire: int | None = None
        """The conversation's number on the socket, while a server has it."""

    def open(self, wire: int, voice: Voice, speaker: int, sampling: Sampling, gone_frames: int) -> None:
        """Open the conversation under a new number."""
        self.wire = wire
        self._post(
            m.Open(
                conversation=wire,
                voice=voice if isinstance(voice, str) else None,
                speaker=speaker,
                sampling=m.SamplingFields.of(sampling),
                window=WINDOW_FRAMES,
                ledger=True,
                gone_frames=gone_frames,
            )
        )

    def recall(self, segment: Numbered, taken: int | None) -> None:
        """Say what was said before.

        Args:
            taken: how much of it was taken so far, if somebody still takes it.
        """
        if self.wire is None:
            return
        entry = segment.entry
        codes = np.array(entry.frames, np.int32)
        self._upload(Kind.CODES, segment.number, pack_codes(codes))
        self._post(
            m.Recall(
                conversation=self.wire,
                number=segment.number,
                speaker=entry.speaker,
                text=entry.text,
                lead=entry.lead,
                words=[m.WordTime.of(word) for word in entry.words],
                current=segment.current,
                taken=taken,
            )
        )

    def order(self, job: SpeakOrder | ListenOrder) -> None:
        """Order an utterance, or a turn to be taken in."""
        wire, number = self.wire, job.number
        if wire is None:
            return
        if isinstance(job, SpeakOrder):
            sampling = m.SamplingFields.of(job.sampling)
            self._post(m.Speak(conversation=wire, number=number, text=job.text, sampling=sampling, normalize=False))
            return
        self._upload(Kind.SOUND, number, job.pcm.tobytes())
        self._post(
            m.Listen(
                conversation=wire,
                number=number,
                text=job.entry.text,
                sample_rate=job.sample_rate,
                encoding="s16" if job.pcm.dtype == np.int16 else "f32",
                speaker=job.entry.speaker,
            )
        )

    def configure(self, speaker: int, sampling: Sampling) -> None:
        """Change how it speaks."""
        if self.wire is not None:
            self._post(m.Configure(conversation=self.wire, speaker=speaker, sampling=m.SamplingFields.of(sampling)))

    def set_voice(self, voice: Voice, number: int) -> None:
        """Change the voice.

        Args:
            number: an unused one, under which a voice prompt is sent up.
        """
        if self.wire is None:
            return
        named: str | m.UploadedVoice | None
        if isinstance(voice, VoicePrompt):
            self._upload(Kind.SOUND, number, voice.pcm.astype("<f4").tobytes())
            name = voice.name.encode("utf-8", "replace").decode()[:MAX_NAME]  # only the server's errors tell it
            named = m.UploadedVoice(name=name, text=voice.text, number=number, style=voice.style)
        else:
            named = voice
        self._post(m.Configure(conversation=self.wire, voice=named))

    def acknowledge(self, spoken: SpeakOrder) -> None:
        """Tell how much of what was sent was taken, by the reader now, or before it was sent again."""
        taken = min(spoken.buffer.taken, spoken.arrived)
        if self.wire is not None and taken > spoken.told:
            spoken.told = taken
            self._post(m.Taken(conversation=self.wire, number=spoken.number, frames=taken))

    def cancel(self, spoken: SpeakOrder) -> None:
        """Cancel an utterance."""
        if self.wire is not None:
            self._post(m.Cancel(conversation=self.wire, number=spoken.number))

    def interrupt(self, heard_s: float | None) -> None:
        """Interrupt everything."""
        if self.wire is not None:
            heard_s = None if heard_s is None else min(heard_s, MAX_SECONDS)
            self._post(m.Interrupt(conversation=self.wire, heard_s=heard_s))

    def close(self) -> None:
        """Close the conversation."""
        if self.wire is not None:
            self._post(m.Close(conversation=self.wire))
            self.wire = None

    def _upload(self, kind: Kind, number: int, payload: bytes) -> None:
        for part in split(payload, UPLOAD_BYTES):
            self._post(Packet(kind, self.wire or 0, number, 0, 0, part))
