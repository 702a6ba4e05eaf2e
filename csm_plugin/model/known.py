"""Published checkpoints that this engine is made for: one table, of which lists, messages and docs are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Layout = Literal["transformers", "original"]

_CSM_1B = "sesame/csm-1b"
_MIMI = "kyutai/mimi"
_LLAMA = "meta-llama/Llama-3.2-1B"
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
        codec: where its codec comes from; None if it holds its own.
        tokenizer: where its tokenizer comes from; None if it holds its own.
        tested: in what form this engine was tested with it; None if in none yet.
        note: what is special.
    """

    hub_id: str
    layout: Layout
    bytes: int | None = None
    licence: str | None = None
    gated: bool = False
    copy_of: str | None = None
    codec: str | None = None
    tokenizer: str | None = None
    tested: str | None = None
    note: str = ""


KNOWN = (
    KnownCheckpoint(
        _CSM_1B,
        "transformers",
        bytes=7_158_348_632,
        licence="Apache-2.0",
        gated=True,
        tested=_REPLICA,
        note="the original weights lie beside and are not fetched",
    ),
    KnownCheckpoint("unsloth/csm-1b", "transformers", copy_of=_CSM_1B, tested=_REPLICA),
    KnownCheckpoint("eustlb/csm-1b", "transformers", copy_of=_CSM_1B, tested=_REPLICA),
    KnownCheckpoint(
        "Marvis-AI/marvis-tts-250m-v0.1",
        "original",
        licence="Apache-2.0",
        codec=_MIMI,
        tested=_REPLICA,
        note="a voice is matched by continuing its prompt",
    ),
    KnownCheckpoint("Marvis-AI/marvis-tts-250m-v0.1-transformers", "transformers", note="Marvis converted"),
    KnownCheckpoint(
        "MisoLabs/MisoTTS",
        "original",
        bytes=32_750_000_000,
        licence="modified MIT",
        codec=_MIMI,
        tokenizer=_LLAMA,
        tested=_REPLICA,
        note="8.2 B parameters",
    ),
)

UNGATED_COPIES = tuple(one.hub_id for one in KNOWN if one.copy_of)
