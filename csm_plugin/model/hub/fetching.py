"""Fetches what is needed of a repository, and falls back on what was fetched before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, get_token, hf_hub_url
from huggingface_hub.errors import NotASafetensorsRepoError, SafetensorsParsingError
from huggingface_hub.utils import build_hf_headers
from loguru import logger

from csm_plugin.errors import CheckpointError, CheckpointFormatError
from csm_plugin.model.hub import refusals
from csm_plugin.model.hub.cache import RepositoryCache, free_bytes
from csm_plugin.model.hub.listing import Listing, list_repository
from csm_plugin.model.hub.progress import shown
from csm_plugin.model.hub.sizes import readable
from csm_plugin.model.hub.transfer import Content, transfer
from csm_plugin.model.hub.wanted import Kind, missing, wanted_files

MARGIN_BYTES = 256 * 2**20
"""What must stay free on the disk beside what is fetched."""
WEIGHTS = ".safetensors"
_READ_AT_MOST_BYTES = 64 * 2**20
"""The largest configuration or index that is read: that of CSM-1B's weights has 60 kB."""


def fetch(hub_id: str, revision: str = "main", kind: Kind = "model") -> Path:
    """Return the folder of a repository's snapshot in the hub's cache, with all that is needed of it. Blocks.

    What is there already is not fetched again; what an earlier try began is gone on with. Without a connection a
    snapshot that was completed earlier is used. The token is that of `HF_TOKEN`, else the stored login.

    Args:
        hub_id: "owner/name".
        revision: a branch, a tag, a commit, or "refs/pr/N".
        kind: what it is fetched as: other files are needed of each.

    Raises:
        CheckpointNotFound: there is no such repository, or no such revision of it.
        CheckpointAccessError: it is gated, the hub cannot be reached, the download broke off, or the disk is full.
        CheckpointFormatError: it is not what it is fetched as, or holds no weights that can be read.
    """
    cache = RepositoryCache.of(hub_id)
    try:
        listing = list_repository(hub_id, revision)
        download = _Download(hub_id, cache, listing)
        snapshot = download.run(download.wanted(kind))
        cache.point(revision, listing.commit)
        return snapshot
    except CheckpointError:
        raise
    except Exception as error:
        refused = refusals.refusal(hub_id, revision, error)
        if refused is None:
            raise
        if not refusals.is_out_of_reach(error):
            raise refused from error
        return _fetched_before(hub_id, cache, revision, kind, error)


@dataclass(frozen=True, slots=True)
class Peek:
    """A repository of which nothing large was fetched.

    Args:
        folder: its snapshot in the hub's cache, without the weights.
        weights: the names of the files that hold them, and their sizes in bytes.
        headers: of each tensor in them: its file, the kind of its numbers, its shape.
        bytes: of everything that is needed.
        cached: whether all of it is in the cache.
    """

    folder: Path
    weights: Mapping[str, int]
    headers: Mapping[str, tuple[str, str, tuple[int, ...]]]
    bytes: int
    cached: bool


def peek(hub_id: str, revision: str = "main") -> Peek:
    """Look at a model on the hub: its small files are fetched, and of the weights the headers. Blocks.

    Raises:
        CheckpointError: as for `fetch`.
    """
    try:
        listing = list_repository(hub_id, revision)
        download = _Download(hub_id, RepositoryCache.of(hub_id), listing)
        wanted = download.wanted("model")
        small = [content for content in wanted if not content.name.endswith(WEIGHTS)]
        snapshot = download.run(small)
        weights = {content.name: content.size for content in wanted if content.name.endswith(WEIGHTS)}
        hub = HfApi(token=get_token())
        headers: dict[str, tuple[str, str, tuple[int, ...]]] = {}
        for name in weights:
            told = hub.parse_safetensors_file_metadata(hub_id, name, revision=listing.commit)
            headers |= {tensor: (name, one.dtype, tuple(one.shape)) for tensor, one in told.tensors.items()}
    except CheckpointError:
        raise
    except (SafetensorsParsingError, NotASafetensorsRepoError) as error:
        raise CheckpointFormatError(f"{hub_id}: the header of its weights cannot be read ({error})") from error
    except Exception as error:
        refused = refusals.refusal(hub_id, revision, error)
        if refused is None:
            raise
        raise refused from error
    cached = all((snapshot / name).exists() for name in weights)
    return Peek(snapshot, weights, headers, sum(content.size for content in wanted), cached)


def _fetched_before(hub_id: str, cache: RepositoryCache, revision: str, kind: Kind, error: Exception) -> Path:
    """Return a snapshot that is complete.

    Raises:
        CheckpointAccessError: there is none.
    """
    commit = cache.commit_of(revision)
    snapshot = cache.snapshot(commit) if commit else cache.newest()
    if snapshot is None or not snapshot.is_dir():
        raise refusals.not_here(hub_id, error) from error
    lacking = missing(snapshot, kind)
    if lacking or commit is None:
        raise refusals.not_here(hub_id, error, lacking) from error
    logger.info("the hub is out of reach: using what is cached", model=hub_id, reason=refusals.reason(error))
    return snapshot


@dataclass(frozen=True, slots=True)
class _Download:
    """One repository at one commit, on its way into the cache."""

    hub_id: str
    cache: RepositoryCache
    listing: Listing

    def wanted(self, kind: Kind) -> list[Content]:
        files = self.listing.files
        return [files[name] for name in wanted_files(kind, files, self._read, self.hub_id)]

    def run(self, wanted: list[Content]) -> Path:
        snapshot = self.cache.snapshot(self.listing.commit)
        lacking = [content for content in wanted if not (snapshot / content.name).exists()]
        if not lacking:
            return snapshot
        # One content may have several names; it comes and counts once.
        contents = {content.digest: content for content in lacking}.values()
        come = sum(self._came(content) for content in contents)
        total = sum(content.size for content in contents)
        if total - come > 0 and total - come + MARGIN_BYTES > (free := free_bytes()):
            raise refusals.no_space(self.hub_id, total - come + MARGIN_BYTES, free)
        with shown(self.hub_id, total, come) as advance:
            for content in lacking:
                self._bring(content, advance)
        return snapshot

    def _came(self, content: Content) -> int:
        """How many bytes of a content are in the cache already."""
        if self.cache.blob(content.digest).exists():
            return content.size
        partial = self.cache.partial(content.digest)
        return min(partial.stat().st_size, content.size) if partial.exists() else 0

    def _bring(self, content: Content, advance: Callable[[int], None]) -> None:
        """Get a content into the snapshot, whoever fetches it."""
        blob, partial = self.cache.blob(content.digest), self.cache.partial(content.digest)
        with self.cache.locked(content.digest):
            if not blob.exists():
                url = hf_hub_url(self.hub_id, content.name, revision=self.listing.commit)
                transfer(content, url, self._headers(), partial, advance)
                partial.replace(blob)
            self.cache.link(content.name, self.listing.commit, content.digest)

    def _read(self, name: str) -> str:
        """Fetch a small file, and return its text."""
        content = self.listing.files[name]
        if content.size > _READ_AT_MOST_BYTES:
            raise CheckpointFormatError(
                f"{self.hub_id}: {name} has {readable(content.size)}; at most {readable(_READ_AT_MOST_BYTES)} are read"
            )
        place = self.cache.snapshot(self.listing.commit) / name
        if not place.exists():
            self._bring(content, lambda more: None)
        try:
            return place.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointFormatError(f"{self.hub_id}: {name} is no UTF-8 text ({error.reason})") from error

    def _headers(self) -> Mapping[str, str]:
        return build_hf_headers(token=get_token(), library_name="csm-plugin")
