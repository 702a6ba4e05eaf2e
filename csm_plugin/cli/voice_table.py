"""How `csm voices list` shows the voices."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_SHOWN_CHARACTERS = 60


def print_voices(voices: list[dict[str, Any]], wordless: list[dict[str, Any]], model: str, folder: str | None) -> None:
    """Print a table of the voices, and what the others lack.

    Args:
        voices: with `name`, `seconds`, `from` and `text`.
        wordless: recordings without their text, with `name`, `seconds`, `from` and `needs`.
        model: whose voices.
        folder: where the user's own are kept, None for nowhere.
    """
    console = Console()
    table = Table(box=None, pad_edge=False)
    for heading, style in (("voice", "bold"), ("seconds", ""), ("from", ""), ("text", "")):
        table.add_column(heading, style=style, justify="right" if heading == "seconds" else "left")
    for voice in voices:
        text = voice["text"] or "—"
        shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"
        table.add_row(voice["name"], _said_seconds(voice), voice["from"], escape(" ".join(shown.split())))
    console.print(table)
    for one in wordless:
        needs = one["needs"]
        lacks = f"comes with {model} without its text: {needs}" if one["from"] == "model" else f"has no text: {needs}"
        console.print(f"{one['name']} ({_said_seconds(one)} s) {lacks}", highlight=False, markup=False, soft_wrap=True)
    where = folder or "nowhere: there is no home directory, set CSM_VOICES"
    console.print(f"your own voices are kept in {where}", highlight=False, markup=False, soft_wrap=True)


def _said_seconds(voice: dict[str, Any]) -> str:
    return "—" if voice["seconds"] is None else f"{voice['seconds']:.1f}"
