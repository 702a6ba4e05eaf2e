"""What `CSMTTSService` is called with: what is allowed, and where that belongs which other services take."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path

from pipecat.services.settings import TTSSettings
from pipecat.services.tts_service import TTSService
from pipecat.utils.types import is_given

from csm_plugin.errors import SettingsError
from csm_plugin.interface import SpeechEngine
from csm_plugin.pipecat.settings import CSMTTSSettings, nearest

_BY_ENGINE = "adapter codec tokenizer head_dims device dtype max_conversations max_queue graphs".split()
_BY_SERVER = "url base_url api_key patience_s".split()
_BY_SETTINGS = [one.name for one in fields(CSMTTSSettings) if one.name not in ("voice", "model", "extra")]
BELONGS: dict[str, str] = {
    **{name: f"give it to the engine, engine=Engine.load(model, {name}=…)" for name in _BY_ENGINE},
    **dict.fromkeys(_BY_SERVER, "an engine behind a server is engine=RemoteEngine(url, api_key=…)"),
    **{name: f"it is a setting, settings=CSMTTSService.Settings({name}=…)" for name in _BY_SETTINGS},
    "voice_id": "a voice has a name here, voice=…",
    "params": "what it holds is set by settings=CSMTTSService.Settings(…)",
    "speed": "only the server's POST /v1/audio/speech changes the tempo",
    "instructions": "CSM follows none; how it speaks follows from its voice and the conversation",
}
"""Where what users of other services pass belongs."""


def refuse_unknown(service: type, given: Iterable[str]) -> None:
    """Raise SettingsError if arguments are neither a service's own nor those of Pipecat's classes behind it.

    Those pass on what they do not know, and the last one drops it.

    Args:
        service: the class with arguments of its own, and `**kwargs` for the others.
        given: the others' names.
    """
    behind = [name for base in inspect.getmro(TTSService) for name in _taken(base)]
    unknown = sorted(set(given).difference(behind))
    if unknown:
        own = _taken(service)
        told = [_where(name, [*own, *behind, *BELONGS]) for name in unknown]
        raise SettingsError(
            f"{service.__name__} takes no {', '.join(told)}; "
            f"it takes {', '.join(own)}, and what Pipecat's TTSService does"
        )


def with_voice(settings: TTSSettings | None, voice: str | None) -> TTSSettings | None:
    """The settings with a voice that was given beside them.

    Raises:
        SettingsError: they have another, or are none.
    """
    if settings is not None and not isinstance(settings, TTSSettings):
        kind = type(settings).__name__
        raise SettingsError(f"settings is of the kind {kind}; give CSMTTSService.Settings(voice=…, temperature=…)")
    if voice is None:
        return settings
    if settings is None:
        return CSMTTSSettings(voice=voice)
    if is_given(settings.voice) and settings.voice != voice:
        raise SettingsError(f"voice is {voice!r} and the settings' is {settings.voice!r}; give one of them")
    return replace(settings, voice=voice)


def engine_for(
    engine: SpeechEngine | str | Path | None, model: str | Path | None, settings: TTSSettings | None
) -> SpeechEngine | str | Path:
    """The engine, or the model to load one for, by whichever name it was given.

    Raises:
        SettingsError: there is none, or the engine speaks with another model.
    """
    if model is None and settings is not None and is_given(settings.model):
        model = settings.model
    if engine is None:
        if model is None:
            raise SettingsError(
                "CSMTTSService has no engine; give engine=Engine.load('csm-tiny'), which many services share, or a "
                "model's name, as in model='csm-tiny'"
            )
        return model
    if model is None:
        return engine
    speaks_with = engine if isinstance(engine, str | Path) else engine.model_name
    if str(model) != str(speaks_with):
        raise SettingsError(
            f"model is {str(model)!r}, but the engine speaks with {str(speaks_with)!r}; give engine=Engine.load(model) "
            "for another"
        )
    return engine


def _taken(kind: type) -> list[str]:
    """The names of what a class's own constructor takes by name."""
    parameters = inspect.signature(vars(kind).get("__init__", lambda self: None)).parameters.values()
    named = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one.name for one in parameters if one.kind in named and one.name != "self"]


def _where(name: str, known: list[str]) -> str:
    """A name that is not taken, and where it belongs, or which one may have been meant."""
    if name in BELONGS:
        return f"{name}: {BELONGS[name]}"
    meant = nearest(name, known)
    if meant is None:
        return name
    return f"{name} (did you mean {meant}{f': {BELONGS[meant]}' if meant in BELONGS else ''}?)"
