"""The parts of docs/server.md and docs/socket.md that follow from the code.

`python -m csm_plugin.server.documentation` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from textwrap import fill as fill_lines
from typing import Any, get_args

from pydantic import BaseModel, SecretStr

from csm_plugin.protocol import messages, wire
from csm_plugin.protocol.faults import KINDS
from csm_plugin.protocol.shapes import Fault, SamplingFields, UploadedVoice, WordTime
from csm_plugin.server.shared.settings import ServerSettings

DOCS = Path(__file__).parents[2] / "docs"
_WIDTH = 120
PAGES = (DOCS / "server.md", DOCS / "socket.md")


def parts() -> dict[str, str]:
    """Return the generated parts by name."""
    return {
        "settings": settings_table(),
        "errors": errors_table(),
        "requests": models_text(_members(messages.ClientMessage)),
        "replies": models_text(_members(messages.ServerMessage)),
        "shapes": models_text([SamplingFields, UploadedVoice, WordTime, messages.Held, Fault]),
        "binary": _after_first_line(wire.__doc__ or ""),
    }


def fill(page: str) -> str:
    """Return a page with its generated parts as they should be."""
    for name, text in parts().items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        page = pattern.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", page)  # type: ignore[misc]
    return page


def settings_table() -> str:
    """Return the table of all settings."""
    rows = ["| setting | default | what it is |", "| --- | --- | --- |"]
    for name, field in ServerSettings.model_fields.items():
        default = field.default
        shown = "" if isinstance(default, SecretStr | BaseModel) or default in (None, ()) else f"`{default}`"
        rows.append(f"| `{name}` | {shown} | {field.description} |")
    return "\n".join(rows)


def errors_table() -> str:
    """Return the table of what goes wrong in speaking."""
    rows = ["| code | status | error of csm_plugin |", "| --- | --- | --- |"]
    rows += [f"| `{kind.code}` | {kind.status} | `{kind.error.__name__}` |" for kind in KINDS]
    return "\n".join(rows)


def models_text(models: Iterable[type[BaseModel]]) -> str:
    """Describe messages: what each is for, and its fields."""
    return "\n\n".join(_model_text(model) for model in models)


def _model_text(model: type[BaseModel]) -> str:
    kind = model.model_fields.get("type")
    lines = [
        f"### `{model.__name__ if kind is None else kind.default}`",
        "",
        fill_lines(_joined(model.__doc__ or ""), _WIDTH),
    ]
    fields = [(name, field) for name, field in model.model_fields.items() if name != "type"]
    if fields:
        schema = model.model_json_schema(ref_template="{model}")["properties"]
        lines += ["", "| field | kind | |", "| --- | --- | --- |"]
        for name, field in fields:
            told = _joined(field.description or "")
            told = told if field.is_required() else f"optional. {told}".rstrip()
            lines.append(f"| `{name}` | {_kind(schema[name])} | {told} |".replace(" |  |", " | |"))
    return "\n".join(lines)


def _kind(schema: dict[str, Any]) -> str:
    """Describe the kind of a field."""
    if "$ref" in schema:
        return f"`{schema['$ref']}`"
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    return {"integer": "whole number", "null": "null", "boolean": "true or false"}.get(schema["type"], schema["type"])


def _members(union: Any) -> tuple[type[BaseModel], ...]:
    return get_args(get_args(union)[0])


def _joined(docstring: str) -> str:
    """Return a docstring's paragraphs, each on one line."""
    paragraphs = re.split(r"\n\s*\n", docstring.strip())
    return " ".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _after_first_line(docstring: str) -> str:
    return docstring.partition("\n\n")[2].strip()


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(fill(page.read_text(encoding="utf-8")), encoding="utf-8")
