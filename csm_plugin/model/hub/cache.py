"""One repository's place in the hub's cache.

Its layout is what huggingface_hub documents, so that every program shares what one of them fetched: `blobs/DIGEST`
holds contents, `snapshots/COMMIT/NAME` links to them, and `refs/REVISION` names the commit that a revision was last
seen at.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.utils import WeakFileLock

_COMMIT = re.compile(r"[0-9a-f]{40}")


def cache_folder() -> Path:
    """Return the hub's cache, where `HF_HUB_CACHE` or `HF_HOME` puts it; it need not exist yet."""
    return Path(constants.HF_HUB_CACHE).expanduser()


def free_bytes() -> int:
    """Return how many bytes the disk that holds the cache has left."""
    folder = cache_folder().absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True, slots=True)
class RepositoryCache:
    """What of one repository lies in the cache, and where the rest goes."""

    name: str

    @classmethod
    def of(cls, hub_id: str) -> RepositoryCache:
        return cls("--".join(["models", *hub_id.split("/")]))

    @property
    def folder(self) -> Path:
        return cache_folder() / self.name

    def blob(self, digest: str) -> Path:
        return self.folder / "blobs" / digest

    def partial(self, digest: str) -> Path:
        """Where the beginning of a content waits to be gone on with."""
        return self.folder / "blobs" / f"{digest}.incomplete"

    def snapshot(self, commit: str) -> Path:
        return self.folder / "snapshots" / commit

    def commit_of(self, revision: str) -> str | None:
        """Return the commit that a revision was last seen at; None if it never was."""
        try:
            return (self.folder / "refs" / revision).read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError):
            return revision if _COMMIT.fullmatch(revision) else None

    def newest(self) -> Path | None:
        """Return the snapshot that was begun last."""
        begun = [path for path in (self.folder / "snapshots").glob("*") if path.is_dir()]
        return max(begun, key=lambda path: path.stat().st_mtime, default=None)

    def point(self, revision: str, commit: str) -> None:
        """Note that a revision is at a commit."""
        if revision == commit or self.commit_of(revision) == commit:
            return
        ref = self.folder / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        fresh = ref.with_name(f".{uuid.uuid4().hex}")
        fresh.write_text(commit, encoding="utf-8")
        fresh.replace(ref)

    def link(self, name: str, commit: str, digest: str) -> None:
        """Put a content that is in the cache into a snapshot; where there are no links, move it there."""
        place = self.snapshot(commit) / name
        if place.exists():
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        blob = self.blob(digest)
        place.unlink(missing_ok=True)  # a link that leads nowhere
        try:
            place.symlink_to(os.path.relpath(blob, place.parent))
        except OSError:
            blob.replace(place)

    @contextmanager
    def locked(self, digest: str) -> Iterator[None]:
        """Hold the lock that every program takes before it fetches this content."""
        lock = cache_folder() / ".locks" / self.name / f"{digest}.lock"
        for folder in (lock.parent, self.blob(digest).parent):
            folder.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            yield
