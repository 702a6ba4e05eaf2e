"""Imports point down only, importing is light, and nothing unpickles or evaluates."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import csm_plugin
from csm_plugin import errors

ROOT = Path(csm_plugin.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))

_LEAVES = frozenset({"text", "audio", "errors", "failures", "settings"})
_CORE = _LEAVES | {"model", "conversation", "interface", "engine"}
MAY_IMPORT = {
    "errors": frozenset(),
    "settings": frozenset({"errors"}),
    "failures": frozenset(),
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
FRAMEWORKS = frozenset(
    "aiohttp aiortc django fastapi flask grpc httpx livekit openai pipecat quart sanic starlette tornado uvicorn "
    "websockets".split()
)
FORBIDDEN_MODULES = frozenset({"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "torchaudio"})


def layer_of(source: Path) -> str:
    return source.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(source: Path) -> set[str]:
    """Full dotted names of what a file imports, also inside functions; names of type-checking blocks included."""
    package = ["csm_plugin", *source.relative_to(ROOT).parent.parts]
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def name_of(source: Path) -> str:
    return str(source.relative_to(ROOT))


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_imports_point_down_only(source: Path) -> None:
    layer = layer_of(source)
    assert layer in MAY_IMPORT, f"{layer} has no place among the layers"
    below = {name.split(".")[1] for name in imported(source) if name.startswith("csm_plugin.")}
    upward = {name for name in below - {layer} if name not in MAY_IMPORT[layer] and name in MAY_IMPORT}
    assert not upward, f"{name_of(source)} imports {', '.join(sorted(upward))}"


@pytest.mark.parametrize("source", [source for source in SOURCES if layer_of(source) in _CORE], ids=name_of)
def test_the_core_knows_no_web_or_agent_framework(source: Path) -> None:
    assert not {name.split(".")[0] for name in imported(source)} & FRAMEWORKS


@pytest.mark.parametrize("source", [source for source in SOURCES if layer_of(source) == "model"], ids=name_of)
def test_the_model_knows_no_event_loop(source: Path) -> None:
    assert not {name.split(".")[0] for name in imported(source)} & {"asyncio", "anyio", "trio"}


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_nothing_is_unpickled_or_evaluated(source: Path) -> None:
    assert not {name.split(".")[0] for name in imported(source)} & FORBIDDEN_MODULES
    for node in ast.walk(ast.parse(source.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in ("eval", "exec", "torch.load", "torch.jit.load"), f"line {node.lineno}: {called}"
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert given.get("allow_pickle", "False") == "False", f"line {node.lineno}: allow_pickle"


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
        "ReaderStalledError",
        "SettingsError",
        "TextError",
        "VoiceError",
    ]
    assert all(issubclass(kind, errors.CSMError) for kind in tree.values())


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Nonsense"):
        getattr(csm_plugin, "Nonsense" + "Name")
