"""Finds the folder of a checkpoint: a bundled name, a local folder, or a hub id, in that order."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Literal

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from loguru import logger

from csm_plugin.errors import CheckpointAccessError, CheckpointFormatError, CheckpointNotFound

DIGESTS = "SHA256SUMS"
BUNDLED = Path(__file__).resolve().parent.parent / "checkpoints"
UNGATED_COPIES = ("unsloth/csm-1b", "eustlb/csm-1b")
FILES = ["*.json", "*.safetensors", "*.jinja"]  # nothing that could run code
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def bundled_models() -> list[str]:
    """Return the names of the checkpoints that ship with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob("*/config.json"))


Kind = Literal["model", "codec", "tokenizer", "adapter"]


def find_checkpoint(model: str | Path, *, kind: Kind = "model") -> Path:
    """Return the folder of a checkpoint, downloading it where it is a hub id. Blocks.

    Args:
        model: a bundled name, a local folder, or a hub id such as "sesame/csm-1b" (token from `HF_TOKEN`).

    Raises:
        CheckpointNotFound: it is none of the three.
        CheckpointFormatError: a bundled one is damaged.
        CheckpointAccessError: the hub refuses it or cannot be reached.
    """
    if isinstance(model, str) and model in bundled_models():
        return _undamaged(BUNDLED / model)
    folder = Path(model).expanduser()
    if str(model) and folder.is_dir():
        return folder
    if folder.is_file():
        raise CheckpointNotFound(f"{folder} is a file; pass the folder that holds config.json and model.safetensors")
    if not isinstance(model, str) or not HUB_ID.fullmatch(model) or model.startswith((".", "~")):
        bundled = ", ".join(bundled_models()) or "none"
        raise CheckpointNotFound(
            f"there is no model {str(model)!r}; pass a bundled name ({bundled}), an existing folder, "
            "or a hub id such as 'sesame/csm-1b'"
        )
    return _download(model)


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 digests of a checkpoint's files, by their paths in its folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DIGESTS)
    return {str(path.relative_to(folder).as_posix()): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _undamaged(folder: Path) -> Path:
    """Return a bundled checkpoint's folder if its files are those whose digests are pinned."""
    pinned = folder / DIGESTS
    lines = pinned.read_text(encoding="utf-8").splitlines() if pinned.is_file() else []
    if lines and digests(folder) != {name: digest for digest, name in (line.split("  ", 1) for line in lines)}:
        raise CheckpointFormatError(f"the bundled checkpoint {folder.name} is damaged; install csm-plugin again")
    return folder


def _download(hub_id: str) -> Path:
    copies = " or ".join(UNGATED_COPIES)
    try:
        logger.info("fetching checkpoint", model=hub_id)
        return Path(snapshot_download(hub_id, allow_patterns=FILES, token=os.environ.get("HF_TOKEN") or None))
    except GatedRepoError as error:
        raise CheckpointAccessError(
            f"{hub_id} is gated: accept its terms on its hub page and set HF_TOKEN to a token of that account, "
            f"or use an ungated copy: {copies}"
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointNotFound(
            f"the hub has no model {hub_id!r} that this token may see; check the spelling, or set HF_TOKEN"
        ) from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, EntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise CheckpointAccessError(
            f"{hub_id} is not on this machine and the hub cannot be reached ({type(error).__name__}): connect once "
            "to download it, or pass a local folder"
        ) from error
