"""What is spoken of a text, kind by kind: one file of cases each, a line `what is written ⇒ what is spoken` a case."""

from __future__ import annotations

from pathlib import Path

import pytest

from csm_plugin.text import normalize

_FOLDER = Path(__file__).parent / "cases"
_ESCAPES = {"\\n": "\n", "\\u202e": "\u202e"}


def cases() -> list[tuple[str, str]]:
    """The cases of all files, in their order."""
    found = []
    for path in sorted(_FOLDER.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("# "):
                written, _, spoken = line.partition(" ⇒ ")
                for escape, sign in _ESCAPES.items():
                    written = written.replace(escape, sign)
                found.append((written, spoken))
    return found


@pytest.mark.parametrize(("written", "spoken"), cases())
def test_a_text_of_each_kind_is_spoken_as_people_speak(written: str, spoken: str) -> None:
    assert normalize(written) == spoken
