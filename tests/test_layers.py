"""Imports point down only and in no circle, importing is light, and nothing unpickles or evaluates."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import csm_plugin
from csm_plugin import errors
from tests.source_tree import Source, arrows, circles, sources

ROOT = Path(csm_plugin.__file__).parent
PACKAGES = [ROOT, ROOT.parent / "agents", ROOT.parent / "training"]

_LEAVES = frozenset({"text", "audio", "errors", "extras", "failures", "interruption", "settings"})
_CORE = _LEAVES | {"model", "conversation", "interface", "engine"}
MAY_IMPORT = {
    "errors": frozenset(),
    "settings": frozenset({"errors"}),
    "failures": frozenset(),
    "extras": frozenset({"errors"}),
    "interruption": frozenset(),
    "text": frozenset({"errors", "settings"}),
    "audio": frozenset({"errors", "settings"}),
    "model": _LEAVES,
    "conversation": _LEAVES | {"model"},
    "interface": frozenset({"errors", "settings", "conversation"}),
    "engine": _LEAVES | {"model", "conversation", "interface"},
    "protocol": _LEAVES | {"conversation"},
    "client": _LEAVES | {"conversation", "interface", "protocol"},
    "pipecat": _CORE | {"client"},
    "livekit": _CORE | {"client"},
    "server": _CORE | {"protocol"},
    "compat": _CORE,
    "evaluation": _CORE,
    "cli": _CORE | {"client", "server", "evaluation"},
    "__init__": frozenset({"errors", "settings", "engine"}),
}
ARROWS_NOT_COUNTED = {
    ("csm_plugin.engine", "slots", "session"),  # these for types alone: a slot names its owner,
    ("csm_plugin.livekit", "streams", "tts"),  # and a stream its maker
}
"""In a package, a child that imports another although that makes a circle."""
OFFERED_UNDER_A_PRIVATE_NAME = frozenset(
    "_exit _AgentActivityContextVar _SpeechHandleContextVar _generations _get_activity_task_info _job_executor_type "
    "_wait_for_authorization".split()
)
"""The one way of the standard library and of LiveKit; what LiveKit may drop is asked for with a default."""
FRAMEWORKS = frozenset(
    "aiohttp aiortc django fastapi flask grpc httpx livekit openai pipecat quart sanic starlette tornado uvicorn "
    "websockets".split()
)
EVENT_LOOPS = frozenset({"asyncio", "anyio", "trio"})
FORBIDDEN_MODULES = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "torchaudio"})
FORBIDDEN_CALLS = frozenset({"eval", "exec", "torch.load", "torch.jit.load"})


def layer_of(source: Source) -> str:
    return source.parts[1]


def imports_upward(root: Path) -> Iterator[str]:
    """Whoever has no place among the layers, or imports what is not below."""
    for source in sources(root):
        layer = layer_of(source)
        if layer not in MAY_IMPORT:
            yield f"{source.at(1)} {layer} has no place among the layers"
            continue
        for name, line in source.imports:
            top, _, below = name.partition(".")
            other = below.partition(".")[0]
            if top == root.name and other in MAY_IMPORT and other not in MAY_IMPORT[layer] | {layer}:
                yield f"{source.at(line)} imports {other}"


def imports_of(root: Path, layers: frozenset[str], forbidden: frozenset[str]) -> Iterator[str]:
    """Whoever of some layers imports something forbidden."""
    for source in sources(root):
        if layer_of(source) in layers:
            yield from (f"{source.at(line)} imports {name}" for name, line in source.imports if _top(name) in forbidden)


def _top(name: str) -> str:
    return name.partition(".")[0]


def unpickles_or_evaluates(root: Path) -> Iterator[str]:
    """Whoever could run what a file says."""
    yield from imports_of(root, frozenset(map(layer_of, sources(root))), FORBIDDEN_MODULES)
    for source in sources(root):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                if called in FORBIDDEN_CALLS or given.get("allow_pickle", "False") != "False":
                    yield f"{source.at(node.lineno)} calls {ast.unparse(node)}"


def imports_in_circles(root: Path) -> Iterator[str]:
    """In each package, the arrows between its files and folders that are part of a circle."""
    for room in sorted({source.parts[:-1] for source in sources(root)}):
        name = ".".join(room)
        found = {arrow: at for arrow, at in arrows(root, room).items() if (name, *arrow) not in ARROWS_NOT_COUNTED}
        for circle in circles(found):
            yield f"{name} has a circle: {', '.join(sorted(circle))}"
            for (start, end), places in sorted(found.items()):
                if {start, end} <= circle:
                    yield from (f"{place} imports {end}" for place in places)


def private_reaches(root: Path) -> Iterator[str]:
    """Whoever takes what another file calls private."""
    allowed = OFFERED_UNDER_A_PRIVATE_NAME.union(ruff_lets_pass())
    for source in sources(root):
        for name, line in source.private_reaches():
            if name not in allowed:
                yield f"{source.at(line)} reaches for {name}"


def ruff_lets_pass() -> list[str]:
    """Private names that ruff's rule of the same kind knows as public."""
    settings = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())
    return settings["tool"]["ruff"]["lint"]["flake8-self"]["extend-ignore-names"]


