"""Commands as processes of their own, with something that happens when a certain module is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

_PROGRAM = """
import os, runpy, signal, sys
class Watcher:
    def find_spec(self, name, path=None, target=None):
        if name == {event!r}:
            sys.meta_path.remove(self)
            {action}
if {event!r}:
    sys.meta_path.insert(0, Watcher())
for name in {blocked!r}:
    sys.modules[name] = None
{before}
sys.argv = {arguments!r}
try:
    runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
finally:
    print("loaded:", *[name for name in {told!r} if sys.modules.get(name) is not None])
"""
SIGNAL = "os.kill(os.getpid(), signal.SIGINT)"


def run(
    module: str,
    *arguments: str,
    event: str = "",
    action: str = SIGNAL,
    blocked: Sequence[str] = (),
    told: Sequence[str] = (),
    before: str = "",
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module arguments…` to its end.

    Args:
        event: a module; when it is about to be imported, the process does `action`: by default it gets a Ctrl-C.
        blocked: modules that are as if they were not installed.
        told: modules; the last line of standard output names those that were imported, unless Ctrl-C ended it.
        before: a line of Python that is run first.
        environment: what is set in the environment besides, or instead.
    """
    program = _PROGRAM.format(
        event=event, action=action, blocked=tuple(blocked), told=tuple(told), before=before,
        module=module, arguments=[module, *arguments],
    )  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
    )


def loaded(ended: subprocess.CompletedProcess[str]) -> set[str]:
    """The modules that a process was asked about and has imported."""
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("loaded:")]
    return set(line.split()[1:])
