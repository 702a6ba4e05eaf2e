"""The voices of the corpus: few, and clearly different from one another."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Voice:
    """One speaker, made from a flite voice.

    `scale` plays the recording faster or slower, which moves pitch and formants together, as a shorter or longer
    vocal tract would; the durations are stretched beforehand, so the tempo stays that of `tempo`.

    Args:
        name: how the voice is called everywhere.
        source: the flite voice (`slt`, `rms` or `awb`).
        scale: factor on all frequencies, 1 = as recorded.
        pitch_hz: mean pitch asked of flite before scaling; None leaves the voice's own (rms has no other).
        tempo: speaking rate against flite's default, which is hasty: slower speech is coded and read better.
        share: how often the codec trains on it, against the others: more where it is read worse.
    """

    name: str
    source: str
    scale: float = 1.0
    pitch_hz: float | None = None
    tempo: float = 0.87
    share: float = 1.0


VOICES: tuple[Voice, ...] = (
    Voice("robert", "rms"),
    Voice("clara", "slt", 1.0, 185.0, share=1.2),
    Voice("alan", "awb", 1.0, None, 0.83, share=2.0),
    Voice("mia", "slt", 1.18, 190.0, share=2.5),
    Voice("ruth", "slt", 0.87, 160.0, share=1.3),
    Voice("bruno", "rms", 0.87),
    Voice("leo", "rms", 1.2, share=0.8),
    Voice("fiona", "awb", 1.22, 160.0, 0.83, share=1.3),
)


def voice_index(name: str) -> int:
    """The number of a voice, which is also its speaker id without context.

    Raises:
        KeyError: there is no voice of that name.
    """
    for index, voice in enumerate(VOICES):
        if voice.name == name:
            return index
    raise KeyError(f"no voice {name!r}; there are {', '.join(voice.name for voice in VOICES)}")
