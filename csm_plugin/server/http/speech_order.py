"""What is asked of `/v1/audio/speech`: OpenAI's fields, a few of ours, and those that clients of other servers send."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from csm_plugin.server.formats.names import SoundFormat
from csm_plugin.server.formats.stretch import MAX_SPEED, MIN_SPEED
from csm_plugin.server.shared.errors import Refusal
from csm_plugin.settings import Sampling
from csm_plugin.text.normalize import MAX_TEXT_CHARACTERS

Name = Annotated[str, StringConstraints(max_length=256)]

STANDING_FOR_ANY: Final = re.compile(
    r"(?:[\w.-]+/)?(?:tts|gpt-[\w.-]*tts|csm|sesame|kokoro|orpheus|chatterbox|piper|marvis|miso|default)(?:[-_.:].*)?",
    re.IGNORECASE | re.DOTALL,
)
"""Names of models that clients of OpenAI's service and of other servers have; here they mean the one that is loaded."""

WITHOUT_EFFECT: Final[dict[str, tuple[object, ...]]] = {
    **dict.fromkeys(
        ("emotion", "style", "pitch", "exaggeration", "cfg_weight", "cfg_scale", "voice_settings", "ref_audio",
         "ref_text", "reference_audio", "reference_id", "audio_prompt", "audio_prompt_path", "task_type"), ()
    ),
    "sample_rate": (24_000,),
    "volume": (1, 100),
    "rate": (1,),
    "top_p": (1,),
    "min_p": (0,),
    "repetition_penalty": (1,),
}  # fmt: skip
"""Fields that change the sound elsewhere and cannot here, and the values at which they change nothing anyway."""

MOMENT: Final = re.compile(r"\s*[.,!?;:…–—-][\s.,!?;:…–—-]*")
"""A text of punctuation alone, as Home Assistant sends one to try a key: it is answered with a moment of silence."""


class VoiceId(BaseModel):
    """A voice by its id."""

    id: Name


class SpeechOrder(BaseModel):
    """What is to be said, and how. Null is as good as nothing; other fields than these are passed over."""

    model_config = ConfigDict(extra="allow")

    input: str = Field(min_length=1, max_length=MAX_TEXT_CHARACTERS, description="The text to speak.")
    model: Name | None = Field(
        None, description="The loaded model's name, or one of OpenAI's or another server's, which stand for it."
    )
    voice: Name | VoiceId | None = Field(None, description="A voice of `/v1/voices`; the default one for any other.")
    response_format: SoundFormat | None = Field(
        None, description="`mp3` by default; `pcm` is 16-bit little-endian, 24 kHz, mono."
    )
    speed: float | None = Field(
        None, ge=MIN_SPEED, le=MAX_SPEED, allow_inf_nan=False, description="Tempo; the pitch stays."
    )
    stream_format: Literal["audio", "sse"] | None = Field(None, description="`sse` sends events with base64 sound.")
    stream: bool | None = Field(
        None,
        description="Whether sound is sent while it is made, so that a file does not tell its length. By default FLAC, "
        "which few can read so, is not.",
    )
    instructions: str | None = Field(None, description="CSM follows none: passed over, or refused by a setting.")
    volume_multiplier: float | None = Field(None, ge=0, le=10, allow_inf_nan=False, description="Loudness.")
    speaker: int | None = Field(None, ge=0, le=99, description="CSM's speaker number.")
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False, description="0 is greedy.")
    top_k: int | None = Field(None, ge=1, le=4096, description="How many of the likeliest codes may be drawn.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="The same seed says it the same way again.")

    @property
    def voice_name(self) -> str | None:
        """The name of the voice, None for the default one."""
        return (self.voice.id if isinstance(self.voice, VoiceId) else self.voice) or None

    @property
    def form(self) -> SoundFormat:
        """In which format it is sent."""
        return self.response_format or "mp3"

    @property
    def is_finished_first(self) -> bool:
        """Whether nothing is sent before all of it is made."""
        if self.stream is None:
            return self.form == "flac" and self.stream_format != "sse"
        return not self.stream

    @property
    def is_moment(self) -> bool:
        """Whether a moment of silence is all that is asked for."""
        return MOMENT.fullmatch(self.input) is not None

    @property
    def sampling(self) -> Sampling:
        """How it is spoken."""
        return Sampling(temperature=self.temperature, top_k=self.top_k, seed=self.seed)

    @property
    def is_english(self) -> bool:
        """Whether no other language is asked for."""
        others = self.model_extra or {}
        named = [str(others[name]).lower() for name in ("lang_code", "language", "lang") if others.get(name)]
        return all(name in ("a", "b", "auto") or name.startswith("en") for name in named)

    def check_others(self) -> None:
        """Make sure that nothing is passed over which would change the sound.

        Raises:
            Refusal: it would.
        """
        others: dict[str, Any] = self.model_extra or {}
        for name, same in WITHOUT_EFFECT.items():
            value = others.get(name)
            if value not in (None, "", [], {}) and value not in same:
                raise Refusal(
                    f"{name} would change the sound, and this server cannot do that; leave it out", status=422,
                    code="unsupported_field", param=name,
                )  # fmt: skip
