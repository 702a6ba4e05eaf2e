"""Morgan's `tts.yaml`: the keys that this server has not, and a file of them read as settings of this server."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from csm_plugin.server.formats.names import SoundFormat

ANY_MODEL = frozenset({"csm", "csm-1b", "csm-streaming"})
"""How Morgan names CSM, whichever it is; here these mean the model that the server would load without the file."""


class MorganSettings(BaseModel):
    """What requests to Morgan's routes mean if they do not say. Named as in Morgan's file."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    language: Literal["en"] = "en"
    voice: str = Field(default="default", min_length=1, max_length=256)
    speed: float = Field(default=1.0, ge=0.25, le=4)
    output_format: SoundFormat = "wav"
    sample_rate: Literal[24_000] = 24_000
    streaming_enabled: bool = True
    chunk_size: int | None = Field(default=None, ge=1, le=480_000)
    """Samples of an event of `/api/stream`; None sends sound as it is made."""

    buffer_size: int = Field(default=2_048, ge=1)
    """Taken for the sake of the file: nothing is held back here."""


def of_morgan(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a settings file says; Morgan's keys in it, if there are any, under `morgan`."""
    own = {name: values[name] for name in MorganSettings.model_fields if name in values}
    if not own:
        return values
    others = {name: value for name, value in values.items() if name not in own}
    if others.get("model") in ANY_MODEL:
        del others["model"]
    return others | {"morgan": own}
