"""What is spoken of a text, kind by kind: one file of cases each, a line `what is written ⇒ what is spoken` a case."""

from __future__ import annotations

from pathlib import Path

import pytest

from csm_plugin.errors import SettingsError
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


@pytest.mark.parametrize(
    ("written", "american", "british"),
    [
        ("on 03/04/2025", "on March fourth, twenty twenty-five", "on the third of April, twenty twenty-five"),
        (
            "on 25/12/2024",
            "on December twenty-fifth, twenty twenty-four",
            "on the twenty-fifth of December, twenty twenty-four",
        ),
        ("on 5/6", "on May sixth", "on the fifth of June"),
        ("on May 5", "on May fifth", "on the fifth of May"),
        ("on May 5-7", "on May fifth to seventh", "on the fifth to the seventh of May"),
        ("on 3 March", "on the third of March", "on the third of March"),
        ("on 2025-03-14", "on March fourteenth, twenty twenty-five", "on the fourteenth of March, twenty twenty-five"),
        ("Press # now.", "Press pound now.", "Press hash now."),
    ],
)
def test_dates_and_words_are_those_of_the_place(written: str, american: str, british: str) -> None:
    assert normalize(written) == normalize(written, locale="en-US") == american
    assert normalize(written, locale="en-GB") == british


def test_another_place_is_refused() -> None:
    with pytest.raises(SettingsError, match="en-US, en-GB"):
        normalize("Hello.", locale="de-DE")  # type: ignore[arg-type]


def test_what_is_spoken_is_spoken_the_same_when_it_is_written_out_again() -> None:
    changed = [spoken for _, spoken in cases() if normalize(spoken) != spoken]
    assert changed == []


def test_there_are_cases_enough_of_every_kind() -> None:
    assert len(cases()) >= 600
