"""csm-streaming-tf's calls: instead of `generator`, import them from here."""

from __future__ import annotations

import time
from collections.abc import Generator as Iterating
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from loguru import logger

from csm_plugin.audio import WavWriter, read_audio, resample
from csm_plugin.compat.context import Pcm, Spoken, field_of, samples_of, speak_after, speaker_of
from csm_plugin.compat.real_time_factor import StreamTimes
from csm_plugin.engine import Engine
from csm_plugin.errors import InputError, SettingsError
from csm_plugin.settings import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Sampling

MODEL = "eustlb/csm-1b"
WARM_UP_TEXT = "This sentence warms the model up."
CHUNK_FRAMES = 20
Conversation = str | Sequence[Mapping[str, Any]]
"""A text, or entries with `role` and `content`; the last one has no sound, and is what is to be spoken."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """A conversation that is ready to be spoken."""

    context: tuple[Spoken, ...]
    text: str
    speaker: int

    def to(self, device: object) -> Inputs:
        """Return itself: the engine places things by itself."""
        return self


class Processor:
    """Reads conversations."""

    def apply_chat_template(
        self, conversation: Conversation, tokenize: bool = True, return_dict: bool = True, **others: Any
    ) -> Inputs:
        """Make a conversation ready for `Generator.generate_stream`.

        Raises:
            InputError, AudioError: an entry is none, or the last one is not a text alone.
        """
        if isinstance(conversation, str):
            return Inputs((), conversation, 0)
        if not conversation:
            raise InputError("the conversation is empty; its last entry is what is to be spoken")
        *earlier, last = conversation
        text, audio = _content(last)
        if audio is not None:
            raise InputError("the last entry has sound; it is what is to be spoken, and has a text only")
        context = tuple(_spoken(entry) for entry in earlier)
        return Inputs(context, text, speaker_of(field_of(last, "role")))


class Generator:
    """Speaks conversations in chunks. Safe from any thread; `times` is of the latest stream.

    Args:
        engine: speaks; `close` closes it.
    """

    sample_rate = SAMPLE_RATE_HZ

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.processor = Processor()
        self.times = StreamTimes()

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self.engine.device

    def generate_stream(
        self, inputs: Inputs, chunk_token_size: int = CHUNK_FRAMES, **options: Any
    ) -> Iterator[torch.Tensor]:
        """Speak, and give the sound in chunks as soon as each is complete. Closing the iterator stops it.

        The real-time factor of each chunk and of all is logged, and kept in `times`.

        Args:
            inputs: what `processor.apply_chat_template` returned.
            chunk_token_size: frames of 80 ms in a chunk; the last one may have fewer.
            options: `temperature`, `top_k`, `do_sample`, `max_new_tokens` (frames), `seed`.

        Yields:
            float32 [samples] in [-1, 1], 24 kHz, on the CPU.

        Raises:
            SettingsError: an option is unknown or out of range.
            CSMError: as `Conversation.listen`, `Conversation.speak` and iterating an utterance do.
        """
        if not isinstance(chunk_token_size, int) or chunk_token_size < 1:
            raise SettingsError(f"chunk_token_size is {chunk_token_size!r}; it must be a whole number of at least 1")
        sampling = sampling_of(options)
        self.times = times = StreamTimes()
        return self._timed(inputs, sampling, chunk_token_size * FRAME_SAMPLES, times)

    def close(self) -> None:
        """Close the engine."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _timed(self, inputs: Inputs, sampling: Sampling, samples: int, times: StreamTimes) -> Iterator[torch.Tensor]:
        spoken = speak_after(self.engine, inputs.context, inputs.text, inputs.speaker, sampling)
        with closing(_rechunked(spoken, samples)) as chunks:
            while True:
                began = time.perf_counter()
                pcm = next(chunks, None)
                if pcm is None:
                    break
                told = times.add(time.perf_counter() - began, len(pcm), SAMPLE_RATE_HZ)
                logger.info(
                    "chunk {}: RTF {:.3f}", len(times.chunks), told.rtf, wait_s=round(told.wait_s, 3),
                    audio_s=round(told.audio_s, 3),
                )  # fmt: skip
                yield torch.from_numpy(np.ascontiguousarray(pcm))
        if times.rtf is not None:
            logger.info(
                "all: RTF {:.3f}", times.rtf, first_chunk_s=round(times.chunks[0].wait_s, 3),
                wait_s=round(times.wait_s, 3), audio_s=round(times.audio_s, 3),
            )  # fmt: skip


def load_csm_1b(model_path: str | Path = MODEL) -> Generator:
    """Load a model and warm it up. Blocks.

    Args:
        model_path: a bundled name, a local folder, or a hub id.

    Raises:
        CheckpointError: it cannot be found, fetched or read.
    """
    generator = Generator(Engine.load(model_path))
    try:
        for _ in speak_after(generator.engine, (), WARM_UP_TEXT, 0, Sampling(max_seconds=2.0)):
            pass
    except BaseException:
        generator.close()
        raise
    return generator


