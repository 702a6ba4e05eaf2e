"""The `csm` command. Importing it imports nothing else, so that Ctrl-C is taken over before anything takes time."""

from __future__ import annotations

from collections.abc import Sequence

from csm_plugin.interruption import run_command

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `csm` and return its exit code: 0 ok, 1 a `CSMError`, 130 interrupted.

    Args:
        arguments: without the program's name. None: those of the process, whose Ctrl-C is then the command's.

    Raises:
        SystemExit: code 2 on wrong usage, 0 after `--help` and `--version`.
    """

    def run() -> int:
        from csm_plugin.cli.command import run

        return run(arguments)

    return run_command("csm", run) if arguments is None else run()
