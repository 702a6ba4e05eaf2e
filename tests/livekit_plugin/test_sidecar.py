"""The server beside the worker: one for all processes, back after a crash, gone after its users."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from csm_plugin.errors import SettingsError
from csm_plugin.livekit import sidecar_process
from csm_plugin.livekit.sidecar import Address, Folder, Sidecar, SidecarError

STAND_IN = str(Path(__file__).parent / "stand_in_server.py")
WAIT_S = 60.0
Eventually = Callable[[Callable[[], bool]], None]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def eventually() -> Eventually:
    """Wait until something holds that processes do, on a machine that may be busy."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not holds():
            assert time.monotonic() < deadline, f"did not come true within {WAIT_S:g} s"
            time.sleep(0.02)

    return wait


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "sidecar")


@pytest.fixture
def make(folder: Folder, tmp_path: Path) -> Iterator[Callable[..., Sidecar]]:
    made: list[Sidecar] = []

    def sidecar(*extra: str) -> Sidecar:
        loads = str(tmp_path / "loads")
        made.append(Sidecar("tiny", command=[sys.executable, STAND_IN, "{port}", *(extra or (loads,))], folder=folder))
        return made[-1]

    yield sidecar
    for one in made:
        one.leave()
    for process in psutil.process_iter(["cmdline"]):
        if str(folder.path) in (process.info["cmdline"] or []):
            process.terminate()
            process.wait(WAIT_S)


def ask(address: Address, path: str = "/ready") -> str:
    with urllib.request.urlopen(address.url + path, timeout=WAIT_S) as answer:
        return answer.read().decode()


def loads(tmp_path: Path) -> list[int]:
    return [int(line) for line in (tmp_path / "loads").read_text().split()]


def is_up(address: Address) -> bool:
    try:
        return ask(address) == "ready"
    except OSError:
        return False


def test_many_who_start_it_at_once_share_one(make: Callable[..., Sidecar], tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        addresses = set(pool.map(lambda one: one.start(WAIT_S), [make() for _ in range(6)]))
    (address,) = addresses
    assert ask(address) == "ready" and len(loads(tmp_path)) == 1
    assert ask(address, "/key") == address.api_key and len(address.api_key) > 30


def test_other_processes_find_it(make: Callable[..., Sidecar], folder: Folder, tmp_path: Path) -> None:
    address = make().start(WAIT_S)
    code = (
        "import sys; from pathlib import Path; from csm_plugin.livekit.sidecar import Folder, Sidecar; "
        "print(Sidecar('tiny', folder=Folder(Path(sys.argv[1]))).start(60).port)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(folder.path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(told.stdout) == address.port and len(loads(tmp_path)) == 1


def test_it_is_back_at_the_same_address_after_a_crash(
    make: Callable[..., Sidecar], tmp_path: Path, eventually: Eventually
) -> None:
    sidecar = make()
    address = sidecar.start(WAIT_S)
    os.kill(loads(tmp_path)[0], signal.SIGKILL)
    eventually(lambda: len(loads(tmp_path)) == 2 and is_up(address))
    assert sidecar.start(WAIT_S) == address


def test_it_is_back_at_the_same_address_after_its_keepers_end(
    make: Callable[..., Sidecar], folder: Folder, tmp_path: Path, eventually: Eventually
) -> None:
    sidecar = make()
    address = sidecar.start(WAIT_S)
    server = psutil.Process(loads(tmp_path)[0])
    server.parent().kill()
    eventually(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)
    assert sidecar.start(WAIT_S) == address and len(loads(tmp_path)) == 2


def test_it_ends_after_its_last_user(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    command = [sys.executable, STAND_IN, "{port}", str(tmp_path / "loads")]
    users = folder.lock("users", shared=True)
    assert users is not None
    code = (
        "import sys; from pathlib import Path; from csm_plugin.livekit.sidecar_process import Keeper; "
        "from csm_plugin.livekit.sidecar import Folder; "
        "sys.exit(Keeper(Folder(Path(sys.argv[1])), 'tiny', sys.argv[2:], idle_s=0.5).run())"
    )
    keeping = subprocess.Popen([sys.executable, "-c", code, str(folder.path), *command])
    eventually(lambda: folder.read() is not None)
    time.sleep(1.0)
    assert keeping.poll() is None
    os.close(users)
    assert keeping.wait(WAIT_S) == 0 and folder.read() is None
    assert not psutil.pid_exists(loads(tmp_path)[0])


def test_one_that_cannot_start_says_where_the_reason_is(
    make: Callable[..., Sidecar], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SidecarError, match=r"it died 4 times .* see .*log"):
        make("never").start()


def test_leaving_ends_a_start(make: Callable[..., Sidecar], tmp_path: Path, eventually: Eventually) -> None:
    sidecar = make(str(tmp_path / "loads"), "600")
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(sidecar.start)
        eventually(lambda: (tmp_path / "loads").exists())
        sidecar.leave()
        with pytest.raises(SidecarError, match="was left while it started"):
            starting.result(WAIT_S)


def test_a_keeper_that_comes_late_leaves_the_address_alone(make: Callable[..., Sidecar], folder: Folder) -> None:
    address = make().start(WAIT_S)
    assert sidecar_process.Keeper(folder, "tiny", ["false"]).run() == 0
    assert folder.read() == folder.read("last.json") == address


def test_its_folder_is_for_this_user_alone(tmp_path: Path, folder: Folder) -> None:
    assert folder.path.stat().st_mode & 0o077 == 0
    folder.write(Address(1, "key"))
    assert (folder.path / "address.json").stat().st_mode & 0o077 == 0
    open_to_all = tmp_path / "open"
    open_to_all.mkdir(mode=0o755)
    with pytest.raises(SettingsError, match="not this user's alone"):
        Folder(open_to_all)
    link = tmp_path / "link"
    link.symlink_to(folder.path)
    with pytest.raises(SettingsError):
        Folder(link)


def test_the_keeper_needs_neither_livekit_nor_torch() -> None:
    code = "import sys, csm_plugin.livekit.sidecar_process; print({'livekit', 'torch', 'numpy'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "set()" and sidecar_process.IDLE_S > 0