def generate_streaming_audio(
    generator: Generator,
    conversation: Conversation,
    output_filename: str | Path | None = None,
    play_audio: bool = False,
    chunk_token_size: int = CHUNK_FRAMES,
    reference_data: Sequence[Mapping[str, Any]] | None = None,
    **options: Any,
) -> Pcm:
    """Speak a conversation to its end; the file grows meanwhile. Blocks.

    Args:
        conversation: as for `Processor.apply_chat_template`.
        output_filename: a WAV file to write.
        play_audio: nothing is played here, as in csm-streaming-tf itself by now; True logs a warning.
        reference_data: what `load_reference_audio` returned; it goes before the conversation.
        options: as for `Generator.generate_stream`.

    Returns:
        float32 [samples] in [-1, 1], 24 kHz.

    Raises:
        CSMError: as `Generator.generate_stream`; AudioError where the file cannot be written.
    """
    if play_audio:
        logger.warning("nothing is played here: play the file, or use csm say --play")
    entries: list[Mapping[str, Any]] = [_entry_of(reference) for reference in reference_data or ()]
    if isinstance(conversation, str):
        entries.append({"role": "0", "content": [{"type": "text", "text": conversation}]})
    else:
        entries.extend(conversation)
    inputs = generator.processor.apply_chat_template(entries)
    chunks = []
    with nullcontext() if output_filename is None else WavWriter(output_filename, SAMPLE_RATE_HZ) as file:
        for chunk in generator.generate_stream(inputs, chunk_token_size, **options):
            chunks.append(chunk.numpy())
            if file is not None:
                file.write(chunks[-1])
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


def load_reference_audio(reference_data: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Read recordings, for a voice to follow.

    Args:
        reference_data: dictionaries with `path`, `text` and `speaker_id`.

    Returns:
        copies, with `audio_array`, float32 [samples] with its peak at 1, and `sample_rate`, 24,000.

    Raises:
        AudioError: a file cannot be read.
    """
    loaded = []
    for reference in reference_data:
        pcm, rate = read_audio(field_of(reference, "path"))
        sound = resample(pcm, rate, SAMPLE_RATE_HZ)
        peak = float(np.abs(sound).max())
        loaded.append({**reference, "audio_array": sound / peak if peak else sound, "sample_rate": SAMPLE_RATE_HZ})
    return loaded


def sampling_of(options: Mapping[str, Any]) -> Sampling:
    """Read options that transformers' `generate` has too.

    Raises:
        SettingsError: one is unknown or out of range.
    """
    allowed = {"temperature", "top_k", "do_sample", "max_new_tokens", "seed"}
    if unknown := sorted(options.keys() - allowed):
        raise SettingsError(f"there are no options {', '.join(unknown)}; allowed are {', '.join(sorted(allowed))}")
    own = {name: options[name] for name in ("temperature", "top_k", "seed") if options.get(name) is not None}
    if options.get("do_sample") is False:
        own["temperature"] = 0
    if (frames := options.get("max_new_tokens")) is not None:
        if not isinstance(frames, int):
            raise SettingsError(f"max_new_tokens is of type {type(frames).__name__}; it is a whole number of frames")
        own["max_seconds"] = frames * FRAME_S
    return Sampling(**own)


def _content(entry: Mapping[str, Any]) -> tuple[str, Any]:
    """Return an entry's text and its sound, None if it has none."""
    content = field_of(entry, "content")
    if isinstance(content, str):
        return content, None
    parts = {field_of(part, "type"): part for part in content}
    text = field_of(parts["text"], "text") if "text" in parts else ""
    return text, field_of(parts["audio"], "audio") if "audio" in parts else None


def _spoken(entry: Mapping[str, Any]) -> Spoken:
    text, audio = _content(entry)
    if audio is None:
        raise InputError("an entry before the last has no sound; each needs its text and its audio")
    return Spoken(text, speaker_of(field_of(entry, "role")), samples_of(audio))


def _entry_of(reference: Mapping[str, Any]) -> dict[str, Any]:
    content = [
        {"type": "text", "text": reference.get("text", "")},
        {"type": "audio", "audio": field_of(reference, "audio_array")},
    ]
    return {"role": reference.get("speaker_id", "0"), "content": content}


def _rechunked(pieces: Iterating[Pcm, None, None], samples: int) -> Iterating[Pcm, None, None]:
    """Give sound in pieces of so many samples; the last may have fewer."""
    rest = np.zeros(0, np.float32)
    with closing(pieces):
        for pcm in pieces:
            rest = np.concatenate((rest, pcm))
            while len(rest) >= samples:
                yield rest[:samples]
                rest = rest[samples:]
    if len(rest):
        yield rest
