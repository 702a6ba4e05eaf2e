"""The checkpoints in the hub's cache, which other programs share: what is there, and its removal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CachedRepoInfo, HFCacheInfo, scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from csm_plugin.errors import CheckpointFormatError, CheckpointNotFound
from csm_plugin.model.hub import Kind, missing
from csm_plugin.model.hub.wanted import read_mapping
from csm_plugin.model.known import KNOWN

_ORIGINAL = {"audio_num_codebooks", "backbone_flavor"}
_HELPERS: Mapping[str, Kind] = {one.codec: "codec" for one in KNOWN if one.codec}
_KNOWN = tuple(one.hub_id for one in KNOWN)  # what is looked for in it may be anything that JSON holds


@dataclass(frozen=True, slots=True)
class CachedModel:
    """A checkpoint of this family in the cache, all its revisions together.

    Args:
        hub_id: "owner/name".
        kind: what it is good for.
        bytes: on disk, unfinished downloads included.
        folder: of the newest snapshot.
        revisions: branches and tags that were fetched, and the commits that have none.
        missing: files that the newest snapshot lacks; none if it is complete.
    """

    hub_id: str
    kind: Kind
    bytes: int
    folder: Path
    revisions: tuple[str, ...]
    missing: tuple[str, ...]


def cached_models() -> list[CachedModel]:
    """Return the checkpoints of this family that are in the cache, by name."""
    scanned = _scan()
    repositories = scanned.repos if scanned else ()
    found = (_describe(repository) for repository in repositories if repository.repo_type == "model")
    return sorted((one for one in found if one), key=lambda one: one.hub_id.lower())


@dataclass(frozen=True, slots=True)
class Removal:
    """What would be removed from the cache, all of a repository or one revision: `bytes` on disk."""

    bytes: int
    _scanned: HFCacheInfo
    _commits: tuple[str, ...]

    def execute(self) -> None:
        self._scanned.delete_revisions(*self._commits).execute()


def removal(hub_id: str, revision: str | None) -> Removal:
    """Prepare to remove a repository, or one revision of it: a branch, a tag, or a commit.

    Raises:
        CheckpointNotFound: the cache does not hold it.
    """
    scanned = _scan()
    held = scanned.repos if scanned else ()
    repositories = [one for one in held if one.repo_type == "model" and one.repo_id == hub_id]
    if scanned is None or not repositories:
        raise CheckpointNotFound(f"{hub_id} is not in the hub's cache; `csm models list` shows what is")
    (repository,) = repositories
    commits = [
        one.commit_hash
        for one in repository.revisions
        if revision is None or revision in one.refs or (len(revision) >= 7 and one.commit_hash.startswith(revision))
    ]
    if not commits:
        raise CheckpointNotFound(
            f"the cache holds no revision {revision!r} of {hub_id}; it holds {', '.join(_revisions(repository))}"
        )
    freed = scanned.delete_revisions(*commits).expected_freed_size
    if len(commits) == len(repository.revisions):
        freed += _unfinished_bytes(repository)
    return Removal(freed, scanned, tuple(commits))


def _scan() -> HFCacheInfo | None:
    """Look through the cache; None if there is none yet."""
    try:
        return scan_cache_dir()
    except CacheNotFound:
        return None


def _describe(repository: CachedRepoInfo) -> CachedModel | None:
    newest = max(repository.revisions, key=lambda one: one.last_modified, default=None)
    if newest is None:
        return None
    kind = _kind(repository.repo_id, newest.snapshot_path)
    if kind is None:
        return None
    try:
        lacking = tuple(missing(newest.snapshot_path, kind))
    except CheckpointFormatError:
        lacking = ("weights that can be read",)
    return CachedModel(
        hub_id=repository.repo_id,
        kind=kind,
        bytes=repository.size_on_disk + _unfinished_bytes(repository),
        folder=newest.snapshot_path,
        revisions=_revisions(repository),
        missing=lacking,
    )


def _kind(hub_id: str, snapshot: Path) -> Kind | None:
    """What a repository is to this engine; None if it is another program's."""
    config, adapter = _read(snapshot / "config.json"), _read(snapshot / "adapter_config.json")
    if hub_id in _HELPERS:
        return _HELPERS[hub_id]
    if hub_id in _KNOWN or config.get("model_type") == "csm" or config.keys() >= _ORIGINAL:
        return "model"
    if adapter.get("base_model_name_or_path") in _KNOWN:
        return "adapter"
    return None


def _read(path: Path) -> Mapping[str, object]:
    try:
        return read_mapping(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError, CheckpointFormatError):
        return {}


def _revisions(repository: CachedRepoInfo) -> tuple[str, ...]:
    return tuple(sorted(name for one in repository.revisions for name in (one.refs or {one.commit_hash})))


def _unfinished_bytes(repository: CachedRepoInfo) -> int:
    return sum(path.stat().st_size for path in (repository.repo_path / "blobs").glob("*.incomplete"))
