"""Finds the folder of a checkpoint: a bundled name, a local folder, or a hub id, in that order."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from csm_plugin.errors import CheckpointFormatError, CheckpointNotFound
from csm_plugin.model.hub import Kind, RepositoryCache, fetch, missing

DIGESTS = "SHA256SUMS"
BUNDLED = Path(__file__).resolve().parent.parent / "checkpoints"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_REVISION = re.compile(r"[A-Za-z0-9_][\w.+-]*(/[A-Za-z0-9_][\w.+-]*)*")
_NEEDED = {
    "model": "config.json and model.safetensors",
    "codec": "config.json and model.safetensors",
    "tokenizer": "tokenizer.json",
    "adapter": "adapter_config.json and adapter_model.safetensors",
}


def bundled_models() -> list[str]:
    """Return the names of the checkpoints that ship with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob("*/config.json"))


def find_checkpoint(model: str | Path, *, kind: Kind = "model") -> Path:
    """Return the folder of a checkpoint, downloading what is needed where it is a hub id. Blocks.

    Args:
        model: a bundled name, a local folder, or a hub id such as "sesame/csm-1b", with a branch, tag, commit or
            "refs/pr/1" after "@" if it is not to be the newest (token from `HF_TOKEN`, else the stored login).
        kind: what it is wanted as; on the hub other files are needed of a codec, a tokenizer, an adapter.

    Raises:
        CheckpointNotFound: it is none of the three, or the hub has no such repository or revision.
        CheckpointFormatError: a bundled one is damaged, or the repository holds nothing that can be read.
        CheckpointAccessError: the hub refuses it or cannot be reached, the download broke off, or the disk is full.
    """
    if isinstance(model, str) and model in bundled_models():
        return _undamaged(BUNDLED / model)
    folder = local_place(model)
    if folder is not None and os.path.isdir(folder):
        return folder
    if folder is not None and os.path.isfile(folder):
        raise CheckpointNotFound(f"{folder} is a file; pass the folder that holds {_NEEDED[kind]}")
    named = hub_id_and_revision(model)
    if named is None:
        bundled = ", ".join(bundled_models()) or "none"
        raise CheckpointNotFound(
            f"there is no {kind} {str(model)!r}; pass a bundled name ({bundled}), an existing folder, "
            "or a hub id such as 'sesame/csm-1b' or 'sesame/csm-1b@main'"
        )
    return fetch(*named, kind)


def local_place(model: str | Path) -> Path | None:
    """Return the path that a name would have on this machine, None if it can be none; whether it is there is open."""
    try:
        return Path(model).expanduser() if str(model) else None
    except RuntimeError:  # it begins with "~" and the name of nobody
        return None


def hub_id_and_revision(model: str | Path) -> tuple[str, str] | None:
    """Return the hub id and the revision, "main" if none is given, that a name has the form of; None if of none."""
    if not isinstance(model, str):
        return None
    hub_id, at, revision = model.partition("@")
    if not _HUB_ID.fullmatch(hub_id) or (at and (not _REVISION.fullmatch(revision) or ".." in revision)):
        return None
    return hub_id, revision or "main"


def is_on_hub(model: str | Path) -> bool:
    """Whether `find_checkpoint` would look for it on the hub."""
    if isinstance(model, str) and model in bundled_models():
        return False
    place = local_place(model)
    return (place is None or not os.path.exists(place)) and hub_id_and_revision(model) is not None


def here(model: str | Path, kind: Kind) -> Path | None:
    """Return the folder of what is on this machine, in a folder or complete in the hub's cache; None otherwise."""
    named = hub_id_and_revision(model) if is_on_hub(model) else None
    if named is None:
        return find_checkpoint(model, kind=kind)
    cache = RepositoryCache.of(named[0])
    commit = cache.commit_of(named[1])
    snapshot = cache.snapshot(commit) if commit else None
    return snapshot if snapshot is not None and snapshot.is_dir() and not missing(snapshot, kind) else None


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
