"""Bringing one content over: from where an earlier try stopped, and checked by its digest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, get_session, hf_raise_for_status

_CHUNK_BYTES = 1 << 20
_TRIES = 3
"""How often in a row nothing may come before the transfer is given up."""
_PAUSE_S = 1.0
_WHOLE, _RANGE_NOT_SATISFIABLE = 200, 416


class BrokenOff(Exception):
    """The connection ended, again and again, before everything had come; what came is kept."""


class Damaged(Exception):
    """What came is not what the hub announced; it was thrown away."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a file of a repository holds, as the hub announces it: its size in bytes, and its digest.

    The digest is SHA-256 for a large file and git's SHA-1 for a small one; it names the content in the cache.
    """

    name: str
    size: int
    digest: str


def transfer(
    content: Content, url: str, headers: Mapping[str, str], partial: Path, advance: Callable[[int], None]
) -> None:
    """Complete a partial file. Blocks.

    huggingface_hub throws the beginning of a file away when a download breaks off, so this goes on by itself.

    Args:
        content: what the file must become.
        url: where the hub has it.
        headers: for the request; httpx keeps the token from other hosts when it is sent on to one.
        partial: holds the beginning that came before, if any did; is kept when the transfer breaks off.
        advance: is told by how many bytes the file grew; below 0 where it had to begin anew.

    Raises:
        BrokenOff: the connection failed several times in a row.
        Damaged: the file is complete and wrong.
        HfHubHTTPError: the hub refuses.
        OSError: the disk is full or cannot be written.
    """
    tries = _TRIES
    partial.touch()
    if partial.stat().st_size > content.size:
        partial.write_bytes(b"")
    while (had := partial.stat().st_size) < content.size:
        failure: Exception | None = None
        try:
            _go_on(content, url, headers, partial, advance)
        except Exception as error:
            if not is_of_the_network(error):
                raise
            failure = error
        if partial.stat().st_size > had:
            tries = _TRIES
            continue
        tries -= 1
        if tries == 0:
            raise BrokenOff(type(failure).__name__ if failure else "nothing came") from failure
        time.sleep(_PAUSE_S)
    if digest_of(partial, content) != content.digest:
        advance(-partial.stat().st_size)
        partial.unlink()
        raise Damaged(content.name)


def is_of_the_network(error: BaseException) -> bool:
    """Whether an error is a request's failure: huggingface_hub has changed its HTTP library, so they go by name."""
    return any(kind.__name__ == "RequestError" and "httpx" in kind.__module__ for kind in type(error).__mro__)


def digest_of(path: Path, content: Content) -> str:
    """Return the digest of a file, in the way in which `content` has its own."""
    size = path.stat().st_size
    if len(content.digest) == hashlib.sha256().digest_size * 2:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _go_on(
    content: Content, url: str, headers: Mapping[str, str], partial: Path, advance: Callable[[int], None]
) -> None:
    had = partial.stat().st_size
    asked = {**headers, "Accept-Encoding": "identity"}
    if had:
        asked["Range"] = f"bytes={had}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=asked, timeout=timeout, follow_redirects=True) as answer:
        if answer.status_code != _RANGE_NOT_SATISFIABLE:
            hf_raise_for_status(answer)
        if had and not answer.headers.get("Content-Range", "").startswith(f"bytes {had}-"):
            partial.write_bytes(b"")
            advance(-had)
            if answer.status_code != _WHOLE:
                return  # a part that was not asked for, or none: the next try asks for everything
            had = 0
        with partial.open("ab") as file:
            for chunk in answer.iter_bytes():
                file.write(chunk)
                had += len(chunk)
                advance(len(chunk))
                if had > content.size:
                    return
