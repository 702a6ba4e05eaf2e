"""Published checkpoints that this engine is made for: one table, of which lists, messages and docs are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Layout = Literal["transformers", "original"]

_CSM_1B = "sesame/csm-1b"
_MIMI = "kyutai/mimi"
_REPLICA = "a replica of its files"


@dataclass(frozen=True, slots=True)
class KnownCheckpoint:
    """A published checkpoint, as far as it is known.

    Args:
        hub_id: "owner/name".
        layout: of the tensors that are read: transformers' or that of SesameAILabs' own code.
        bytes: what is fetched of it, about; None if not known.
        licence: of the weights; None if not known.
        gated: whether its terms must be accepted first.
        copy_of: the gated checkpoint that it is an open copy of.
        needs: other repositories that it takes files from.
        tested: with what this engine was tested in its stead, or with itself; None if with nothing yet.
        note: what is special.
    """

    hub_id: str
    layout: Layout
    bytes: int | None = None
    licence: str | None = None
    gated: bool = False
    copy_of: str | None = None
    needs: tuple[str, ...] = ()
    tested: str | None = None
    note: str = ""


KNOWN = (
    KnownCheckpoint(
        _CSM_1B,
        "transformers",
        bytes=4_944_026_784 + 2_189_474_180 + 17_209_980 + 59_730,
        licence="Apache-2.0",
        gated=True,
        tested=_REPLICA,
        note="the original weights lie beside and are not fetched",
    ),
    KnownCheckpoint("unsloth/csm-1b", "transformers", copy_of=_CSM_1B, tested=_REPLICA),
    KnownCheckpoint("eustlb/csm-1b", "transformers", copy_of=_CSM_1B, tested=_REPLICA),
    KnownCheckpoint(
        "Marvis-AI/marvis-tts-250m-v0.1",
        "transformers",
        licence="Apache-2.0",
        tested=_REPLICA,
        note="a voice is matched by continuing its prompt",
    ),
    KnownCheckpoint(
        "MisoLabs/MisoTTS",
        "original",
        licence="modified MIT",
        needs=(_MIMI,),
        tested=_REPLICA,
        note="a backbone of 7.7 B parameters",
    ),
)

UNGATED_COPIES = tuple(one.hub_id for one in KNOWN if one.copy_of)
