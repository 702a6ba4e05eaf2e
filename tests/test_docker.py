"""The container's files, as far as they can be tried without a container: each step's own part is run here."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from csm_plugin.server.shared.settings import ServerSettings
from tests.server.running import running

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = sorted(COMPOSE["services"].items())


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions: name and arguments, continued lines joined."""
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", TEXT, flags=re.MULTILINE)).splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines if line)]


def last(name: str) -> str:
    return [rest for instruction, rest in instructions() if instruction == name][-1]


def environment() -> dict[str, str]:
    """What the image sets."""
    pairs = [pair for name, rest in instructions() if name == "ENV" for pair in shlex.split(rest)]
    return dict(pair.split("=", 1) for pair in pairs)


def csm(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    """Run `csm` with the image's environment and more."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CSM_")}
    command = [sys.executable, "-m", "csm_plugin.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=own | environment() | given, cwd=ROOT
    )


def test_it_runs_as_a_user_who_is_not_root_and_was_made() -> None:
    order = [name for name, _ in instructions()]
    assert int(last("USER")) > 0
    assert f"--uid {last('USER')} " in last("RUN")
    assert order.index("USER") > max(place for place, name in enumerate(order) if name == "RUN")
    assert "csm /data /data/voices /data/models" in last("RUN")
    assert last("VOLUME") == "/data"


def test_the_entrypoint_serves_as_the_image_sets_it_and_only_with_a_key() -> None:
    entry = json.loads(last("ENTRYPOINT"))
    assert entry[0] in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    refused = csm(*entry[1:], "--print-config")
    assert refused.returncode == 1
    assert "CSM_API_KEYS" in refused.stderr
    printed = csm(*entry[1:], "--print-config", CSM_API_KEYS="a-key")
    assert printed.returncode == 0, printed.stderr
    settings = yaml.safe_load(printed.stdout)
    assert (settings["host"], settings["port"], settings["voices"]) == ("0.0.0.0", int(last("EXPOSE")), "/data/voices")


def test_the_health_check_tells_a_ready_server_from_none(tiny_checkpoint: Path) -> None:
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    with running(tiny_checkpoint, api_keys="a-key") as server:
        check = [sys.executable, "-c", command[2]]
        environment = os.environ | {"CSM_PORT": str(server.port)}
        assert subprocess.run(check, timeout=60, env=environment).returncode == 0
        server.service.draining = True
        assert subprocess.run(check, timeout=60, env=environment, capture_output=True).returncode == 1


def test_what_is_copied_is_there_and_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [source for name, rest in instructions() if name == "COPY" and "--from" not in rest
              for source in rest.split()[:-1]]  # fmt: skip
    assert sorted(copied) == sorted(kept)
    assert all((ROOT / source).exists() for source in copied)


def test_the_wheel_needs_nothing_else() -> None:
    """Hatch takes these; what it reads about the package is among them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    copied = " ".join(rest for name, rest in instructions() if name == "COPY")
    needed = [project["project"]["readme"], *project["project"]["license-files"],
              *project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
              Path(project["tool"]["hatch"]["version"]["path"]).parts[0]]  # fmt: skip
    assert all(name in copied for name in needed)
    assert "[server]" in [rest for name, rest in instructions() if name == "RUN"][2]
    assert "server" in project["project"]["optional-dependencies"]


@pytest.mark.parametrize("index", ["", "https://wheels.example/cpu"])
def test_torch_is_the_pinned_one_from_the_index_that_is_given(tmp_path: Path, index: str) -> None:
    """The step's own line, in a shell, with a pip that prints what it is asked for."""
    (step,) = [rest for name, rest in instructions() if name == "RUN" and "TORCH_INDEX" in rest]
    assert ("ARG", "TORCH_INDEX=") in instructions()
    step = step.replace("/tmp/constraints.txt", str(ROOT / "constraints.txt")).replace("pip install", "printf '%s\\n'")
    told = subprocess.run(["sh", "-ec", step], env={"TORCH_INDEX": index, "PATH": os.environ["PATH"]},
                          capture_output=True, text=True, check=True, timeout=60)  # fmt: skip
    asked = told.stdout.splitlines()
    assert re.fullmatch(r"torch==[\d.]+", asked[-1])
    assert asked[:-1] == (["--index-url", index] if index else [])


@pytest.mark.parametrize(("name", "service"), SERVICES, ids=[name for name, _ in SERVICES])
def test_a_service_is_locked_up_and_drains(name: str, service: dict[str, object]) -> None:
    assert service["profiles"] == [name]
    assert service["cap_drop"] == ["ALL"] and service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ports"] == [f"127.0.0.1:{last('EXPOSE')}:{last('EXPOSE')}"]
    assert service["volumes"] == [f"data:{last('VOLUME')}"]
    grace_s = float(str(service["stop_grace_period"]).removesuffix("s"))
    assert grace_s > ServerSettings.model_fields["drain_s"].default
    assert service["restart"] == "unless-stopped"
    given = service["environment"]
    assert isinstance(given, dict)
    assert {key.removeprefix("CSM_").lower() for key in given} <= ServerSettings.model_fields.keys()
    assert given["CSM_API_KEYS"].startswith("${CSM_API_KEYS:?")


def test_the_commands_of_the_documentation_name_what_there_is() -> None:
    told = (ROOT / "docs" / "server.md").read_text(encoding="utf-8")
    started = re.findall(r"docker compose up (\w+)", told)
    assert sorted(set(started)) == [name for name, _ in SERVICES]
    assert re.findall(r"--build-arg (\w+)=", told) == ["TORCH_INDEX"]
    assert f"docker build -t {COMPOSE['services']['gpu']['image']} .\n" in told
