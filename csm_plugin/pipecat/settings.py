"""What can be set about the voice in a pipeline, before it starts and while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches

from pipecat.services.settings import TTSSettings
from pipecat.utils.types import NOT_GIVEN, NotGiven, is_given

from csm_plugin.errors import SettingsError, VoiceError
from csm_plugin.settings import Sampling

MAX_SPEAKER = 99


@dataclass
class CSMTTSSettings(TTSSettings):
    """Settings of `CSMTTSService`; each may be changed at run time with a `TTSUpdateSettingsFrame`.

    A change takes effect with the next sentence and keeps the conversation.

    Of what all services have, `voice` is the name of a voice of the engine (`engine.voices`), None the model's own;
    `language` is a hint of what the text is in: English or None writes numbers, signs and abbreviations out before they
    are spoken, with any other the text reaches the model as it is; `model` is for reading only, the engine decides it.

    Parameters:
        speaker: the number under which it speaks, 0 to 99.
        temperature: 0 (greedy) to 2, or None for the checkpoint's own.
        top_k: how many of the likeliest codes may be drawn, at least 1, or None for the checkpoint's own.
        seed: makes every sentence repeatable; None draws anew.
        listen: whether what the user says becomes context, so that the voice fits to it.
        user_speaker: the number under which the user's speech is kept, 0 to 99 and not `speaker`; None takes 1 if
            the service speaks as 0, and 0 otherwise.
    """

    speaker: int | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    temperature: float | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    top_k: int | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    seed: int | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)
    listen: bool | NotGiven = field(default_factory=lambda: NOT_GIVEN)
    user_speaker: int | NotGiven | None = field(default_factory=lambda: NOT_GIVEN)


def complete(given: TTSSettings | None) -> CSMTTSSettings:
    """Every setting with a value: what was given, defaults for the rest.

    Raises:
        SettingsError: a setting is unknown or out of range.
    """
    default = Sampling()
    settings = CSMTTSSettings(
        model=None,
        voice=None,
        language=None,
        speaker=0,
        temperature=default.temperature,
        top_k=default.top_k,
        seed=default.seed,
        listen=True,
        user_speaker=None,
    )
    if given is not None:
        check_known(given)
        settings.apply_update(given)
    check_speakers(settings)
    sampling_of(settings)
    return settings


def check_change(current: CSMTTSSettings, delta: TTSSettings, *, voices: Sequence[str] | None) -> CSMTTSSettings:
    """Check a change before it is applied.

    Args:
        current: the settings that are in force.
        delta: what is to change.
        voices: the engine's voices, None while they are not known.

    Returns:
        The settings as they will be.

    Raises:
        SettingsError: a setting is unknown, out of range, or cannot be changed.
        VoiceError: the engine has no such voice.
    """
    check_known(delta)
    wanted = current.copy()
    wanted.apply_update(delta)
    if wanted.model != current.model:
        raise SettingsError(
            f"model is {wanted.model!r}; a running service keeps {current.model!r}: start another for it"
        )
    check_speakers(wanted)
    sampling_of(wanted)
    if voices is not None:
        check_voice(wanted.voice, voices)
    return wanted


def check_known(settings: TTSSettings) -> None:
    """Raise SettingsError if `settings` names something that this service doesn't have."""
    unknown = [name for name in settings.given_fields() if name not in _NAMES]
    if unknown:
        told = [
            name if (meant := nearest(name, _NAMES)) is None else f"{name} (did you mean {meant}?)" for name in unknown
        ]
        raise SettingsError(
            f"unknown setting {', '.join(sorted(told))}; CSMTTSService.Settings has {', '.join(sorted(_NAMES))}"
        )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that is written most nearly so, if one nearly is."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.75)), None)


def check_speakers(settings: CSMTTSSettings) -> None:
    """Raise SettingsError if the speakers are not two whole numbers from 0 to 99, or `listen` is no bool."""
    for name, number in (("speaker", settings.speaker), ("user_speaker", user_speaker_of(settings))):
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MAX_SPEAKER:
            raise SettingsError(f"{name} is {number!r}; it must be a whole number from 0 to {MAX_SPEAKER}")
    if settings.speaker == settings.user_speaker:
        raise SettingsError(f"speaker and user_speaker are both {settings.speaker}; give the user another number")
    if not isinstance(settings.listen, bool):
        raise SettingsError(f"listen is {settings.listen!r}; it must be True or False")


def user_speaker_of(settings: CSMTTSSettings) -> int:
    """The number under which the user's speech is kept."""
    given = settings.user_speaker
    return given if given is not None and is_given(given) else int(settings.speaker == 0)


def speaks_english(settings: CSMTTSSettings) -> bool:
    """Whether the text is English, as far as the settings tell."""
    language = settings.language
    return not isinstance(language, str) or language.lower().startswith("en")


def check_voice(voice: object, voices: Sequence[str]) -> None:
    """Raise VoiceError if there is a voice and it is none of `voices`."""
    if voice is not None and voice not in voices:
        known = ", ".join(voices) or "none besides the model's own (voice=None)"
        raise VoiceError(f"voice is {voice!r}; this engine has: {known}")


def sampling_of(settings: CSMTTSSettings) -> Sampling:
    """The settings' part that concerns sampling.

    Raises:
        SettingsError: a value is out of range.
    """
    given = {name: value for name in ("temperature", "top_k", "seed") if is_given(value := getattr(settings, name))}
    return Sampling(**given)


_NAMES = frozenset(f.name for f in fields(CSMTTSSettings)) - {"extra"}
