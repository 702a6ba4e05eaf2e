"""What is said when the hub, the network or the disk refuses: one line that tells what to do."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from csm_plugin.errors import CheckpointAccessError, CheckpointError, CheckpointNotFound
from csm_plugin.model.hub.cache import cache_folder
from csm_plugin.model.hub.listing import NotAHub
from csm_plugin.model.hub.sizes import readable
from csm_plugin.model.hub.transfer import BrokenOff, Damaged, is_of_the_network
from csm_plugin.model.known import KNOWN

_REFUSED = (401, 403)
_TOO_MANY = 429
_SERVER_FAILED = 500
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def is_out_of_reach(error: BaseException) -> bool:
    """Whether what is cached has to do: offline by choice, no connection, or a hub that is down."""
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        status = int(error.response.status_code)
        return status == _TOO_MANY or status >= _SERVER_FAILED
    return isinstance(error, OfflineModeIsEnabled | NotAHub) or is_of_the_network(error)


def refusal(hub_id: str, revision: str, error: BaseException) -> CheckpointError | None:
    """Return the error that tells what went wrong and what to do; None if it is none of those that can be foreseen."""
    named = f"{hub_id}@{revision}"
    match error:
        case GatedRepoError():
            copies = " or ".join(one.hub_id for one in KNOWN if one.copy_of == hub_id)
            return CheckpointAccessError(
                f"{hub_id} is gated: accept its terms on its hub page and set HF_TOKEN to a token of that account, "
                f"or use an ungated copy{': ' if copies else ''}{copies}"
            )
        case RevisionNotFoundError():
            return CheckpointNotFound(
                f"{hub_id} has no revision {revision!r} on the hub; name a branch, a tag, a commit or refs/pr/N after @"
            )
        case RepositoryNotFoundError() | HFValidationError():
            return CheckpointNotFound(
                f"the hub has no model {hub_id!r} that this token may see; check the spelling, or set HF_TOKEN"
            )
        case HfHubHTTPError() if error.response is not None and error.response.status_code in _REFUSED:
            return CheckpointAccessError(
                f"the hub refuses {hub_id} to this token (status {error.response.status_code}): set HF_TOKEN to one "
                "that is valid and may read it"
            )
        case BrokenOff():
            return CheckpointAccessError(
                f"the download of {named} broke off ({error}): run it again, it goes on where it stopped"
            )
        case Damaged():
            return CheckpointAccessError(
                f"{error} of {named} arrived damaged and was thrown away: run it again, it fetches that file anew"
            )
        case OSError() if error.errno in _NO_SPACE:
            return no_space(hub_id)
        case _ if is_out_of_reach(error):
            return CheckpointAccessError(
                f"the hub cannot be reached for {hub_id} ({reason(error)}): connect and run it again, it goes on where "
                "it stopped; or pass a local folder"
            )
        case HfHubHTTPError():
            return CheckpointAccessError(f"the hub refuses {hub_id} ({reason(error)}): try again later")
        case OSError():
            told = error.strerror or type(error).__name__
            return CheckpointAccessError(
                f"{hub_id} cannot be written into the cache {cache_folder()} ({told}); set HF_HOME to a folder that "
                "can be written"
            )
    return None


def no_space(hub_id: str, needed_bytes: int | None = None, free_bytes: int | None = None) -> CheckpointAccessError:
    """Return the error for a disk that is too small."""
    told = (
        ""
        if needed_bytes is None
        else f": {readable(needed_bytes)} are needed and {readable(free_bytes or 0)} are free"
    )
    return CheckpointAccessError(
        f"there is no space for {hub_id} in {cache_folder()}{told}; free some, or set HF_HOME to a folder on a larger "
        "disk"
    )


def not_here(hub_id: str, error: BaseException, lacking: Sequence[str] = ()) -> CheckpointAccessError:
    """Return the error for a checkpoint that cannot be fetched and is not, or only partly, on this machine."""
    if not lacking:
        return CheckpointAccessError(
            f"{hub_id} is not on this machine and the hub cannot be reached ({reason(error)}): connect once to "
            "download it, or pass a local folder"
        )
    return CheckpointAccessError(
        f"{hub_id} is only partly on this machine and the hub cannot be reached ({reason(error)}): missing "
        f"{'is' if len(lacking) == 1 else 'are'} {', '.join(lacking)}; connect and run it again, it goes on where it "
        "stopped"
    )


def reason(error: BaseException) -> str:
    """Say in a word or two why the hub cannot be reached."""
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    if isinstance(error, NotAHub):
        return "what answers is no hub; see HF_ENDPOINT and the proxy"
    if isinstance(error, HfHubHTTPError) and error.response is not None:
        return f"status {error.response.status_code}"
    return type(error).__name__
