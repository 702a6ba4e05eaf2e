"""What a checkpoint's `generation_config.json` says: how codes are drawn, and which heads follow the text."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from csm_plugin.errors import CheckpointFormatError, SettingsError
from csm_plugin.model.fields import read_json
from csm_plugin.model.transformer import TransformerShape
from csm_plugin.settings import VOICE_STYLES, Sampling, VoiceStyle

TEMPERATURE, TOP_K = 0.9, 50  # the reference implementation's, for a checkpoint that says nothing
Number = TypeVar("Number", int, float)
COLDEST = 1e-3
"""Colder than that nothing but the likeliest is drawn, and its inverse would soon be beyond float32."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the codes of an utterance are drawn: codebook 0 by the backbone, the others by the depth decoder.

    Greedy is temperature 0 and top_k 1.
    """

    temperature: float
    top_k: int
    depth_temperature: float
    depth_top_k: int

    @property
    def parts(self) -> tuple[tuple[float, int], tuple[float, int]]:
        """Temperature and top_k of the backbone, and of the depth decoder."""
        return (self.temperature, self.top_k), (self.depth_temperature, self.depth_top_k)

    @property
    def largest_top_k(self) -> int:
        """How many of the likeliest codes may be drawn at most."""
        return max(self.top_k, self.depth_top_k)


@dataclass(frozen=True, slots=True)
class Generation:
    """How a checkpoint wants to be used.

    Args:
        sampling: temperature and top_k of both parts, where nobody says otherwise.
        alignment_heads: (layer, head) of the backbone that look at what is being spoken.
        voice_style: how a voice prompt is used where nobody says otherwise; None if the checkpoint does not say.
    """

    sampling: Sampling = field(default_factory=Sampling)
    alignment_heads: tuple[tuple[int, int], ...] = ()
    voice_style: VoiceStyle | None = None

    def drawing(self, sampling: Sampling) -> Drawing:
        """Return how an utterance is drawn.

        What is given counts; a temperature or top_k that is given for the backbone alone counts for the depth decoder,
        too, so that temperature 0 is greedy altogether. What nobody gives is the checkpoint's own.
        """
        own = self.sampling
        temperature = _first(sampling.temperature, own.temperature, TEMPERATURE)
        top_k = _first(sampling.top_k, own.top_k, TOP_K)
        depth_temperature = _first(
            sampling.depth_temperature, sampling.temperature, own.depth_temperature, own.temperature, TEMPERATURE
        )
        depth_top_k = _first(sampling.depth_top_k, sampling.top_k, own.depth_top_k, own.top_k, TOP_K)
        return Drawing(*_greedy_if_cold(temperature, top_k), *_greedy_if_cold(depth_temperature, depth_top_k))


def read_generation(folder: Path, backbone: TransformerShape) -> Generation:
    """Read `generation_config.json`; without one a checkpoint says nothing.

    Args:
        backbone: whose heads it may name.

    Raises:
        CheckpointFormatError: it cannot be read, or what it says makes no sense.
    """
    path = folder / "generation_config.json"
    raw = read_json(path)
    said = raw if isinstance(raw, dict) else {}
    try:
        sampling = Sampling(
            temperature=said.get("temperature"),
            top_k=said.get("top_k"),
            depth_temperature=said.get("depth_decoder_temperature"),
            depth_top_k=said.get("depth_decoder_top_k"),
        )
    except SettingsError as error:
        raise CheckpointFormatError(f"{path}: {error}; correct it, or leave it out") from None
    if said.get("do_sample") is False:
        sampling = replace(sampling, temperature=0.0)
    if said.get("depth_decoder_do_sample") is False:
        sampling = replace(sampling, depth_temperature=0.0)
    heads = _alignment_heads(path, said.get("alignment_heads"), (backbone.layers, backbone.heads))
    return Generation(sampling, heads, _voice_style(path, said.get("voice_prompt_style")))


def _voice_style(path: Path, style: Any) -> VoiceStyle | None:
    if style is not None and style not in VOICE_STYLES:
        allowed = " or ".join(map(repr, VOICE_STYLES))
        raise CheckpointFormatError(f"{path}: voice_prompt_style is {style!r}; it must be {allowed}; or leave it out")
    return cast(VoiceStyle | None, style)


def _alignment_heads(path: Path, heads: Any, limits: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    """Return the heads that a generation config names, as Whisper's do, and check that there are such heads."""
    if heads is None or heads == []:
        return ()
    pairs = [tuple(pair) for pair in heads if isinstance(pair, list)] if isinstance(heads, list) else []
    valid = [pair for pair in pairs if len(pair) == 2 and all(map(_is_index, pair, limits))]
    if not valid or len(set(valid)) != len(heads):
        raise CheckpointFormatError(
            f"{path}: alignment_heads is {heads!r}; it must be a list of different [layer, head] with layers from 0 to "
            f"{limits[0] - 1} and heads from 0 to {limits[1] - 1}; correct it, or leave it out"
        )
    return tuple((layer, head) for layer, head in valid)


def _is_index(value: object, size: int) -> bool:
    return type(value) is int and 0 <= value < size


def _greedy_if_cold(temperature: float, top_k: int) -> tuple[float, int]:
    return (temperature, top_k) if temperature >= COLDEST else (0.0, 1)


def _first(*values: Number | None) -> Number:
    return next(value for value in values if value is not None)
