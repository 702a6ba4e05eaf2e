"""Every block of code on every page stands by itself: what it names is defined in it, and its commands can be run.

What a block does is tried by the test of its page, which is named here; output and pictures are not run.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from csm_plugin.cli.command import command_parser

ROOT = Path(__file__).parents[2]
TESTS = {
    "CONTRIBUTING.md": "tests/test_contributing.py",
    "README.md": "tests/docs/test_readme.py",
    "docs/dropin.md": "tests/server/dropin/test_docs.py",
    "docs/gpu.md": "tests/docs/test_blocks.py",
    "docs/install.md": "tests/docs/test_install.py",
    "docs/livekit.md": "tests/livekit_plugin/test_docs.py",
    "docs/models.md": "tests/docs/test_models.py",
    "docs/pipecat.md": "tests/pipecat/test_docs.py",
    "docs/recipes.md": "tests/server/test_recipes.py",
    "docs/server.md": "tests/server/test_documentation.py",
    "docs/telephone.md": "tests/agents/test_telephony_command.py",
    "docs/tutorial.md": "tests/docs/test_tutorial.py",
    "docs/voices.md": "tests/docs/test_voices.py",
}
"""Of the pages with programs or commands, what runs them."""

NOT_RUN = {"", "mermaid"}
"""Output as it was printed, messages as they are sent, and pictures."""

LONG = {"docs/samples.md"}
"""Pages that may have longer lines."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code, and where it is."""

    page: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.strip().splitlines()[0][:50]}"


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(path: Path) -> list[Block]:
    page, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    assert text.count("```") == 2 * len(found), page
    return [Block(page, language, body) for _, language, body in found]


BLOCKS = [block for path in pages() for block in blocks_of(path)]
COMMANDS = [
    (block.page, line.strip())
    for block in BLOCKS
    if block.language in ("bash", "console")
    for line in block.text.replace("\\\n", " ").splitlines()
    if line.strip()
]


def test_every_block_says_what_it_is_in() -> None:
    assert {block.language for block in BLOCKS} == NOT_RUN | {"bash", "console", "js", "python"}


def test_every_page_with_programs_or_commands_has_a_test_that_reads_it() -> None:
    assert {block.page for block in BLOCKS if block.language not in NOT_RUN} == set(TESTS)
    for page, test in TESTS.items():
        read = (ROOT / test).read_text(encoding="utf-8")
        assert Path(page).name in read or Path(page).stem in read, f"{test} does not read {page}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "python"], ids=str)
def test_a_program_leans_on_no_other(block: Block) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--quiet", "--select", "E9,F", "-"],
        input=block.text, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda one: str(one)[:60])
def test_a_command_can_be_run(page: str, command: str) -> None:
    words = shlex.split(command.partition(" | ")[2] or command, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        del words[0]
    program, *arguments = words
    match program:
        case "csm":
            assert command_parser().parse_args(arguments).run
        case "make":
            told = subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, capture_output=True, text=True)
            assert told.returncode == 0, told.stderr
            module = re.findall(r"-m ((?:agents|benchmarks)[\w.]*)", told.stdout)
            options = re.findall(r"--\w+", " ".join(word for word in arguments if word.startswith("ARGS=")))
            assert not options or set(options) <= set(re.findall(r"--\w+", source_of(module[-1])))
        case "pip":
            assert arguments[0] == "install"
            extras = re.fullmatch(r"\.\[([\w,]+)\]", arguments[1])
            assert extras is not None, "nothing is on a package index yet"
            project = tomllib.loads(read("pyproject.toml"))["project"]
            assert set(extras[1].split(",")) <= set(project["optional-dependencies"])
        case "python":
            assert arguments[0] == "-m" and find_spec(arguments[1]) is not None
        case _:
            assert program in {"cd", "curl", "docker", "export", "git"}, f"{page}: {command}"


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_lines_of_prose_can_be_read(path: Path) -> None:
    page, text = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
    prose = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.MULTILINE | re.DOTALL)
    long = [line for line in prose.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert long == [] or page in LONG


def source_of(module: str) -> str:
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin)
    files = folder.parent.glob("*.py") if folder.name == "__init__.py" else [folder]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")
