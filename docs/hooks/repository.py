"""Brings into the site what its pages take from the rest of the repository, and leads their links there.

- `<!-- README.md: beginning -->` and `<!-- README.md: Install -->` stand for what precedes a document's first section,
  and for the section of that title without its heading.
- A file outside `docs/` that a page links to becomes a page that shows it; pictures, sound and data are copied. So the
  site needs no place on the network where the sources lie.
- A link to nothing is a warning, which `--strict` makes an error.
"""

from __future__ import annotations

import logging
import posixpath
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = "docs/"
SOURCE = "source/"
PAGES = {"CHANGELOG.md": "changelog.md", "README.md": "index.md"}
"""Documents outside `docs/` that have a page of their own."""

COPIED = {".flac", ".jpg", ".json", ".mp3", ".png", ".svg", ".wav", ".webp"}
LANGUAGES = {".py": "python", ".toml": "toml", ".yaml": "yaml", ".yml": "yaml"}

_SECTION = re.compile(r"^<!-- ([\w./-]+\.md): (.+) -->$", re.MULTILINE)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCED = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)[ \t]*$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<before>\]\()(?P<to>[^)\s]+)(?P<after>(?:\s+\"[^\"]*\")?\))")
_ATTRIBUTE = re.compile(r"(?P<before>\b(?:href|poster|src|srcset)=\")(?P<to>[^\"]+)(?P<after>\")")
_ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:|//|#")
_IN_ITEM = re.compile(r"^ {3}(?=\S)", re.MULTILINE)
_NEXT_ITEM = re.compile(r"(^ {4}\S.*\n)(?=\d+\. )", re.MULTILINE)

_log = logging.getLogger("mkdocs.hooks.repository")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the changelog, and every file of the repository that is linked to from a page, or from one added so."""
    waiting = [DOCS + file.src_uri for file in files.documentation_pages() if file.generated_by is None]
    waiting.append("CHANGELOG.md")
    known = set(waiting)
    for path in waiting:  # which grows meanwhile
        if not path.startswith(DOCS):
            files.append(_file(path, config))
        if not path.endswith(".md"):
            linked = _inside(path)
        else:
            _, links = _led(_read(path), path, place_of(path))
            linked = sorted(path for path in links.found if not path.startswith(DOCS) and path != "README.md")
            for target in sorted(links.lost):
                _log.warning(f"{path} has a link to {target}, which is not there")
        waiting += [path for path in linked if path not in known]
        known |= set(linked)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put sections of other documents where they are called for, and lead links to where the site has their targets."""
    uri = page.file.src_uri
    document = origin_of(uri)
    return _numbered(_led(markdown, document, uri)[0]) if document.endswith(".md") else markdown


def place_of(path: str) -> str:
    """Return the site's source of a page or file for a path of the repository."""
    if path in PAGES:
        return PAGES[path]
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return SOURCE + path + ("" if PurePosixPath(path).suffix in COPIED else ".md")


def origin_of(uri: str) -> str:
    """Return the path in the repository of what a page shows."""
    if uri.startswith(SOURCE):
        return uri.removeprefix(SOURCE).removesuffix(".md")
    return "CHANGELOG.md" if uri == PAGES["CHANGELOG.md"] else DOCS + uri


@dataclass(slots=True)
class _Links:
    """Leads the links of one document to where the page at `uri` finds their targets.

    Args:
        document: its path in the repository.
        uri: of the page that shows it.
        found: paths in the repository that it links to.
        lost: targets of HTML that are not there; MkDocs itself checks those of Markdown.
    """

    document: str
    uri: str
    found: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)

    def lead(self, markdown: str) -> str:
        """Return Markdown with its links led; what is fenced stays."""
        parts = _FENCED.split(markdown)
        for index in range(0, len(parts), 2):
            parts[index] = _ATTRIBUTE.sub(self._in_html, _LINK.sub(self._in_markdown, parts[index]))
        return "".join(parts)

    def _in_markdown(self, link: re.Match[str]) -> str:
        return link["before"] + (self._led(link["to"]) or link["to"]) + link["after"]

    def _in_html(self, link: re.Match[str]) -> str:
        led = self._led(link["to"])
        if led is None:
            self.lost.add(link["to"])
            return link[0]
        return link["before"] + re.sub(r"\.md(?=#|$)", ".html", led) + link["after"]

    def _led(self, target: str) -> str | None:
        """Return the target as the page has it, None if there is nothing."""
        if _ELSEWHERE.match(target):
            return target
        name, hash_, anchor = target.partition("#")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self.document), name))
        if path.startswith("..") or not (ROOT / path).exists():
            return None
        self.found.add(path)
        return posixpath.relpath(place_of(path), posixpath.dirname(self.uri) or ".") + hash_ + anchor


def _led(markdown: str, document: str, uri: str) -> tuple[str, _Links]:
    """Return a document's text as the page at `uri` shows it, and its links."""
    links = _Links(document, uri)
    own = _SECTION.split(markdown)
    text = links.lead(own[0])
    for path, title, rest in zip(own[1::3], own[2::3], own[3::3], strict=True):
        taken = _Links(path, uri, links.found, links.lost)
        text += taken.lead(_section(path, title)) + links.lead(rest)
    return text, links


def _numbered(markdown: str) -> str:
    """Return Markdown whose numbered items hold more than one paragraph as Python-Markdown wants it.

    What belongs to an item is indented by four there, by three elsewhere, and the next item needs an empty line.
    """
    return _NEXT_ITEM.sub(r"\1\n", _IN_ITEM.sub("    ", markdown))


def _section(path: str, title: str) -> str:
    first, *rest = _HEADING.split(_read(path))
    sections = {"beginning": first} | dict(zip(rest[::2], rest[1::2], strict=True))
    if title not in sections:
        _log.warning(f"{path} has no section {title!r}; it has {', '.join(sections)}")
    return sections.get(title, "").strip()


def _file(path: str, config: MkDocsConfig) -> File:
    """Return a file of the repository as one of the site's."""
    uri = place_of(path)
    if path in PAGES:
        return File.generated(config, uri, content=_read(path))
    if not uri.endswith(".md"):
        return File.generated(config, uri, abs_src_path=str(ROOT / path), inclusion=InclusionLevel.NOT_IN_NAV)
    text = f"---\nsearch:\n  exclude: true\n---\n\n{_shown(path)}\n"
    return File.generated(config, uri, content=text, inclusion=InclusionLevel.NOT_IN_NAV)


def _shown(path: str) -> str:
    """Return Markdown that shows a document, a folder's files, or a file of source."""
    if path.endswith(".md"):
        return re.sub(r"\A---\n.*?\n---\n", "", _read(path), flags=re.DOTALL)
    if (ROOT / path).is_dir():
        here = posixpath.dirname(place_of(path))
        files = [f"- [{PurePosixPath(one).name}]({posixpath.relpath(place_of(one), here)})" for one in _inside(path)]
        return "\n".join([f"# {path}", "", *files])
    language = LANGUAGES.get(PurePosixPath(path).suffix, "text")
    return f"# {path}\n\n~~~~~~{language}\n{_read(path).rstrip()}\n~~~~~~"


def _inside(path: str) -> list[str]:
    """Return the paths of the files in a folder; none for a file."""
    here = ROOT / path
    files = [one for one in here.iterdir() if one.is_file() and not one.name.startswith(".")] if here.is_dir() else []
    return sorted(one.relative_to(ROOT).as_posix() for one in files)


def _read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")
