"""An engine behind a socket, with the interface of one in this process."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Sequence
from concurrent.futures import TimeoutError as NotInTime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import numpy.typing as npt

from csm_plugin.client.conversation import RemoteConversation
from csm_plugin.client.link import Link
from csm_plugin.conversation import VoicePrompt
from csm_plugin.errors import EngineClosedError, EngineUnreachableError, SettingsError
from csm_plugin.interface import EngineStats
from csm_plugin.protocol.messages import Hello
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling
from csm_plugin.text.parts import split_utterances

PATH = "/v1/stream"
KNOWN_PATHS = (PATH, "/v1/audio/speech", "/v1")
"""What an address may end with besides."""

SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


class RemoteEngine:
    """Speaks with an engine that `csm serve` runs. Make one per process; every method is safe from any thread.

    One socket carries all conversations. If it breaks it is made again, to the same server or the next, and every
    conversation goes on there: what was said is kept here, and what was being said is ordered again with the same
    seed, so that it goes on behind what was already taken.

    Args:
        url: the server, `http://host:8000` or as OpenAI's clients have it, `http://host:8000/v1`; or several, of which
            one is used at a time.
        api_key: one of the server's `CSM_API_KEYS`.
        patience_s: how long an order may wait for a server before it fails.

    Making one waits for the server, at most `patience_s`; `await RemoteEngine.connect(…)` does that without blocking.

    Raises:
        EngineUnreachableError: no server answered in time.
        SettingsError: an address is none, or the key is refused.
    """

    def __init__(self, url: str | Sequence[str], api_key: str | None = None, *, patience_s: float = 10.0) -> None:
        urls = [url] if isinstance(url, str) else list(url)
        if not urls or not patience_s > 0:
            raise SettingsError("pass at least one address of a server, and a patience_s of more than 0 seconds")
        self._closed = False
        self._link = Link([stream_url(one) for one in urls], api_key, patience_s)
        try:
            self._hello: Hello = self._link.hello.result(patience_s)
        except NotInTime:
            self._link.close()
            raise EngineUnreachableError(
                f"no server answered within {patience_s:g} s; is it running, and is the address right?"
            ) from None
        except SettingsError:
            self._link.close()
            raise
        atexit.register(self.close)

    @classmethod
    async def connect(cls, url: str | Sequence[str], api_key: str | None = None, *, patience_s: float = 10.0) -> Self:
        """Make one without blocking the event loop; arguments and errors as for the class."""
        return await asyncio.to_thread(cls, url, api_key, patience_s=patience_s)

    @property
    def sample_rate(self) -> int:
        """Of everything that it speaks, in Hz."""
        return SAMPLE_RATE_HZ

    @property
    def model_name(self) -> str:
        """The model that the server has loaded."""
        return self._hello.model

    @property
    def device(self) -> str:
        """Where the model runs on the server: "cpu", "cuda:0"."""
        return self._hello.device

    @property
    def dtype(self) -> str:
        """In what it computes there: "float32", "bfloat16"."""
        return self._hello.dtype

    @property
    def max_conversations(self) -> int:
        """How many conversations speak at the same time there."""
        return self._hello.max_conversations

    @property
    def voices(self) -> list[str]:
        """The names that `voice` may be."""
        return list(self._link.voices)

    @property
    def is_connected(self) -> bool:
        """Whether there is a server now."""
        return self._link.connection.is_open

    def conversation(
        self, voice: str | VoicePrompt | None = None, speaker: int = 0, sampling: Sampling | None = None
    ) -> RemoteConversation:
        """Open a conversation; arguments as for `Engine.conversation`.

        Raises:
            VoiceError, InputError: there is no such voice or speaker.
            EngineClosedError: the engine was closed.
        """
        if self._closed:
            raise EngineClosedError("the engine was closed; make another one")
        return RemoteConversation(self._link, self._hello.codebooks, voice, speaker, sampling)

    def synthesize(
        self,
        text: str,
        voice: str | VoicePrompt | None = None,
        speaker: int = 0,
        sampling: Sampling | None = None,
    ) -> npt.NDArray[np.float32]:
        """Speak a text to its end and return the sound, as `Engine.synthesize` does. Blocks.

        Raises:
            CSMError: as `RemoteConversation.speak` and reading an utterance.
        """
        with self.conversation(voice, speaker, sampling) as talk:
            pieces = [chunk.pcm for part in split_utterances(text) for chunk in talk.speak(part)]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)

    def stats(self) -> EngineStats:
        """Return what the server's engine was doing when it last told, at most about a second ago."""
        told = self._link.stats
        if told is None:
            return EngineStats(0, self.max_conversations, 0, 0, 0)
        return EngineStats(told.live_rows, told.free_rows, told.queued, told.frames_stepped, told.conversations)

    def close(self) -> None:
        """Disconnect; what is being said ends. The server goes on."""
        atexit.unregister(self.close)
        self._closed = True
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def stream_url(url: str) -> str:
    """Return the address of a server's socket.

    Args:
        url: as people have it for this server or for OpenAI's clients: `host:8000`, `http://host:8000/v1`, `wss://host`.

    Raises:
        SettingsError: it is no address of a server.
    """
    try:
        written = url.strip()
        parts = urlsplit(written if "://" in written else f"ws://{written}")
        scheme, host, _ = SCHEMES[parts.scheme], parts.hostname, parts.port
    except (KeyError, ValueError, AttributeError):
        host = None
    if not host or parts.username is not None or parts.query or " " in parts.netloc or parts.path.startswith("//"):
        raise SettingsError(
            "the address of a server is like http://host:8000, http://host:8000/v1 or wss://host; the key is apart"
        )
    path = parts.path.rstrip("/")
    known = next((end for end in KNOWN_PATHS if path.endswith(end)), "")
    return urlunsplit((scheme, parts.netloc, path.removesuffix(known) + PATH, "", ""))
