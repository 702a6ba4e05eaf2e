"""The speech engine: one model, one device thread, many conversations."""

from __future__ import annotations

import atexit
import threading
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from loguru import logger

from csm_plugin.conversation import VoiceLibrary, VoicePrompt
from csm_plugin.engine.conversation import Conversation, frames_of
from csm_plugin.engine.loading import stopped_at_exit
from csm_plugin.engine.scheduler import Scheduler
from csm_plugin.errors import SettingsError, VoiceError
from csm_plugin.interface import EngineStats
from csm_plugin.model.checkpoint import find_checkpoint
from csm_plugin.model.csm import CSM
from csm_plugin.model.devices import auto_dtype, resolve_device
from csm_plugin.model.opened import Parts, open_checkpoint
from csm_plugin.model.tokenizer import SegmentTokenizer
from csm_plugin.model.weights import parameters
from csm_plugin.settings import SAMPLE_RATE_HZ, Sampling
from csm_plugin.text.parts import split_utterances

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CLOSE_TIMEOUT_S = 30.0


class Engine:
    """Speaks. Make one per process with `Engine.load` and share it; every method is safe from any thread.

    Attributes:
        model_name: what the model is called in logs and by the server.
    """

    def __init__(
        self,
        model: CSM,
        tokenizer: SegmentTokenizer,
        voices: VoiceLibrary,
        name: str,
        max_queue: int,
        *,
        graphs: bool = True,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._voices = voices
        self._scheduler = Scheduler(model, max_queue, graphs=graphs)
        self.model_name = name
        self._thread = threading.Thread(target=self._scheduler.run, name=f"csm-device-{name}", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a thread inside torch must not outlive the interpreter
        try:
            self._scheduler.ready.result()
        except BaseException:
            self.close()
            raise

    @classmethod
    def load(
        cls,
        model: str | Path = "csm-tiny",
        *,
        adapter: str | Path | None = None,
        codec: str | Path | None = None,
        tokenizer: str | Path | None = None,
        head_dims: tuple[int, int] | None = None,
        device: str = "auto",
        dtype: str = "auto",
        max_conversations: int = 8,
        max_queue: int = 16,
        graphs: bool = True,
    ) -> Self:
        """Load a model and start its device thread. Blocks until it is ready, a GPU warm.

        Args:
            model: a bundled name, a local folder, or a hub id, looked for in that order; a revision may stand behind a
                hub id: "sesame/csm-1b@main".
            adapter: folder or hub id of a PEFT LoRA adapter, which is merged into the weights.
            codec: folder or hub id of a Mimi codec, for a checkpoint without one; `kyutai/mimi` if None.
            tokenizer: folder or hub id of the tokenizer, for a checkpoint without one.
            head_dims: how wide the heads of backbone and depth decoder are, for a checkpoint in the original layout
                whose flavours are not known.
            device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1".
            dtype: "auto" (float32 for small models on a CPU, bfloat16 otherwise, or float16 on a GPU older than it),
                "float32", "bfloat16", "float16".
            max_conversations: how many speak at the same time; each takes memory for its cache.
            max_queue: how many more may wait.
            graphs: whether steps on a GPU run as CUDA graphs. False is slower, and a way out where they make trouble.

        Raises:
            CheckpointError: the model cannot be found, fetched or read.
            SettingsError: an argument is out of range, or there is no such device.
            GenerationError: the GPU failed while it was warmed up.
        """
        for name, value, least in (("max_conversations", max_conversations, 1), ("max_queue", max_queue, 0)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise SettingsError(f"{name} is {value!r}; it must be a whole number of at least {least}")
        if not isinstance(graphs, bool):
            raise SettingsError(f"graphs is {graphs!r}; it must be True or False")
        parts = Parts(adapter, codec, tokenizer, head_dims)
        where = resolve_device(device)
        if dtype != "auto" and dtype not in DTYPES:
            raise SettingsError(f"dtype is {dtype!r}; allowed are 'auto', {', '.join(map(repr, DTYPES))}")
        folder = find_checkpoint(model)
        opened = open_checkpoint(folder, parts)
        kind = DTYPES[dtype] if dtype != "auto" else auto_dtype(parameters(opened.tensors), where)
        segments = opened.read_tokenizer()
        name = _name(model, folder) + ("" if adapter is None else f"+{_name(adapter)}")
        with stopped_at_exit(opened.tensors) as tensors:
            csm = CSM(replace(opened, tensors=tensors), device=where, dtype=kind, rows=max_conversations)
            logger.info(
                "model loaded", model=name, device=str(where), dtype=str(kind).removeprefix("torch."),
                rows=max_conversations, mb_per_row=round(csm.bytes_per_row / 2**20, 1),
            )  # fmt: skip
            return cls(csm, segments, VoiceLibrary.beside(folder), name, max_queue, graphs=graphs)

    @property
    def sample_rate(self) -> int:
        """Of everything that it speaks, in Hz."""
        return SAMPLE_RATE_HZ

    @property
    def device(self) -> str:
        """Where the model runs: "cpu", "cuda:0"."""
        return str(self._model.device)

    @property
    def dtype(self) -> str:
        """In what the backbone and depth decoder compute: "float32", "bfloat16"."""
        return str(self._model.dtype).removeprefix("torch.")

    @property
    def max_conversations(self) -> int:
        """How many conversations speak at the same time."""
        return self._model.rows

    @property
    def bytes_per_conversation(self) -> int:
        """Memory of one row: keys and values, codec state, noise."""
        return self._model.bytes_per_row

    @property
    def codebooks(self) -> int:
        """How many codes a frame has."""
        return self._model.config.codebooks

    @property
    def rounds(self) -> int:
        """How many rounds the device thread has gone while conversations were open; one that stands still is seen."""
        return self._scheduler.rounds

    @property
    def voices(self) -> list[str]:
        """The names that `voice` may be."""
        return self._voices.names

    def conversation(
        self, voice: str | VoicePrompt | None = None, speaker: int = 0, sampling: Sampling | None = None
    ) -> Conversation:
        """Open a conversation. It takes a row only while it speaks; when idle its row may go to others.

        Args:
            voice: a name from `voices`, a `VoicePrompt`, or None for whatever voice the model picks.
            speaker: the number under which it speaks, 0 to 99.
            sampling: how it samples.

        Raises:
            VoiceError, InputError: there is no such voice or speaker.
            EngineClosedError: the engine was closed.
        """
        return Conversation(
            self._scheduler, self._tokenizer, self._voices, voice=voice, speaker=speaker, sampling=sampling
        )

    def check_voice(self, prompt: VoicePrompt) -> None:
        """Make sure that the context has room for a sentence beside a voice prompt.

        Raises:
            VoiceError: it has none, so that nothing could ever be said with it.
        """
        budget = self._scheduler.budget
        taken = len(self._tokenizer.encode(prompt.text, 0)) + frames_of(prompt.pcm) + 1
        if budget.room(taken, SENTENCE_TOKENS, SENTENCE_FRAMES) < SENTENCE_FRAMES:
            raise VoiceError(
                f"text and recording take {taken:,} of the model's {budget.positions:,} positions, which leaves no "
                "room for a sentence; use a shorter recording, and as its text nothing but its words"
            )

    def synthesize(
        self,
        text: str,
        voice: str | VoicePrompt | None = None,
        speaker: int = 0,
        sampling: Sampling | None = None,
    ) -> npt.NDArray[np.float32]:
        """Speak a text to its end and return the sound: float32 [samples] in [-1, 1], mono, 24 kHz. Blocks.

        Long texts are spoken sentence by sentence in one conversation.

        Raises:
            CSMError: as `Conversation.speak`, and GenerationError if the model fails.
        """
        with self.conversation(voice, speaker, sampling) as talk:
            pieces = [chunk.pcm for part in split_utterances(text) for chunk in talk.speak(part)]
        return np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)

    def stats(self) -> EngineStats:
        """Return what the engine is doing."""
        return self._scheduler.registry.stats()

    def close(self) -> None:
        """Stop: what is being spoken ends with EngineClosedError. Waits for the device thread's current step."""
        atexit.unregister(self.close)
        self._scheduler.registry.close("the engine was closed")
        self._thread.join(CLOSE_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


SENTENCE_TOKENS, SENTENCE_FRAMES = 24, 38
"""What a sentence of three seconds takes."""


def _name(model: str | Path, folder: Path | None = None) -> str:
    """Return how a model is called: its hub id, or its folder's name."""
    place = Path(model).expanduser()
    return str(model) if "/" in str(model) and not place.is_dir() else (folder or place).name
