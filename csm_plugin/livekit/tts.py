"""CSM as a LiveKit text-to-speech plugin."""

from __future__ import annotations

import asyncio
import weakref
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from livekit.agents import APIConnectOptions, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from livekit.agents.utils import is_given

from csm_plugin.livekit.backends import choose_backend
from csm_plugin.livekit.context import Context
from csm_plugin.livekit.options import MAX_AHEAD_S, TTSOptions
from csm_plugin.livekit.speeches import current_tts
from csm_plugin.livekit.streams import ChunkedStream, SynthesizeStream
from csm_plugin.livekit.takes import Take
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling

if TYPE_CHECKING:
    from livekit.agents import AgentSession
    from livekit.agents.voice import SpeechHandle

    from csm_plugin.interface import SpeechConversation, SpeechEngine

PROVIDER = "csm"


class TTS(tts.TTS[Any]):
    """Speaks with CSM: 24 kHz mono, as frames of 80 ms at most, with the times of the written words.

    Without an engine and a URL it finds one by itself: jobs that are threads share an engine in their process, jobs
    that are processes share a server, which the first of them starts. Nothing is loaded or connected before `prewarm`,
    `ready` or the first text.

    By itself each stream is a conversation of its own. `attach` it to a session, and it speaks as part of that
    session's conversation.

    Args:
        voice: the name of one of the engine's voices, or None for whatever voice the model picks.
        speaker: the number under which it speaks, 0 to 99.
        temperature: 0 (greedy) to 2, or None for the checkpoint's own.
        top_k: how many of the likeliest codes may be drawn, at least 1, or None for the checkpoint's own.
        seed: makes what is spoken repeatable; None draws anew.
        normalize: write numbers, signs and abbreviations out before they are spoken; the rules are for English.
        max_ahead_s: how far a stream may run ahead of playing, in seconds: what an interruption wastes at most.
        engine: an engine of this process; it stays open.
        base_url: a server's URL, else `CSM_BASE_URL`.
        api_key: one of the server's keys, else `CSM_API_KEY`.
        model: what to speak with where there is neither engine nor URL: a bundled name, a folder or a hub id, else
            `CSM_MODEL`, else "csm-tiny".

    Raises:
        SettingsError: a value is out of range.
    """

    def __init__(
        self,
        *,
        voice: str | None = None,
        speaker: int = 0,
        temperature: float | None = None,
        top_k: int | None = None,
        seed: int | None = None,
        normalize: bool = True,
        max_ahead_s: float = MAX_AHEAD_S,
        engine: SpeechEngine | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        model: str | None = None,
    ) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=True),
            sample_rate=SAMPLE_RATE_HZ,
            num_channels=1,
        )
        sampling = Sampling(temperature=temperature, top_k=top_k, seed=seed)
        self._options = TTSOptions(voice, speaker, sampling, normalize, max_ahead_s)
        self._backend = choose_backend(engine, base_url=base_url, api_key=api_key, model=model)
        self._streams: weakref.WeakSet[ChunkedStream | SynthesizeStream] = weakref.WeakSet()
        self._context: Context | None = None
        self._known_voices: set[str | None] = {None}
        # One object for ever, so that a fallback adapter's answer tells whose speech was heard.
        self._metadata = {"model_name": self._backend.model, "model_provider": PROVIDER}

    @property
    def model(self) -> str:
        """The model's name."""
        return self._metadata["model_name"]

    @property
    def provider(self) -> str:
        """ "csm"."""
        return PROVIDER

    @property
    def metrics_metadata(self) -> Any:
        """What labels this instance's metrics."""
        return self._metadata

    @property
    def options(self) -> TTSOptions:
        """How it speaks from the next stream on."""
        return self._options

    @property
    def context(self) -> Context | None:
        """The session's conversation, if there is one."""
        return None if self._context is None or self._context.closed else self._context

    def synthesize(self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> ChunkedStream:
        """Speak a whole text, as fast as the engine can.

        Args:
            text: of any length; it is spoken sentence by sentence.
            conn_options: `timeout` is how long the engine may take for the next piece of sound.
        """
        stream = ChunkedStream(tts=self, input_text=text, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> SynthesizeStream:
        """Speak text while it is written; the first clause goes out before its sentence is complete.

        Args:
            conn_options: as for `synthesize`.
        """
        stream = SynthesizeStream(tts=self, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    def update_options(
        self,
        *,
        voice: NotGivenOr[str | None] = NOT_GIVEN,
        speaker: NotGivenOr[int] = NOT_GIVEN,
        temperature: NotGivenOr[float | None] = NOT_GIVEN,
        top_k: NotGivenOr[int | None] = NOT_GIVEN,
        seed: NotGivenOr[int | None] = NOT_GIVEN,
        normalize: NotGivenOr[bool] = NOT_GIVEN,
        max_ahead_s: NotGivenOr[float] = NOT_GIVEN,
    ) -> None:
        """Change how it speaks from the next stream on; see the constructor.

        Raises:
            SettingsError: a value is out of range, or the speaker is the session's user; nothing is changed then.
        """
        drawn = _given(temperature=temperature, top_k=top_k, seed=seed)
        own = _given(voice=voice, speaker=speaker, normalize=normalize, max_ahead_s=max_ahead_s)
        options = replace(self._options, sampling=replace(self._options.sampling, **drawn), **own)
        if self.context is not None:
            self.context.check(options)
        self._options = options

    def attach(self, session: AgentSession[Any], *, listen: bool = True, user_speaker: int | None = None) -> Context:
        """Make what this TTS speaks part of one conversation with the session's user, as far as it is heard.

        Call it before or after `session.start`. It ends with the session, or when another session is attached.

        Args:
            session: whose speech it is; the session's or its agent's TTS must be this one, or lead to it.
            listen: whether what the user says becomes context, so that the voice fits to it.
            user_speaker: the number under which the user's speech is kept, 0 to 99 and not `speaker`; None takes 1 if
                the TTS speaks as 0, and 0 otherwise.

        Raises:
            SettingsError: `user_speaker` is out of range, or the TTS's own.
            RuntimeError: this version of livekit-agents is not supported.
        """
        context = Context(
            session,
            self._open_talk,
            is_speaking=self._is_speaking,
            options=self._options,
            listen=listen,
            user_speaker=user_speaker,
        )
        if self._context is not None:
            self._context.close()
        self._context = context
        return context

    def prewarm(self) -> None:
        """Begin to load the engine or to connect to it. Returns at once."""
        self._backend.begin()

    async def ready(self) -> None:
        """Wait until the engine can be used, so that the first words need not.

        Raises:
            CSMError: there will be none.
            OSError: it cannot be reached.
        """
        await self._backend.engine()

    async def aclose(self) -> None:
        """Stop all streams, and end the conversation."""
        await asyncio.gather(*(stream.aclose() for stream in tuple(self._streams)))
        if self._context is not None:
            self._context.close()
        await self._backend.aclose()

    def revive(self) -> None:
        """The engine could not be reached: see to it that it will be. Returns at once; for the streams."""
        self._backend.revive()

    async def open_take(self, options: TTSOptions, speech: SpeechHandle | None, timeout_s: float) -> Take:
        """Open what a stream speaks in, as soon as it is its turn; for the streams.

        Args:
            options: the stream's own.
            speech: the session's speech that the stream belongs to.
            timeout_s: how long the engine may take; waiting for other speech doesn't count.

        Raises:
            CSMError: the engine cannot be used, or the voice is not known.
            TimeoutError: it took too long.
            OSError: the engine cannot be reached.
        """
        async with asyncio.timeout(timeout_s):
            engine = await self._backend.engine()
        self._metadata["model_name"] = engine.model_name
        if self.context is not None and speech is not None:
            take = await self.context.begin(speech, options, timeout_s)
            if take is not None:
                return take
        async with asyncio.timeout(timeout_s):
            talk = await self._open_talk(options)
        return Take(talk, normalize=options.normalize)

    async def _open_talk(self, options: TTSOptions) -> SpeechConversation:
        engine = await self._backend.engine()
        given = (options.voice, options.speaker, options.sampling)
        if options.voice in self._known_voices:
            return engine.conversation(*given)
        talk = await asyncio.to_thread(engine.conversation, *given)  # the first use of a voice reads its recording
        self._known_voices.add(options.voice)
        return talk

    def _is_speaking(self) -> bool:
        """Whether the running agent last spoke with this TTS, and not with another one behind a fallback adapter."""
        used = current_tts()
        if used is None:
            return False
        shown = used.metrics_metadata
        return shown is self._metadata or (shown == self._metadata and not isinstance(used, tts.FallbackAdapter))


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if is_given(value)}
