"""The changelog decides the version, the wheel holds what belongs to it, and only what is wanted is tagged."""

from __future__ import annotations

import email
import importlib.util
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from datetime import date
from email.message import Message
from pathlib import Path
from types import ModuleType

import pytest

import csm_plugin

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
VERSION = csm_plugin.__version__


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["release"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = _load()


def files_of_the_packages() -> set[str]:
    """What the tree holds of the packages, without what Python leaves there."""
    found = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    return {path.relative_to(ROOT).as_posix() for path in found if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as pip would build it, but in this process."""
    from hatchling.builders.wheel import WheelBuilder

    folder = tmp_path_factory.mktemp("wheel")
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])))


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as files:
        return set(files.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as files:
        return email.message_from_bytes(files.read(f"csm_plugin-{VERSION}.dist-info/METADATA"))


class TestTheWheel:
    def test_runs_everywhere(self, wheel: Path) -> None:
        assert wheel.name == f"csm_plugin-{VERSION}-py3-none-any.whl"

    def test_holds_the_packages_and_nothing_else(self, names: set[str]) -> None:
        own = {name for name in names if not name.startswith(f"csm_plugin-{VERSION}.dist-info/")}
        assert own == files_of_the_packages()
        assert {name.partition("/")[0] for name in own} == {"csm_plugin", "livekit"}

    def test_holds_what_is_no_python(self, names: set[str]) -> None:
        assert {
            "csm_plugin/py.typed",
            "livekit/plugins/csm/py.typed",
            "csm_plugin/server/page/index.html",
            "csm_plugin/checkpoints/csm-tiny/config.json",
            "csm_plugin/checkpoints/csm-tiny/model.safetensors",
            "csm_plugin/checkpoints/csm-tiny/tokenizer.json",
            "csm_plugin/checkpoints/csm-tiny/voices/robert.flac",
            "csm_plugin/checkpoints/csm-tiny/voices/robert.txt",
            f"csm_plugin-{VERSION}.dist-info/licenses/LICENSE",
        } <= names

    def test_leaves_the_namespace_to_livekit(self, names: set[str]) -> None:
        assert not {"livekit/__init__.py", "livekit/plugins/__init__.py"} & names

    def test_says_what_it_is(self, wheel: Path, metadata: Message) -> None:
        release.check_metadata(wheel, VERSION, (ROOT / "README.md").read_text(encoding="utf-8"))
        assert (metadata["Name"], metadata["Requires-Python"]) == ("csm-plugin", ">=3.11")
        assert set(metadata.get_all("Provides-Extra", [])) == set(PROJECT["project"]["optional-dependencies"])

    def test_names_versions_and_no_addresses_of_what_it_needs(self, metadata: Message) -> None:
        assert all("@" not in need and "//" not in need for need in metadata.get_all("Requires-Dist", []))

    def test_brings_the_command(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as files:
            told = files.read(f"csm_plugin-{VERSION}.dist-info/entry_points.txt").decode()
        assert told.split() == ["[console_scripts]", "csm", "=", "csm_plugin.cli:main"]

    def test_of_another_version_is_refused(self, wheel: Path) -> None:
        with pytest.raises(release.ReleaseError, match=r"of version .*, not 9\.9\.9; build it again"):
            release.check_metadata(wheel, "9.9.9", "")

    def test_without_the_readme_is_refused(self, wheel: Path) -> None:
        with pytest.raises(release.ReleaseError, match=r"is not README\.md as Markdown"):
            release.check_metadata(wheel, VERSION, "Something else.")


def test_the_source_archive_holds_all_that_the_wheel_is_made_of(tmp_path: Path) -> None:
    from hatchling.builders.sdist import SdistBuilder

    archive = next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    assert files_of_the_packages() | {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"} <= names


def changelog(*sections: str) -> str:
    return "# Changelog\n\n" + "\n\n".join(sections) + "\n"


NEW, FIX = "### Added\n- A.", "### Fixed\n- B."


@pytest.mark.parametrize(
    ("version", "sections", "upcoming"),
    [
        ("0.1.0", [f"## [Unreleased]\n\n{NEW}"], "0.1.0"),
        ("0.1.0", [f"## [Unreleased]\n\n{FIX}", f"## [0.1.0] - 2026-01-31\n\n{NEW}"], "0.1.1"),
        ("0.1.0", [f"## [Unreleased]\n\n{NEW}\n\n{FIX}", f"## [0.1.0] - 2026-01-31\n\n{NEW}"], "0.2.0"),
        ("0.1.9", ["## [Unreleased]\n\n### Removed\n- C.", "## [0.1.9] - 2026-01-31", "## [0.1.8]"], "0.2.0"),
        ("1.2.3", [f"## [Unreleased]\n\n### Removed\n- C.\n\n{FIX}", "## [1.2.3] - 2026-01-31"], "2.0.0"),
        ("1.2.3", ["## [Unreleased]\n\n### Security\n- D.", "## [1.2.3] - 2026-01-31"], "1.2.4"),
        ("0.2.0", ["## [Unreleased]", f"## [0.2.0] - 2026-01-31\n\n{NEW}"], "0.2.0"),
    ],
)
def test_the_next_version_follows_from_what_changed(version: str, sections: list[str], upcoming: str) -> None:
    assert release.next_version(version, changelog(*sections)) == upcoming


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ([], "first section .* is not"),
        ([f"## [0.1.0] - 2026-01-31\n\n{NEW}"], "first section .* is not"),
        (["## [Unreleased]"], "names no change"),
        ([f"## [Unreleased]\n\n{NEW}", "## [0.2.0] - 2026-01-31"], "says 0.1.0, the newest release .* is 0.2.0"),
        (["## [Unreleased]\n\n- A.", "## [0.1.0] - 2026-01-31"], "has no heading"),
    ],
)
def test_what_does_not_agree_is_not_released(sections: list[str], message: str) -> None:
    with pytest.raises(release.ReleaseError, match=message):
        release.next_version("0.1.0", changelog(*sections))


def test_a_package_without_a_version_is_not_released() -> None:
    with pytest.raises(release.ReleaseError, match="has no line __version__"):
        release.version_of("version = 1\n")


def test_package_and_changelog_agree() -> None:
    source = (ROOT / release.VERSION_FILE).read_text(encoding="utf-8")
    assert release.version_of(source) == VERSION
    assert release.next_version(VERSION, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")) >= VERSION


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project with a release and a repair since; building and trying it is left out."""
    root = tmp_path / "project"
    (root / "csm_plugin").mkdir(parents=True)
    (root / "csm_plugin" / "__init__.py").write_text('"""A package."""\n\n__version__ = "0.1.0"\n')
    (root / "CHANGELOG.md").write_text(changelog(f"## [Unreleased]\n\n{FIX}", f"## [0.1.0] - 2026-01-31\n\n{NEW}"))
    (root / "README.md").write_text("# A package\n")
    (root / ".gitignore").write_text("dist/\nsecret\n")
    (root / "secret").write_text("not for others")
    git(root, "init", "--quiet", "--initial-branch=main")
    for name, value in (("user.name", "A"), ("user.email", "a@example.org"), ("commit.gpgsign", "false")):
        git(root, "config", name, value)
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "Begin")

    def build(tree: Path, dist: Path) -> Path:
        built["files"] = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
        built["version"] = release.version_of((tree / release.VERSION_FILE).read_text())
        built["changelog"] = (tree / release.CHANGELOG).read_text()
        return dist / "a.whl"

    built: dict[str, object] = {}
    monkeypatch.setattr(release, "build", build)
    monkeypatch.setattr(release, "check_metadata", lambda *_: None)
    monkeypatch.setattr(release, "try_wheel", lambda *_: "it spoke")
    monkeypatch.setattr(release, "BUILT", built, raising=False)
    return root


def git(root: Path, *command: str) -> str:
    return subprocess.run(["git", *command], cwd=root, check=True, capture_output=True, text=True, timeout=60).stdout


def never(question: str) -> str:
    raise AssertionError(f"asked: {question}")


def state(root: Path) -> tuple[str, str, str]:
    """Where a repository stands: its log, its tags, and what is not committed."""
    return git(root, "log", "--format=%s"), git(root, "tag"), git(root, "status", "--porcelain")


def test_an_index_shows_no_dead_link(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text((ROOT / "README.md").read_text(encoding="utf-8"), encoding="utf-8")
    release.write_readme(tmp_path, "0.2.0")
    told = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [link for link in re.findall(r"\]\(([^)]+)\)", told) if "://" not in link] == []
    assert "docs/pipecat.md" in told


def test_links_lead_to_the_sources_once_they_are_public(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "[How](docs/how.md#so), [there](https://example.org), [a](b), [c](#d)\n![Two](e.svg)\n"
    )
    (tmp_path / "pyproject.toml").write_text('[project.urls]\nRepository = "https://example.org/x/y"\n')
    release.write_readme(tmp_path, "0.2.0")
    at, raw = (f"https://example.org/x/y/{kind}/v0.2.0" for kind in ("blob", "raw"))
    led = f"[How]({at}/docs/how.md#so), [there](https://example.org), [a]({at}/b), [c](#d)\n![Two]({raw}/e.svg)\n"
    assert (tmp_path / "README.md").read_text() == led


class TestARelease:
    def test_that_is_dry_changes_nothing_and_asks_nobody(self, project: Path) -> None:
        before = state(project)
        assert release.release(project, project / "dist", dry=True, ask=never) == "0.1.1"
        assert state(project) == before

    def test_is_built_from_what_git_would_take_with_the_next_version_in_it(self, project: Path) -> None:
        (project / "csm_plugin" / "new.py").write_text("")
        release.release(project, project / "dist", dry=True, ask=never)
        assert release.BUILT["version"] == "0.1.1"
        assert release.BUILT["files"] == {
            ".gitignore", "CHANGELOG.md", "README.md", "csm_plugin/__init__.py", "csm_plugin/new.py"
        }  # fmt: skip
        told = [section.name for section in release.sections(release.BUILT["changelog"])]
        assert told == ["Unreleased", "0.1.1", "0.1.0"]

    def test_is_committed_and_tagged_when_it_is_wanted(self, project: Path) -> None:
        asked: list[str] = []

        def agree(question: str) -> str:
            asked.append(question)
            return "y"

        release.release(project, project / "dist", dry=False, ask=agree)
        assert asked == ["Commit version 0.1.1 and tag it v0.1.1? [y/N] "]
        assert state(project) == ("Release 0.1.1\nBegin\n", "v0.1.1\n", "")
        assert release.version_of((project / release.VERSION_FILE).read_text()) == "0.1.1"
        head = (project / "CHANGELOG.md").read_text().splitlines()[2:6]
        assert head == ["## [Unreleased]", "", f"## [0.1.1] - {date.today():%Y-%m-%d}", ""]

    @pytest.mark.parametrize("answer", ["", "n", "yes, perhaps"])
    def test_is_not_tagged_without_a_clear_yes(self, project: Path, answer: str) -> None:
        before = state(project)
        release.release(project, project / "dist", dry=False, ask=lambda _: answer)
        assert state(project) == before

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda root: (root / "README.md").write_text("Changed.\n"), "not committed"),
            (lambda root: git(root, "tag", "v0.1.1"), "there is a tag v0.1.1 already"),
        ],
    )
    def test_is_refused_before_anything_is_built(
        self, project: Path, spoil: Callable[[Path], object], message: str
    ) -> None:
        spoil(project)
        with pytest.raises(release.ReleaseError, match=message):
            release.release(project, project / "dist", dry=False, ask=never)
        assert not release.BUILT


def test_make_release_runs_it() -> None:
    told = subprocess.run(
        ["make", "--no-print-directory", "-n", "release", "DRY=1"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines()[-1].split()[1:] == [".ci/release.py", "--dry"]


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_the_wheel_speaks_from_an_empty_environment(tmp_path: Path) -> None:
    before = git(ROOT, "status", "--porcelain")
    command = [sys.executable, str(ROOT / ".ci" / "release.py"), "--dry", "--dist", str(tmp_path / "dist")]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1_100)
    assert told.returncode == 0, told.stderr
    assert "s of speech" in told.stdout
    assert sorted(path.suffix for path in (tmp_path / "dist").iterdir()) == [".gz", ".whl"]
    assert git(ROOT, "status", "--porcelain") == before
