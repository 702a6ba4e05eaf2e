"""A command that is never done with putting in order what it has begun; after a Ctrl-C it sends itself another one."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading

from csm_plugin.interruption import run_command, tidying


def main() -> int:
    with tidying():
        try:
            importlib.import_module("csm_plugin.failures")
        finally:
            print("tidying", flush=True)
            if os.environ.get("SECOND") != "no":
                os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait()
            print("tidied", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("slow", main))
