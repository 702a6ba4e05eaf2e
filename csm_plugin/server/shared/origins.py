"""Which pages, extensions and desktop apps the settings let in, by the origin that their browser tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_SITE: Final = r"https?://[^/\s,*?#@]+"
_APP: Final = r"(?!https?:|file:)[a-z][a-z0-9+.-]*://(?:[^/\s,*?#@]+|\*)"
ORIGIN: Final = re.compile(rf"{_SITE}|{_APP}|file://|null")
"""A site, an extension or desktop app, all of a kind (`moz-extension://*`, whose names are drawn anew on each machine),
or files, of which browsers tell the origin `null`."""

FROM_FILES: Final = ("null", "file://")
"""Pages from files; also what browsers tell of every page that is in a sandbox, whoever made it."""


def pattern_of(allowed: Sequence[str]) -> str | None:
    """Return a regular expression that fits each origin that is let in as a whole; None if none is."""
    names = {name for origin in allowed for name in (FROM_FILES if origin in FROM_FILES else (origin,))}
    parts = [re.escape(name[:-1]) + r"[^/\s]+" if name.endswith("*") else re.escape(name) for name in sorted(names)]
    return "|".join(parts) or None
