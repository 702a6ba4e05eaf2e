"""What a repository holds at a revision, as the hub tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from huggingface_hub import HfApi, constants, get_token

from csm_plugin.model.hub.transfer import Content

_DIGEST_LENGTHS = (40, 64)


class NotAHub(Exception):
    """What answered does not speak as the hub does."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository at one commit, by their names there."""

    commit: str
    files: Mapping[str, Content]


def list_repository(hub_id: str, revision: str) -> Listing:
    """Ask the hub for a repository's files. One request; blocks.

    Raises:
        HfHubHTTPError: the hub refuses.
        NotAHub: something else answered.
    """
    try:
        hub = HfApi(token=get_token())
        timeout_s = constants.HF_HUB_ETAG_TIMEOUT
        told = hub.model_info(hub_id, revision=revision, files_metadata=True, timeout=timeout_s)
        found = [
            Content(one.rfilename, one.size, one.lfs.sha256 if one.lfs else one.blob_id or "")
            for one in told.siblings or ()
            if one.size is not None
        ]
        commit = told.sha
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAHub(type(error).__name__) from error
    digests = [one.digest for one in found]
    if not commit or not all(_is_digest(text) for text in (commit, *digests)):
        raise NotAHub("no digests")
    return Listing(commit, {one.name: one for one in found})


def _is_digest(text: object) -> bool:
    return isinstance(text, str) and len(text) in _DIGEST_LENGTHS and set(text) <= set("0123456789abcdef")
