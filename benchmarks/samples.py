"""Speaks the documentation's sound samples with csm-tiny, and writes their page: `python -m benchmarks.samples`.

Every seed is `SEED`, so that the same commit speaks the same again on the same machine.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from csm_plugin import SAMPLE_RATE_HZ, Conversation, Engine, Sampling
from csm_plugin.audio import Decimator, to_int16

DOCS = Path(__file__).parents[1] / "docs"
FOLDER = DOCS / "samples"
LIST = FOLDER / "samples.json"
PAGE = DOCS / "samples.md"
MODEL = "csm-tiny"
SEED = 1
PAUSE_S = 0.25
HEARD_S = 2.4
TELEPHONE_RATE_HZ = 8_000

Pcm = npt.NDArray[np.float32]
Line = tuple[str, str]
"""Who speaks, and what can be heard of the text."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sound file of the documentation, and what is said in it.

    Args:
        file: its name in `docs/samples`.
        title: of its section on the page.
        about: what is to be noticed.
        lines: who speaks and what is heard, in their order.
    """

    file: str
    title: str
    about: str
    lines: Sequence[Line]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    samples = []
    with Engine.load(MODEL) as engine:
        for sample, data in made(engine):
            (FOLDER / sample.file).write_bytes(data)
            samples.append(sample)
            print(f"{sample.file}: {len(data):,} bytes")
    LIST.write_text(json.dumps([asdict(sample) for sample in samples], indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(samples), encoding="utf-8")


def read_samples() -> list[Sample]:
    """Return the committed samples."""
    told = json.loads(LIST.read_text(encoding="utf-8"))
    return [Sample(**one | {"lines": [(who, text) for who, text in one["lines"]]}) for one in told]


def made(engine: Engine) -> Iterator[tuple[Sample, bytes]]:
    """Speak each sample; give it with its file's bytes."""
    for speak, encode in ((reply, mp3), (interruption, mp3), (two_speakers, mp3), (telephone, mulaw)):
        sample, pcm = speak(engine)
        yield sample, encode(pcm)


def reply(engine: Engine) -> tuple[Sample, Pcm]:
    text = "Good morning! I found your keys on the kitchen table, next to the coffee."
    pcm = engine.synthesize(text, voice="robert", sampling=Sampling(seed=SEED))
    return Sample("reply.mp3", "A reply", "One text, in a voice that comes with the model.", [("robert", text)]), pcm


def interruption(engine: Engine) -> tuple[Sample, Pcm]:
    text = "You should wear a warm coat because it is cold outside, and turn off the lights before you leave."
    cut_in, answer = "Wait. I want to stay at home today.", "Of course. Then I will make us some coffee."
    with engine.conversation(voice="robert", sampling=Sampling(seed=SEED)) as talk:
        said = np.concatenate([chunk.pcm for chunk in talk.speak(text)])
        talk.interrupt(heard_s=HEARD_S)
        (kept,) = talk.segments
        user = engine.synthesize(cut_in, voice="clara", sampling=Sampling(seed=SEED))
        talk.listen(cut_in, user).wait()
        answered = spoken(talk, answer)
    about = (
        f"The text was “{text}” The listener cut in after {HEARD_S:g} s, and this is what the context keeps of it: "
        f"“{kept.text}” The reply knows both that and what the listener said."
    )
    lines = [("robert", kept.text + " …"), ("clara, as the user", cut_in), ("robert", answer)]
    pcm = joined([said[: int(HEARD_S * SAMPLE_RATE_HZ)], user, answered])
    return Sample("interruption.mp3", "An interruption", about, lines), pcm


def two_speakers(engine: Engine) -> tuple[Sample, Pcm]:
    lines = [
        ("leo", "Have you been to the sea this year?"),
        ("ruth", "Not yet, we want to go in June."),
        ("leo", "Then come with us!"),
        ("ruth", "I would love to."),
    ]
    parts = []
    with engine.conversation(sampling=Sampling(seed=SEED)) as talk:
        for voice, text in lines:
            talk.configure(voice=voice, speaker=int(voice == "ruth"))
            parts.append(spoken(talk, text))
    about = "One conversation, two voices: each line is spoken in the context of those before it."
    return Sample("two_speakers.mp3", "Two speakers", about, lines), joined(parts)


def telephone(engine: Engine) -> tuple[Sample, Pcm]:
    text = "Of course. I will meet you at the station at noon."
    pcm = engine.synthesize(text, voice="clara", sampling=Sampling(seed=SEED))
    about = "What a caller hears: 8 kHz, 8 bits a sample by the μ-law, as telephone networks carry it."
    return Sample("telephone.wav", "The telephone", about, [("clara", text)]), pcm


def spoken(talk: Conversation, text: str) -> Pcm:
    """Speak one utterance to its end."""
    return np.concatenate([chunk.pcm for chunk in talk.speak(text)])


def joined(parts: Sequence[Pcm]) -> Pcm:
    """Put turns one behind the other, with a pause between them."""
    pause = np.zeros(int(PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    between = [piece for part in parts for piece in (pause, part)]
    return np.concatenate(between[1:])


def mp3(pcm: Pcm) -> bytes:
    """Encode at 24 kHz, for every browser."""
    file = io.BytesIO()
    soundfile.write(file, pcm, SAMPLE_RATE_HZ, format="MP3")
    return file.getvalue()


def mulaw(pcm: Pcm) -> bytes:
    """Encode at 8 kHz by the μ-law."""
    decimator = Decimator()
    narrow = np.concatenate([decimator.feed(to_int16(pcm)), decimator.flush()])
    file = io.BytesIO()
    soundfile.write(file, narrow, TELEPHONE_RATE_HZ, format="WAV", subtype="ULAW")
    return file.getvalue()


def page(samples: Sequence[Sample]) -> str:
    """Return the page in Markdown."""
    parts = [
        "# How it sounds",
        "Spoken by `csm-tiny`, the model of 24 MB that comes with the package; how CSM-1B sounds they do not tell.\n"
        f"Every seed is {SEED}. `python -m benchmarks.samples` makes these files, and this page, again.",
    ]
    for sample in samples:
        parts += [
            f"## {sample.title}",
            sample.about,
            f'<audio controls preload="metadata" src="samples/{sample.file}"></audio>',
            "\n".join(f"- **{who}**: {text}" for who, text in sample.lines),
        ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
