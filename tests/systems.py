"""Which tests a system cannot run, by name and with the reason. Everywhere else what they need must be there."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

SYSTEM = sys.platform


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that some systems do not have.

    Args:
        reason: what that is, as the report says it.
        systems: as `sys.platform` names them.
        tests: files, or `file::name`, which stands for all of its parameters.
        fixtures: `conftest.py::name`; all tests that use it, directly or not.
    """

    reason: str
    systems: tuple[str, ...]
    tests: tuple[str, ...]
    fixtures: tuple[str, ...] = ()

    def is_named(self, nodeid: str) -> bool:
        """Whether a file or test is one of its own."""
        return any(nodeid == name or nodeid.startswith((f"{name}::", f"{name}[")) for name in self.tests)

    def is_used(self, nodeid: str, fixtures: Iterable[str]) -> bool:
        """Whether a test that uses these fixtures uses one of its own."""
        owned = [fixture.rpartition("conftest.py::") for fixture in self.fixtures]
        return any(nodeid.startswith(folder) and name in fixtures for folder, _, name in owned)


_WINDOWS, _BUT_LINUX = ("win32",), ("darwin", "win32")

LACKS = (
    Lack(
        "flite's voices are libraries of Debian's packages",
        _BUT_LINUX,
        (
            "tests/agents/test_recogniser.py::test_a_spoken_sentence_is_recognised",
            "tests/agents/test_telephony_call.py::test_a_voice_interrupts_and_its_words_reach_the_brain",
            "tests/livekit_plugin/test_agent.py",
            "tests/livekit_plugin/test_console.py",
            "tests/pipecat/test_recognised.py",
            "tests/training/test_synthesis.py",
        ),
        fixtures=("tests/evaluation/conftest.py::say", "tests/training/conftest.py::corpus_folder"),
    ),
    Lack(
        "the browser is Debian's chromium, and a caller's voice is flite's",
        _BUT_LINUX,
        (
            "tests/agents/test_backend_command.py",
            "tests/agents/test_webrtc_command.py",
            "tests/agents/test_webrtc_page.py",
            "tests/agents/test_webrtc_page_for_everybody.py",
            "tests/server/test_docs_page.py",
            "tests/server/test_page.py",
            "tests/server/test_page_for_everybody.py",
            "tests/server/test_page_voices.py",
        ),
    ),
    Lack(
        "memory and open files are counted in /proc",
        _BUT_LINUX,
        (
            "tests/reliability/test_leaving.py::test_starts_and_cancels_leave_nothing_behind",
            "tests/server/test_limits.py::test_a_body_of_any_kind_is_answered_in_kind",
            "tests/server/test_limits.py::test_uploads_of_a_conversation_are_bounded",
        ),
    ),
    Lack(
        "a process can send itself a Ctrl-C, has a terminal of its own, and a device is a file, on Unix only",
        _WINDOWS,
        (
            "tests/agents/test_command.py::test_ctrl_c_is_one_line_at_any_moment",
            "tests/agents/test_livekit_console.py",
            "tests/cli/test_interruption.py",
            "tests/cli/test_say.py::test_a_device_is_no_place_for_a_file",
        ),
    ),
    Lack(
        "the server that LiveKit's jobs share is kept by file locks of Unix",
        _WINDOWS,
        (
            "tests/livekit_plugin/test_plugin.py::TestTheEngine::test_is_a_server_beside_jobs_that_are_processes",
            "tests/livekit_plugin/test_plugin.py::TestTheLoad::test_is_of_the_shared_server_where_jobs_are_processes",
            "tests/livekit_plugin/test_processes.py",
            "tests/livekit_plugin/test_sidecar.py",
        ),
    ),
    Lack(
        "Windows ends a process where others send it a signal",
        _WINDOWS,
        (
            "tests/agents/test_telephony_command.py",
            "tests/cli/test_real_engine.py::test_ctrl_c_stops_it_at_a_whole_sample",
            "tests/livekit_plugin/test_remote.py::test_a_server_that_stands_still_is_a_timeout_and_four_attempts",
            "tests/server/test_draining.py",
            "tests/training/test_loop.py::test_a_stopped_stage_is_saved_and_does_not_end_well",
        ),
    ),
    Lack(
        "the commands are for make and a POSIX shell",
        _WINDOWS,
        (
            "tests/benchmarks/test_gpu.py::test_make_gpu_runs_it",
            "tests/cli/test_say.py::test_a_player_that_dies_is_told_and_the_file_is_kept",
            "tests/cli/test_say.py::test_speech_is_played_by_a_program_that_takes_raw_samples",
            "tests/docs/test_voices.py::test_the_servers_examples_run",
            "tests/server/dropin/test_docs.py",
            "tests/server/test_documentation.py",
            "tests/test_docker.py::test_torch_is_the_pinned_one_from_the_index_that_is_given",
            "tests/test_release.py::test_make_release_runs_it",
        ),
    ),
    Lack(
        "Windows has no /dev/null that is a file",
        _WINDOWS,
        (
            "tests/conversation/test_voices.py::test_a_folder_that_cannot_be_read_is_empty",
            "tests/server/test_voices.py::test_where_the_users_own_folder_cannot_be_written_to_a_temporary_one_serves",
        ),
    ),
)


def lacking(nodeid: str, fixtures: Iterable[str] = ()) -> str | None:
    """Return why a file, or a test that uses these fixtures, cannot run here; None if it can."""
    here = [lack for lack in LACKS if SYSTEM in lack.systems]
    return next((lack.reason for lack in here if lack.is_named(nodeid) or lack.is_used(nodeid, fixtures)), None)


def skip_what_cannot_run(items: Iterable[pytest.Item]) -> None:
    """Mark the tests that cannot run here."""
    for item in items:
        if reason := lacking(item.nodeid, getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.skip(reason=reason))


def unread_file(path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Return what stands for a file none of whose tests can run here; None for any other file."""
    name = path.relative_to(parent.config.rootpath).as_posix()
    return UnreadFile.from_parent(parent, path=path) if lacking(name) else None


class UnreadFile(pytest.Module):
    """A file that is reported as skipped and not imported, for it might not even be possible."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """See pytest."""
        pytest.skip(lacking(self.nodeid) or "", allow_module_level=True)
