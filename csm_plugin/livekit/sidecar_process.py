"""Keeps a server for as long as anybody uses it.

`python -m csm_plugin.livekit.sidecar_process FOLDER MODEL [COMMAND…]`.

Starts it, tells in the folder where it is, starts it again when it dies, and ends it when its users are gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any

from csm_plugin.livekit.sidecar import Address, Folder

LOOK_S = 0.1
LOCK_TRIES = 10
READY_S = 600.0
IDLE_S = 10.0
"""The server ends so long after its last user: jobs end and begin, and loading takes time."""

END_S = 20.0
"""How long the server may take to end by itself."""

MAX_DEATHS, DEATHS_IN_S = 4, 300.0
PR_SET_PDEATHSIG = 1


class Keeper:
    """Keeps one server. Blocks; for the main thread of a process of its own.

    Args:
        folder: the sidecar's files.
        model: what the server speaks with.
        command: starts the server, `{port}` in it is the port; empty for `csm serve`.
        idle_s: how long it stays without users, in seconds.
    """

    def __init__(self, folder: Folder, model: str, command: list[str], *, idle_s: float = IDLE_S) -> None:
        serve = [sys.executable, "-m", "csm_plugin.cli", "serve", "--host", "127.0.0.1", "--port", "{port}"]
        self._folder = folder
        self._command = command or [*serve, "--model", model]
        self._idle_s = idle_s
        self._address = Address(0, "")
        self._deaths: deque[float] = deque()
        self._ending = False

    def run(self) -> int:
        """Keep the server until nobody uses it; return 0, or 1 if it died too often."""
        lock = self._lock()
        if lock is None:
            return 0
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._end)
        try:
            self._address = _address(self._folder)
            while self._serve():
                if self._died_too_often():
                    self._folder.fail(f"it died {MAX_DEATHS} times in {DEATHS_IN_S:g} s")
                    return 1
            return 0
        finally:
            self._folder.write(None)
            os.close(lock)

    def _lock(self) -> int | None:
        """Become the keeper; None if another one is. Whoever looks for a keeper has the lock for a moment, too."""
        for _ in range(LOCK_TRIES):
            if (lock := self._folder.lock("keeper")) is not None:
                return lock
            time.sleep(LOOK_S)
        return None

    def _serve(self) -> bool:
        """Start the server and watch over it; tell whether it should be started again."""
        server = self._start()
        try:
            began_s, used_s, ready = time.monotonic(), time.monotonic(), False
            while not self._ending:
                if server.poll() is not None:
                    print(f"the server ended with status {server.returncode}", file=sys.stderr, flush=True)
                    return True
                if not ready and self._is_ready():
                    ready = True
                    self._folder.write(self._address)
                if not ready and time.monotonic() - began_s > READY_S:
                    return True
                with self._folder.tried("users") as unused:
                    used_s = used_s if unused else time.monotonic()
                    if time.monotonic() - used_s > self._idle_s:
                        self._folder.write(None)  # nobody may still find it
                        return False
                time.sleep(LOOK_S)
            return False
        finally:
            self._folder.write(None)
            _stop(server)

    def _start(self) -> subprocess.Popen[Any]:
        command = [part.replace("{port}", str(self._address.port)) for part in self._command]
        environment = os.environ | {"CSM_API_KEYS": self._address.api_key}
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._address.url}/ready", timeout=1.0) as answer:
                return answer.status == 200
        except (OSError, ValueError):
            return False

    def _died_too_often(self) -> bool:
        now_s = time.monotonic()
        self._deaths.append(now_s)
        while now_s - self._deaths[0] > DEATHS_IN_S:
            self._deaths.popleft()
        time.sleep(min(2.0, 0.1 * 2 ** len(self._deaths)))
        return len(self._deaths) >= MAX_DEATHS

    def _end(self, _signal: int, _frame: object) -> None:
        self._ending = True


def _address(folder: Folder) -> Address:
    """Return the address of the last server, so that its clients find this one; another one if its port is taken."""
    known = folder.read("last.json")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", known.port if known else 0))
        except OSError:
            known = None
            probe.bind(("127.0.0.1", 0))
        address = known or Address(probe.getsockname()[1], secrets.token_urlsafe(32))
    folder.write(address, "last.json")
    return address


def _die_with_parent() -> None:
    """Linux: end the server when its keeper is killed."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(server: subprocess.Popen[Any]) -> None:
    if server.poll() is None:
        server.terminate()
        try:
            server.wait(END_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


if __name__ == "__main__":
    folder, model, *command = sys.argv[1:]
    sys.exit(Keeper(Folder(Path(folder)), model, command).run())
