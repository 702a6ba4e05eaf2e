"""What is optional and missing is said in one line, with the command that installs it here."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from csm_plugin import extras
from csm_plugin.errors import CSMError, MissingExtraError
from csm_plugin.extras import EXTRAS, install_command, missing_modules, needing, require
from tests.cli.processes import run

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("statement", "blocked", "extra"),
    [
        ("from csm_plugin.pipecat import CSMTTSService", "pipecat", "pipecat"),
        ("import csm_plugin.pipecat.settings", "pipecat", "pipecat"),
        ("from livekit.plugins import csm", "livekit.agents", "livekit"),
        ("from csm_plugin.livekit import TTS", "livekit.agents", "livekit"),
        ("from csm_plugin.client import RemoteEngine", "websockets", "client"),
        ("from csm_plugin.server.app import create_app", "fastapi", "server"),
    ],
)
def test_an_import_ends_with_what_to_install(statement: str, blocked: str, extra: str) -> None:
    """It was a ModuleNotFoundError of a package that the user had never heard of."""
    code = f"import sys; sys.modules[{blocked!r}] = None; {statement}"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("csm_plugin.errors.MissingExtraError: ")
    assert re.search(rf" needs {re.escape(blocked)}[\w.]*: {re.escape(install_command(extra))}$", last)
    assert ended.stderr.count("Traceback") == 1


@pytest.mark.parametrize(
    ("arguments", "blocked", "extra"),
    [
        (("serve",), "fastapi", "server"),
        (("serve", "--print-config"), "pydantic_settings", "server"),
        (("eval",), "matplotlib", "eval"),
        (("eval",), "moonshine_voice", "eval"),
    ],
    ids=str,
)
def test_a_command_ends_in_one_line(arguments: tuple[str, ...], blocked: str, extra: str) -> None:
    ended = run("csm_plugin.cli", *arguments, blocked=[blocked])
    assert ended.returncode == 1
    assert ended.stderr == f"csm: csm {arguments[0]} needs {blocked}: {install_command(extra)}\n"


def test_jobs_that_cannot_share_a_server_are_told_what_to_do() -> None:
    """On Windows, `fcntl` was missing in the middle of a job."""
    code = (
        "import sys; sys.modules['fcntl'] = None\n"
        "from csm_plugin.livekit.backends import SidecarBackend\n"
        "from csm_plugin.errors import SettingsError\n"
        "try: SidecarBackend('csm-tiny')\n"
        "except SettingsError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "CSM_BASE_URL" in told.stdout and told.stdout.count("\n") == 1


def test_a_missing_extra_is_one_of_our_errors_and_an_import_error() -> None:
    assert issubclass(MissingExtraError, CSMError) and issubclass(MissingExtraError, ImportError)


def test_a_package_that_is_too_old_is_told_from_one_that_is_missing() -> None:
    with pytest.raises(MissingExtraError, match=r"^it needs another json \(too old\): "), needing("eval", "it"):
        raise ImportError("too old", name="json.decoder")


def test_a_fault_of_our_own_is_not_taken_for_a_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"csm_plugin\.nonsense"), needing("eval", "it"):
        importlib.import_module("csm_plugin.nonsense")


def test_what_is_installed_is_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "eval", ("json", "no_such_module.at_all"))
    assert missing_modules("eval") == ["no_such_module.at_all"]
    with pytest.raises(MissingExtraError, match=r"^it needs no_such_module\.at_all: "):
        require("eval", "it")
    monkeypatch.setitem(EXTRAS, "eval", ("json",))
    require("eval", "it")


def test_every_extra_of_the_package_is_known() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(declared) - {"all", "dev", "docs"}


@pytest.mark.parametrize(
    ("source", "command"),
    [
        ({"url": "{folder}", "dir_info": {"editable": True}}, 'pip install -e "{path}[eval]"'),
        ({"url": "{folder}", "dir_info": {}}, 'pip install "{path}[eval]"'),
        (
            {"url": "https://a.test/b.git", "vcs_info": {"vcs": "git", "requested_revision": "v1"}},
            'pip install "csm-plugin[eval] @ git+https://a.test/b.git@v1"',
        ),
        (
            {"url": "https://a.test/b.git", "vcs_info": {"vcs": "git"}},
            'pip install "csm-plugin[eval] @ git+https://a.test/b.git"',
        ),
        (
            {"url": "https://a.test/b.whl", "archive_info": {}},
            'pip install "csm-plugin[eval] @ https://a.test/b.whl"',
        ),
        ({"url": "{folder}/gone.whl", "archive_info": {}}, 'pip install "{root}[eval]"'),
        (None, 'pip install "{root}[eval]"'),
    ],
    ids=["editable", "folder", "revision", "repository", "wheel", "a wheel that is gone", "nothing known"],
)
def test_the_command_is_that_of_where_it_was_installed_from(
    source: dict[str, object] | None, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Distribution:
        def read_text(self, name: str) -> str | None:
            told = {} if source is None else source | {"url": str(source["url"]).format(folder=tmp_path.as_uri())}
            return json.dumps(told) if name == "direct_url.json" and told else None

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Distribution())
    monkeypatch.setattr(extras.shutil, "which", lambda name: str(Path(sys.executable).with_name("pip")))
    monkeypatch.chdir(tmp_path.parent)
    assert install_command("eval") == command.format(path=tmp_path, root=ROOT)


def test_in_its_own_folder_the_command_is_as_the_readme_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", none)
    monkeypatch.chdir(ROOT)
    assert install_command("pipecat").endswith('pip install ".[pipecat]"')


def test_without_its_own_pip_on_the_path_the_interpreter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras.shutil, "which", lambda name: "/usr/bin/pip")
    monkeypatch.setattr(extras.sys, "executable", "/a folder/bin/python")
    assert install_command("eval").startswith('"/a folder/bin/python" -m pip install ')