def none(violators: Iterator[str]) -> bool:
    """Whether there are none; else fail with all of them."""
    found = list(violators)
    assert not found, "\n" + "\n".join(found)
    return True


def test_imports_point_down_only() -> None:
    assert none(imports_upward(ROOT))


def test_the_core_knows_no_web_or_agent_framework() -> None:
    assert none(imports_of(ROOT, _CORE, FRAMEWORKS))


def test_the_model_knows_no_event_loop() -> None:
    assert none(imports_of(ROOT, frozenset({"model"}), EVENT_LOOPS))


def test_nothing_is_unpickled_or_evaluated() -> None:
    assert none(unpickles_or_evaluates(ROOT))


@pytest.mark.parametrize("root", PACKAGES, ids=lambda root: root.name)
def test_no_imports_go_in_a_circle(root: Path) -> None:
    assert none(imports_in_circles(root))


@pytest.mark.parametrize("root", PACKAGES, ids=lambda root: root.name)
def test_no_file_reaches_for_private_parts_of_another(root: Path) -> None:
    assert none(private_reaches(root))


BAD_PACKAGE = {
    "model/steps.py": "import asyncio\nfrom fastapi import FastAPI\nfrom csm_plugin.engine.engine import Engine\n",
    "engine/engine.py": "from ..server import app\nfrom csm_plugin.engine import queue\nqueue.lock._owner = None\n",
    "engine/queue.py": "def fill():\n    from csm_plugin.engine import engine\n    return getattr(engine, '_rows')\n",
    "model/files.py": "import pickle\nimport torch\ntorch.load('x')\nnp.load('x', allow_pickle=True)\neval('1')\n",
    "novel.py": "class Own:\n    def same(self, other): return self._kind == other._kind\n    _kind = 1\n",
}


@pytest.mark.parametrize(
    ("rule", "violations"),
    [
        (
            imports_upward,
            ["engine/engine.py:1 imports server", "model/steps.py:3 imports engine", "novel.py:1 novel has no place"],
        ),
        (lambda root: imports_of(root, _CORE, FRAMEWORKS), ["model/steps.py:2 imports fastapi.FastAPI"]),
        (lambda root: imports_of(root, frozenset({"model"}), EVENT_LOOPS), ["model/steps.py:1 imports asyncio"]),
        (
            unpickles_or_evaluates,
            ["model/files.py:1 imports pickle", "files.py:3 calls torch.load", "files.py:4 calls np", ":5 calls eval"],
        ),
        (
            imports_in_circles,
            ["circle: engine, queue", "engine.py:2 imports queue", "queue.py:2 imports engine"],
        ),
        (private_reaches, ["engine.py:3 reaches for _owner", "queue.py:3 reaches for _rows"]),
    ],
    ids=["upward", "frameworks", "event loops", "unpickled", "circles", "private"],
)
def test_a_rule_lists_every_violation(rule, violations: list[str], tmp_path: Path) -> None:
    root = tmp_path / "csm_plugin"
    for name, text in BAD_PACKAGE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    found = list(rule(root))
    missing = [violation for violation in violations if not any(violation in one for one in found)]
    assert not missing and len(found) == len(violations), found


def test_importing_the_package_is_light() -> None:
    code = "import csm_plugin, sys; print([name for name in ('torch', 'transformers', 'numpy') if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "[]"


def test_the_public_names_are_these() -> None:
    assert sorted(csm_plugin.__all__) == [
        "Conversation",
        "Engine",
        "FRAME_SAMPLES",
        "SAMPLE_RATE_HZ",
        "Sampling",
        "SpeechChunk",
        "Utterance",
        "errors",
    ]


def test_the_errors_are_these_and_one_tree() -> None:
    tree = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert sorted(tree) == [
        "AudioError",
        "CSMError",
        "CheckpointAccessError",
        "CheckpointError",
        "CheckpointFormatError",
        "CheckpointNotFound",
        "ContextFullError",
        "EngineBusyError",
        "EngineClosedError",
        "EngineUnreachableError",
        "GenerationError",
        "InputError",
        "MissingExtraError",
        "ReaderStalledError",
        "SettingsError",
        "TextError",
        "VoiceError",
    ]
    assert all(issubclass(kind, errors.CSMError) for kind in tree.values())


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nonsense"):
        getattr(csm_plugin, "Nonsense" + "Name")
