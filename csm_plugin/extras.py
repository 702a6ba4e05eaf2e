"""The optional parts of this package: the modules that each stands on, and the command that installs one here."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from csm_plugin.errors import MissingExtraError

PACKAGE = "csm-plugin"
UNKNOWN_SOURCE = '".[{extra}]" in a clone of csm-plugin'
"""What pip is given where nothing tells from where this was installed. With a release: `"csm-plugin[{extra}]"`."""

EXTRAS = {
    "pipecat": ("pipecat", "aiortc", "fastapi"),
    "livekit": ("livekit.agents",),
    "client": ("pydantic", "websockets"),
    "server": ("fastapi", "uvicorn", "av", "h11", "pydantic", "pydantic_settings", "prometheus_client", "websockets"),
    "agents": ("pipecat", "aiortc", "fastapi", "livekit.agents", "cryptography", "moonshine_voice"),
    "edge": ("edge_tts",),
    "eval": ("matplotlib", "moonshine_voice"),
    "train": ("matplotlib", "moonshine_voice"),
}
"""The modules that tell whether an extra is installed."""


def missing_modules(extra: str) -> list[str]:
    """Return the modules that an extra still lacks; none if it is installed."""
    return [module for module in EXTRAS[extra] if not _is_there(module)]


def require(extra: str, what: str) -> None:
    """Check that an extra is installed, without importing it.

    Args:
        extra: its name in `EXTRAS`.
        what: needs it; begins the message.

    Raises:
        MissingExtraError: it is not.
    """
    if missing := missing_modules(extra):
        raise MissingExtraError(f"{what} needs {', '.join(missing)}: {install_command(extra)}")


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Let an import that fails say which extra brings what is missing, or is too old.

    Args:
        extra: its name.
        what: needs it; begins the message.

    Raises:
        MissingExtraError: a module of another package cannot be imported.
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "").partition(".")[0]
        if isinstance(error, MissingExtraError) or package == __name__.partition(".")[0]:
            raise
        lack = error.name if isinstance(error, ModuleNotFoundError) else f"another {package or 'package'} ({error})"
        raise MissingExtraError(f"{what} needs {lack}: {install_command(extra)}") from None


def install_command(extra: str) -> str:
    """Return the command that adds an extra to this installation, from where it was installed from."""
    return f"{_pip()} install {_source(extra)}"


def _pip() -> str:
    """Return how the pip of this interpreter is called; that on the path may be another's."""
    on_path = shutil.which("pip")
    if on_path is None or Path(on_path).parent != Path(sys.executable).parent:
        return f"{_quoted(sys.executable)} -m pip"
    return "pip"


def _source(extra: str) -> str:
    """Return what pip is given: a folder, an address, or a name."""
    try:
        told: Any = json.loads(importlib.metadata.distribution(PACKAGE).read_text("direct_url.json") or "{}")
    except importlib.metadata.PackageNotFoundError:
        told = {}
    url = str(told.get("url", ""))
    root = Path(__file__).parent.parent
    if "vcs_info" in told:
        revision = told["vcs_info"].get("requested_revision")
        address = f"{told['vcs_info']['vcs']}+{url}" + (f"@{revision}" if revision else "")
        return f'"{PACKAGE}[{extra}] @ {address}"'
    if "dir_info" in told and (folder := Path(url2pathname(urlsplit(url).path))).is_dir():
        option = "-e " if told["dir_info"].get("editable") else ""
        return f'{option}"{"." if folder == Path.cwd() else folder}[{extra}]"'
    if url.startswith("http") or (url and Path(url2pathname(urlsplit(url).path)).is_file()):
        return f'"{PACKAGE}[{extra}] @ {url}"'
    if (root / "pyproject.toml").is_file():
        return f'"{"." if root == Path.cwd() else root}[{extra}]"'
    return UNKNOWN_SOURCE.format(extra=extra)


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
