"""What can be set about the server, in one place: environment, a YAML file, or the command line."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings import SettingsError as UnreadableError

from csm_plugin.errors import SettingsError
from csm_plugin.server.shared.morgan_settings import MorganSettings, of_morgan
from csm_plugin.server.shared.origins import FROM_FILES, ORIGIN
from csm_plugin.server.shared.watermark import WatermarkKey

Names = Annotated[tuple[str, ...], NoDecode]
"""Several names; in the environment and on the command line separated by commas."""


class ServerSettings(BaseSettings):
    """Settings of `csm serve`. What comes first wins: command line, environment (`CSM_…`), YAML file, default."""

    model_config = SettingsConfigDict(env_prefix="CSM_", extra="forbid", frozen=True)

    model: str = Field("csm-tiny", description="bundled name, folder, or Hugging Face id")
    adapter: str | None = Field(None, description="folder or Hugging Face id of a LoRA adapter, merged into the model")
    codec: str | None = Field(None, description="folder or Hugging Face id of the codec, for a model without one")
    tokenizer: str | None = Field(
        None, description="folder or Hugging Face id of the tokenizer, for a model without one"
    )
    device: str = Field("auto", description="`auto`, `cpu`, `cuda`, `cuda:1`")
    dtype: str = Field("auto", description="`auto`, `float32`, `bfloat16`, `float16`")
    graphs: bool = Field(True, description="whether steps on a GPU run as CUDA graphs; without them it is slower")
    max_conversations: int = Field(8, ge=1, le=4096, description="how many speak at the same time")
    max_queue: int = Field(16, ge=0, le=65536, description="how many more may wait to speak; others get 429")
    max_open: int = Field(1000, ge=1, description="conversations that may be open, speaking or not")

    host: str = Field("127.0.0.1", description="address to listen on; beyond loopback only with keys")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    api_keys: SecretStr = Field(SecretStr(""), description="keys that clients may use, separated by commas")
    allowed_origins: Names = Field(
        (),
        description="origins whose pages may use the server: `https://name[:port]`, `chrome-extension://id`, "
        "`moz-extension://*`, `app://name`, `tauri://localhost`; with keys also `file://`",
    )

    voices: Path | None = Field(
        None,
        description="folder of voice prompts, `name.wav` beside `name.txt`; uploads go there; by default the user's "
        "own, see voices.md",
    )
    default_voice: str | None = Field(None, description="voice for requests that name none, or one of OpenAI's")
    unknown_voice: Literal["default", "error"] = Field(
        "default",
        description="what a voice that is not here means on `/v1/audio/speech`: the default one, or an error",
    )
    instructions: Literal["ignore", "refuse"] = Field(
        "ignore", description="what becomes of `instructions`, which CSM cannot follow"
    )
    max_voices: int = Field(100, ge=0, description="voices that may be uploaded")

    watermark_enabled: bool | None = Field(
        None, description="whether sound has a watermark if a request does not say; by default where there is a key"
    )
    watermark_key: Annotated[WatermarkKey | None, NoDecode] = Field(
        None, description="the watermark's key, five numbers separated by commas"
    )
    morgan: MorganSettings = Field(MorganSettings(), description="of Morgan's routes, see dropin.md")

    max_body_bytes: int = Field(65_536, ge=1_024, description="largest request body but for uploads")
    max_upload_bytes: int = Field(10 * 2**20, ge=1_024, description="largest uploaded file")
    max_message_bytes: int = Field(65_536, ge=1_024, description="largest WebSocket message")
    max_turn_bytes: int = Field(12 * 2**20, ge=1_024, description="sound that a conversation may have on its way up")
    max_header_bytes: int = Field(16_384, ge=1_024, description="largest head of a request")
    max_connections: int = Field(1_000, ge=1, description="connections at the same time")

    start_s: float = Field(5.0, gt=0, description="time for the head of a request, and for a socket's first message")
    idle_s: float = Field(120.0, gt=0, description="a socket that says nothing for so long is closed")
    ping_s: float = Field(
        20.0, gt=0, description="pause between pings, and time for their answer; dead peers are found in twice that"
    )
    stall_s: float = Field(
        60.0,
        gt=0,
        description="a response of which nothing is read, or a request that does not go on, for so long is cut off",
    )
    drain_s: float = Field(15.0, ge=0, description="on SIGTERM, time for what is being spoken")
    hang_s: float = Field(10.0, gt=0, description="an engine whose device thread hangs for so long is dead")
    max_restarts: int = Field(3, ge=0, description="restarts of the engine in 5 minutes; one more ends the process")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="`DEBUG` to `ERROR`")

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("voices", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return value or None

    @field_validator("allowed_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin; write https://name or https://name:port, without a path, or an app's or "
                    "extension's, like chrome-extension://id"
                )
        return origins

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("watermark_key", mode="before")
    @classmethod
    def _split_key(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",")) if value.strip() else None
        return value

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not self.keys and not is_loopback(self.host):
            raise ValueError(
                f"host is {self.host!r}, which others can reach, and there are no keys: set CSM_API_KEYS, or listen on "
                "127.0.0.1"
            )
        if not self.keys and (files := [origin for origin in self.allowed_origins if origin in FROM_FILES]):
            raise ValueError(
                f"allowed_origins has {files[0]}, which any page in a sandbox can be, and there are no keys: set "
                "CSM_API_KEYS, or leave it out"
            )
        return self

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys, none if everyone on this machine may use it."""
        return tuple(key.strip() for key in self.api_keys.get_secret_value().split(",") if key.strip())

    @property
    def watermarks(self) -> bool:
        """Whether sound has a watermark if a request does not say."""
        return self.watermark_key is not None if self.watermark_enabled is None else self.watermark_enabled

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *args: Any, **others: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what is passed, then the environment; `read` adds the file."""
        return init_settings, others["env_settings"]


class SettingsFile(YamlConfigSettingsSource):
    """A YAML file with this server's names, or with Morgan's."""

    def __call__(self) -> dict[str, Any]:
        """Return what it says."""
        return of_morgan(super().__call__())


def read_settings(config: Path | None = None, **given: object) -> ServerSettings:
    """Read the settings.

    Args:
        config: a YAML file with the same names.
        given: what the command line says; None is nothing.

    Raises:
        SettingsError: a name is unknown, a value is out of range, or the file cannot be read.
    """

    class WithFile(ServerSettings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *args: Any, **others: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            file = () if config is None else (SettingsFile(settings_cls, yaml_file=config),)
            return (init_settings, others["env_settings"], *file)

    if config is not None and not config.is_file():
        raise SettingsError(f"there is no file {config}; give the path of a YAML file of settings")
    try:
        chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return WithFile(**chosen)
    except ValidationError as error:
        raise SettingsError("; ".join(map(_told, error.errors()))) from None
    except UnreadableError as error:
        raise SettingsError(f"{error}; it must be JSON") from None
    except (yaml.YAMLError, OSError, UnicodeDecodeError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = type(error).__name__ if mark is None else f"line {mark.line + 1}"
        raise SettingsError(f"{config} cannot be read as YAML settings ({where}); correct it") from None


def print_settings(settings: ServerSettings) -> str:
    """Return the settings as YAML that `read_settings` reads; keys are not in it."""
    values = settings.model_dump(mode="json", exclude={"api_keys", "watermark_key"})
    keys = f"# api_keys: {len(settings.keys)} set, not shown\n"
    return keys + str(yaml.safe_dump(values, sort_keys=False))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _told(error: Any) -> str:
    """Say what is wrong with a setting, without its value: that may be a key."""
    name = ".".join(map(str, error["loc"]))
    said = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        said = "there is no such setting; csm serve --print-config lists all"
    return f"{name}: {said}" if name else said
