"""A server beside the worker: found or started by whoever needs it first, shared by all processes of a machine.

Everything about it lies in one folder that only this user can read: `address.json` tells where the server is once it
is ready, `last.json` where the last one was, `keeper` is locked by the process that keeps it, and `users` is locked,
shared, by every process that uses it. Locks end with their process, so that nothing has to be tidied up after a crash.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from csm_plugin.errors import CSMError, SettingsError

START_TIMEOUT_S = 600.0
"""How long a server may take to be ready: it may have to fetch and load gigabytes."""

POLL_S = 0.05
MAX_KEEPERS = 4
"""So many keepers are started before it is given up: each ends by itself where another one was quicker."""


class SidecarError(CSMError):
    """The server beside the worker cannot be started."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and the key that it was started with. Both stay as they are when it is started again."""

    port: int
    api_key: str

    @property
    def url(self) -> str:
        """Where to reach it."""
        return f"http://127.0.0.1:{self.port}"


class Folder:
    """The files of one sidecar.

    Args:
        path: made if it is not there; must be this user's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = path.lstat()
        if about.st_uid != os.getuid() or about.st_mode & 0o077:
            raise SettingsError(f"the folder {path} is not this user's alone; remove it, or set CSM_SIDECAR_DIR")

    @classmethod
    def of(cls, model: str) -> Folder:
        """Return the folder for a model: in `CSM_SIDECAR_DIR`, else in the user's runtime folder."""
        base = os.environ.get("CSM_SIDECAR_DIR") or os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
        name = hashlib.sha256(model.encode()).hexdigest()[:12]
        return cls(Path(base) / f"csm-plugin-{os.getuid()}-{name}")

    @property
    def log(self) -> Path:
        """Where the server writes what it has to say."""
        return self.path / "log"

    def read(self, name: str = "address.json") -> Address | None:
        """Return where the server is, None while it is not ready."""
        try:
            return Address(**json.loads((self.path / name).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, address: Address | None, name: str = "address.json") -> None:
        """Tell where the server is; None if it is not ready."""
        if address is None:
            (self.path / name).unlink(missing_ok=True)
            return
        draft = self.path / f"{name}.draft"
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(address)), encoding="utf-8")
        draft.replace(self.path / name)

    def fail(self, why: str | None) -> None:
        """Tell why there will be no server; None if that is not so."""
        file = self.path / "failure"
        if why is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(why, encoding="utf-8")

    def failure(self) -> str | None:
        """Return why there will be no server, None if that is not so."""
        try:
            return (self.path / "failure").read_text(encoding="utf-8")
        except OSError:
            return None

    def lock(self, name: str, *, shared: bool = False) -> int | None:
        """Take a lock without waiting, until its descriptor is closed or the process ends; None if it is taken."""
        descriptor = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor

    @contextlib.contextmanager
    def tried(self, name: str) -> Iterator[bool]:
        """Tell whether a lock is free, for the moment."""
        descriptor = self.lock(name)
        try:
            yield descriptor is not None
        finally:
            if descriptor is not None:
                os.close(descriptor)


class Sidecar:
    """This process's use of the shared server. Safe from any thread; the methods block.

    Args:
        model: what the server speaks with.
        command: what is started instead of `csm serve`, for tests.
        folder: where its files are, else `Folder.of(model)`.
    """

    def __init__(self, model: str, *, command: Sequence[str] = (), folder: Folder | None = None) -> None:
        self._model = model
        self._command = list(command)
        self._folder = folder
        self._guard = threading.Lock()
        self._departures = 0
        self._users: int | None = None
        self._keeper: subprocess.Popen[Any] | None = None

    def start(self, timeout_s: float = START_TIMEOUT_S) -> Address:
        """Return where the server is, started if need be and ready; it stays as long as somebody uses it.

        Raises:
            SidecarError: it cannot be started, is not ready in time, or was left meanwhile.
        """
        deadline, departures = time.monotonic() + timeout_s, self._departures
        with self._guard:
            folder = self._folder = self._folder or Folder.of(self._model)
            keepers = 0
            while self._departures == departures:
                self._users = self._users or folder.lock("users", shared=True)
                with folder.tried("keeper") as free:
                    pass
                if not free and self._users is not None and (address := folder.read()):
                    return address
                is_keeping = self._keeper is not None and self._keeper.poll() is None
                why = folder.failure() if keepers and free else None
                if why is not None or (free and keepers == MAX_KEEPERS and not is_keeping):
                    raise SidecarError(
                        f"the server for {self._model} ended: {why or 'nothing keeps it'}; see {folder.log}"
                    )
                if time.monotonic() > deadline:
                    raise SidecarError(
                        f"the server for {self._model} was not ready within {timeout_s:g} s; see {folder.log}"
                    )
                if free and self._users is not None and not is_keeping:
                    folder.fail(None)
                    folder.write(None)
                    self._keeper = self._begin(folder)
                    keepers += 1
                time.sleep(POLL_S)
        raise SidecarError(f"the server for {self._model} was left while it started")

    def leave(self) -> None:
        """Stop using the server, also while it starts; the last user's leaving ends it, after a while."""
        self._departures += 1
        with self._guard:
            if self._users is not None:
                os.close(self._users)
                self._users = None

    def _begin(self, folder: Folder) -> subprocess.Popen[Any]:
        """Start the process that keeps the server; if another one is quicker, it ends by itself."""
        given = [
            sys.executable,
            "-m",
            "csm_plugin.livekit.sidecar_process",
            str(folder.path),
            self._model,
            *self._command,
        ]
        with folder.log.open("ab") as log:
            return subprocess.Popen(given, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
