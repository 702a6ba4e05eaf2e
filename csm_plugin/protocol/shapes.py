"""What the messages of `/v1/stream` are made of."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from csm_plugin.conversation import Word
from csm_plugin.settings import Sampling, VoiceStyle

Number = Annotated[int, Field(ge=0, lt=2**32)]
Piece = Annotated[int, Field(ge=0, lt=2**16)]
Frames = Annotated[int, Field(ge=0, lt=2**31)]
Speaker = Annotated[int, Field(ge=0, le=99)]
Name = Annotated[str, Field(max_length=256)]
MAX_TEXT, MAX_TOP_K, MAX_SECONDS = 16_384, 65_536, 86_400
"""What a message can hold: characters of a text, codes to draw from, and a day."""

Text = Annotated[str, Field(max_length=MAX_TEXT)]
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS)]


class Shape(BaseModel):
    """What all messages and their parts have in common."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class SamplingFields(Shape):
    """How codes are drawn, as `Sampling` takes it."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    max_seconds: Annotated[float, Field(gt=0, le=MAX_SECONDS)] | None = None
    trim_silence: bool = True
    depth_temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    depth_top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] | None = None

    def sampling(self) -> Sampling:
        """Return it as the engine takes it."""
        return Sampling(**self.model_dump())

    @classmethod
    def of(cls, sampling: Sampling) -> SamplingFields:
        """Write a `Sampling` down; what is beyond all codes there are, and beyond a day, is no limit anyway."""
        told = dataclasses.asdict(sampling)
        for name, most in (("top_k", MAX_TOP_K), ("depth_top_k", MAX_TOP_K), ("max_seconds", MAX_SECONDS)):
            if told[name] is not None:
                told[name] = min(told[name], most)
        return cls(**told)


class WordTime(Shape):
    """A word and when it is spoken, in seconds since its piece began."""

    text: Text
    start_s: Seconds
    end_s: Seconds

    def word(self) -> Word:
        """Return it as the engine has it."""
        return Word(self.text, self.start_s, self.end_s)

    @classmethod
    def of(cls, word: Word) -> WordTime:
        """Write a `Word` down."""
        return cls(text=word.text, start_s=max(0.0, word.start_s), end_s=max(0.0, word.end_s))


class UploadedVoice(Shape):
    """A voice prompt whose sound was sent up under a number, as `f32` at 24 kHz."""

    name: Name
    text: Text
    number: Number
    style: VoiceStyle | None = None
    """Whether it stands in front of the conversation or every utterance continues it; null: as the model was made."""

    @model_serializer(mode="wrap")
    def _without_no_style(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what servers from before there were styles do not know."""
        return {name: value for name, value in write(self).items() if value is not None}


class Fault(Shape):
    """What went wrong. `code` is one of those that the HTTP routes give; `retry_after_s` tells when trying helps."""

    message: str
    code: str
    retry_after_s: float | None = None
