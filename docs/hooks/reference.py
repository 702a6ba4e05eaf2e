"""Makes the reference's pages from docstrings: one for each `reference/MODULE.md` in the navigation.

A name stands on the page of the first module, in the navigation's order, that has it in `__all__` (without one: all
names that it defines and that have no underscore in front), and the others lead there. So a page says what a module
promises, wherever the code lies. The sources are read, never imported. A public name without a docstring, or a field
that its class's docstring doesn't tell of, is a warning, which `--strict` makes an error.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PACKAGE = "csm_plugin"
FOLDER = "reference/"

Definition = griffe.Object | griffe.Alias

_ARGUMENTS = frozenset({griffe.DocstringSectionKind.parameters})
_FIELDS = _ARGUMENTS | {griffe.DocstringSectionKind.attributes}

_log = logging.getLogger("mkdocs.hooks.reference")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages that the navigation names."""
    names = [uri.removeprefix(FOLDER).removesuffix(".md") for uri in _uris(config.nav) if uri.startswith(FOLDER)]
    loader = griffe.GriffeLoader(search_paths=[ROOT], docstring_parser=griffe.Parser.google)
    loader.load(PACKAGE)
    loader.resolve_aliases(external=False)
    shown: dict[str, str] = {}
    for name in names:
        module = loader.modules_collection[name]
        for path in undocumented(module):
            _log.warning(f"{path} is public and has no docstring, or its class's docstring leaves it out")
        files.append(File.generated(config, f"{FOLDER}{name}.md", content=_page(module, shown)))
    return files


def public_names(module: Definition) -> list[str]:
    """Return the names that a module promises."""
    if module.exports is not None:
        return [str(name) for name in module.exports]
    return [name for name, one in module.members.items() if not one.is_alias and not name.startswith("_")]


def undocumented(module: Definition) -> Iterator[str]:
    """Give what a module promises and does not tell of."""
    if not module.has_docstring:
        yield module.path
    for name in public_names(module):
        one = _defined(module, name)
        if not one.has_docstring:
            yield f"{module.path}.{name}"
        if one.is_class:
            told = _fields_told(one)
            for member in one.members.values():
                if not (member.name.startswith("_") or member.is_alias or member.has_docstring or member.name in told):
                    yield member.path


def _page(module: Definition, shown: dict[str, str]) -> str:
    """Return a module's page; put what it shows into `shown`, by where it is defined."""
    blocks, elsewhere = [_block(module.path, 1)], []
    for name in public_names(module):
        one = _defined(module, name)
        if one.is_module or one.path in shown:
            elsewhere.append(f"[`{name}`][{shown.get(one.path, one.path)}]")
        else:
            # A function of its own module's name stands behind that in the sources, and is named in full.
            shown[one.path] = one.path if module.members[name].is_module else f"{module.path}.{name}"
            blocks.append(_block(shown[one.path], 2, is_made_by_callers=bool(_fields_told(one, _ARGUMENTS))))
    if elsewhere:
        blocks.insert(1, f"Described on other pages: {', '.join(elsewhere)}.")
    return "\n\n".join([f"---\ntitle: {module.path}\n---", *blocks]) + "\n"


def _block(path: str, level: int, *, is_made_by_callers: bool = False) -> str:
    """Return what mkdocstrings replaces: a module's own docstring, or a name with its members.

    A class whose docstring has no arguments isn't made by callers, and is shown without a signature.
    """
    options = {"heading_level": level, "show_root_full_path": level == 1} | ({"members": False} if level == 1 else {})
    options["merge_init_into_class"] = is_made_by_callers
    return "\n".join([f"::: {path}", "    options:", *(f"      {key}: {value}" for key, value in options.items())])


def _defined(module: Definition, name: str) -> Definition:
    """Return what a module's name stands for when it is imported: what it imports goes before its own submodule."""
    one = module.members[name]
    if one.is_module and module.imports.get(name, one.path) != one.path:
        one = one.members[name]
    return one.final_target if isinstance(one, griffe.Alias) else one


def _fields_told(one: Definition, kinds: frozenset[griffe.DocstringSectionKind] = _FIELDS) -> set[str]:
    """Return the names that a docstring lists in sections of these kinds."""
    sections = one.docstring.parsed if one.docstring else []
    return {element.name for section in sections if section.kind in kinds for element in section.value}


def _uris(nav: Any) -> Iterator[str]:
    """Give the pages that a navigation names, in their order."""
    if isinstance(nav, str):
        yield nav
    for one in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from _uris(one)
