"""The site builds strictly, every link in it leads somewhere, and nothing in it is loaded from elsewhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

import csm_plugin
from csm_plugin import audio, conversation, engine, errors, text

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LOADING = {"audio", "embed", "iframe", "img", "link", "object", "script", "source", "video"}


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    # not --quiet: warnings that are not told do not count
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "NO_COLOR": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


@dataclass(slots=True)
class Found:
    """What a page of the site has in it."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)


class Reader(HTMLParser):
    """Gathers a page's anchors, what it links to, and what a browser loads for it."""

    def __init__(self) -> None:
        super().__init__()
        self.found = Found()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.found.ids |= {given[name] for name in ("id", "name") if name in given}
        self.found.classes |= set(given.get("class", "").split())
        for name in ("href", "poster", "src", "srcset"):
            if name in given:
                (self.found.loaded if tag in LOADING else self.found.links).append(given[name])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    built = build(ROOT, site)
    assert built.returncode == 0, built.stderr
    return site


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Found]:
    pages = {}
    for path in sorted(site.rglob("*.html")):
        reader = Reader()
        reader.feed(path.read_text(encoding="utf-8"))
        pages[path] = reader.found
    return pages


def lost(site: Path, pages: dict[Path, Found]) -> Iterator[str]:
    """Give the links within the site that lead to no file, or to no anchor of one."""
    for path, found in pages.items():
        for link in found.links + found.loaded:
            to = urlsplit(link)
            if to.scheme or to.netloc:
                continue
            base = site if to.path.startswith("/") else path.parent
            target = (base / unquote(to.path).lstrip("/")).resolve() if to.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{path.relative_to(site)} -> {link}"
            elif to.fragment and target in pages and unquote(to.fragment) not in pages[target].ids | {"__toc"}:
                yield f"{path.relative_to(site)} -> {link} (no such anchor)"


def test_every_link_and_anchor_leads_somewhere(site: Path, pages: dict[Path, Found]) -> None:
    assert list(lost(site, pages)) == []


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Found]) -> None:
    loaded = {link for found in pages.values() for link in found.loaded}
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    loaded |= {link for style in styles for link in re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", style)}
    assert [link for link in loaded if urlsplit(link).netloc and not link.startswith("data:")] == []


def test_a_page_with_a_diagram_brings_the_library_that_draws_it(pages: dict[Path, Found]) -> None:
    for found in pages.values():
        brings = any(link.endswith("javascripts/mermaid.min.js") for link in found.loaded)
        assert brings == ("mermaid" in found.classes), "without its own the theme loads one from elsewhere"


def test_every_page_of_the_documentation_is_in_the_site(site: Path) -> None:
    written = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")}
    built = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert {path.with_name("index") if path.name == "README" else path for path in written} <= built


def test_the_reference_shows_every_public_name(pages: dict[Path, Found]) -> None:
    shown = {name for path, found in pages.items() if path.parent.name == "reference" for name in found.ids}
    promised = {f"csm_plugin.{name}" for name in csm_plugin.__all__}
    for module in (audio, conversation, engine, text):
        promised |= {f"{module.__name__}.{name}" for name in module.__all__}
    promised |= {f"csm_plugin.errors.{name}" for name, kind in vars(errors).items() if isinstance(kind, type)}
    defined = {name.rpartition(".")[2] for name in shown}
    assert sorted(name for name in promised if name.rpartition(".")[2] not in defined) == []
    assert {"csm_plugin.Engine.load", "csm_plugin.Conversation.interrupt"} <= shown


def test_measured_asks_every_question_and_shows_every_picture() -> None:
    page = (DOCS / "measured.md").read_text(encoding="utf-8")
    for path in (ROOT / "benchmarks" / "results").iterdir():
        if path.suffix == ".json":
            assert json.loads(path.read_text(encoding="utf-8"))["question"] in page
        assert path.is_dir() or f"(../benchmarks/results/{path.name})" in page


def small_project(root: Path, page: str, module: str = '"""A package."""\n') -> Path:
    """Make a copy of what the site is built by, with one page, and a package of one module."""
    shutil.copytree(DOCS / "hooks", root / "docs" / "hooks")
    shutil.copytree(DOCS / "stylesheets", root / "docs" / "stylesheets")
    (root / "README.md").write_text("# A project\n\n## Install\n", encoding="utf-8")
    (root / "CHANGELOG.md").write_text("# Changelog\n", encoding="utf-8")
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    config["nav"] = ["index.md", "reference/csm_plugin.md", "changelog.md"]
    (root / "mkdocs.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (root / "csm_plugin").mkdir()
    (root / "csm_plugin" / "__init__.py").write_text(module, encoding="utf-8")
    (root / "docs" / "index.md").write_text(page, encoding="utf-8")
    return root


@pytest.mark.parametrize("has_library", [True, False])
def test_a_diagram_is_drawn_by_the_sites_own_library_or_shown_as_its_source(tmp_path: Path, has_library: bool) -> None:
    root = small_project(tmp_path, "# Start\n\n```mermaid\ngraph LR\n  text --> sound\n```\n")
    if has_library:
        library = root / "build" / "mermaid" / "package" / "dist" / "mermaid.min.js"
        library.parent.mkdir(parents=True)
        library.write_text("")
    built = build(root, root / "site")
    assert built.returncode == 0, built.stderr
    page = (root / "site" / "index.html").read_text(encoding="utf-8")
    assert ('<pre class="mermaid">' in page) == has_library
    assert ('<script src="javascripts/mermaid.min.js"></script>' in page) == has_library
    assert (root / "site" / "javascripts" / "mermaid.min.js").is_file() == has_library
    assert "sound" in page


@pytest.fixture(scope="module")
def told_of_faults(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a build tells of a fault of every kind."""
    page = (
        "# Start\n\n[A page](nowhere.md), [an anchor](#nowhere), [a source](../benchmarks/nowhere.py), "
        '[a name][csm_plugin.nowhere].\n\n<audio src="samples/nowhere.mp3"></audio>\n\n<!-- README.md: Nowhere -->\n'
    )
    module = (
        '"""A package."""\n\n__all__ = ["speak", "Voice"]\n\ndef speak() -> None: ...\n\n'
        'class Voice:\n    """A voice."""\n\n    def play(self) -> None: ...\n\n'
        '    def stop(self) -> None:\n        """Stop.\n\n        Args:\n            now: at once.\n        """\n'
    )
    root = small_project(tmp_path_factory.mktemp("faults"), page, module)
    (root / "docs" / "lonely.md").write_text("# A page that the navigation leaves out\n")
    built = build(root, root / "site")
    assert built.returncode == 1
    return built.stderr


@pytest.mark.parametrize(
    "fault",
    [
        "'nowhere.md'",
        "'#nowhere'",
        "'../benchmarks/nowhere.py'",
        "'csm_plugin.nowhere'",
        "samples/nowhere.mp3",
        "no section 'Nowhere'",
        "lonely.md",
        "csm_plugin.speak is public and has no docstring",
        "csm_plugin.Voice.play is public and has no docstring",
        "Parameter 'now' does not appear in the function signature",
    ],
)
def test_a_fault_fails_the_build(told_of_faults: str, fault: str) -> None:
    assert fault in told_of_faults
