"""The model card of an exported checkpoint."""

from pathlib import Path

from training import files
from training.corpus.voices import VOICES
from training.sizes import CODEBOOKS
from training.tokens import CHARACTERS

_CARD = """\
---
license: apache-2.0
language: en
library_name: csm-plugin
pipeline_tag: text-to-speech
---

# csm-tiny

Sesame CSM's architecture, trained from scratch, small enough for one laptop core. It speaks plain English in {count}
voices and follows a reference voice or the earlier turns of a conversation. It is for trying, developing and testing;
production is CSM-1B.

| | |
|---|---|
| parameters | {parameters}: Mimi with {codebooks} codebooks, 12.5 frames/s; 5 backbone and 2 depth decoder layers |
| text | {characters} characters, lower case; other writing is normalised |
| voices by speaker id | {voices} |
| voice prompts | the same names, in `voices/` |
| aligned heads | backbone layers 1, 2 and 3, head 0: named in `generation_config.json`, used for word times |

## How it was made

`python -m training`, stage by stage; nothing was taken from another model's weights. The speech was made by
flite {hours}from documents, templates, numbers and random words; no recording of a person other than those behind
flite's voices is in it. The codec's codes are found by analysis (log-mel envelope, pitch, phase of the voice; principal
components, linear discriminants and k-means), its decoder and encoder are trained on them, and the language model is
trained on text and codes with guided attention. Trained so far: {steps}.

## Sources and licences

The corpus is synthetic. Voices: slt, rms and awb of flite (CMU ARCTIC recordings; free for any use, with their
notices), resampled into {count} speakers. Texts: documentation found on a Debian system, and sentences of this project.
The weights are under this project's licence.

## Limits

English only, one sentence or two at a time, the voices above. It sounds like the synthesiser that it learnt from. It
has not been trained on noise, singing, laughter, or other people's voices.
"""


def write(place: Path, parameters: int, steps: dict[str, int], hours: float) -> None:
    """Write `README.md` into an exported folder.

    Args:
        place: the folder.
        parameters: how many the model has.
        steps: taken by each stage.
        hours: of the corpus.
    """
    text = _CARD.format(
        count=len(VOICES),
        parameters=f"{parameters / 1e6:.1f} M",
        characters=len(CHARACTERS),
        codebooks=CODEBOOKS,
        voices=", ".join(f"{number} {voice.name}" for number, voice in enumerate(VOICES)),
        hours=f"({hours:.0f} hours) " if hours else "",
        steps=", ".join(f"{stage} {count:,} steps" for stage, count in steps.items()),
    )
    files.write_bytes(place / "README.md", text.encode())
