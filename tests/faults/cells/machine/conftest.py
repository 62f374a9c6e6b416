"""What a machine can do to a study: small disks, lost permissions, limits and signals."""

import ctypes
import inspect
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

# --- disks ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system of a few megabytes."""

    path: Path

    @property
    def _film(self) -> Path:
        return self.path / "somebody else's film.mp4"

    def fill(self) -> None:
        """Leave no byte."""
        with self._film.open("ab", buffering=0) as film:
            for size in (1 << 20, 1 << 14, 1 << 12, 1):
                try:
                    while True:
                        film.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        """Delete what filled it."""
        self._film.unlink()


@pytest.fixture
def small_disk(tmp_path) -> Iterator[SmallDisk]:
    """Mount a disk in memory, which only root may."""
    path = tmp_path / "small disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs", path]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a disk of a few megabytes needs root")
    yield SmallDisk(path)
    subprocess.run(["umount", "--lazy", path], check=True)


_watches: list[tuple[str, str, Callable[[], None]]] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    for watch in list(_watches):
        name, part, act = watch
        if event == name and any(part in str(argument) for argument in arguments):
            _watches.remove(watch)
            act()


@pytest.fixture
def just_before() -> Iterator[Callable[[str, str, Callable[[], None]], None]]:
    """Do something at the moment when this process is about to touch a certain file."""
    if not hasattr(sys, "_helios_audit"):
        # A hook for good, as Python has no others; it does nothing while nobody watches.
        sys.addaudithook(_watch)
        sys._helios_audit = True

    def watch(event: str, part: str, act: Callable[[], None]) -> None:
        _watches.append((event, part, act))

    yield watch
    _watches.clear()


# --- permissions ---------------------------------------------------------------------------------

_CAPABILITY_VERSION_3 = 0x20080522
_BYPASSES = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _obey_permissions() -> None:
    """Let the mode of files count for root too, in this thread and in those that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_CAPABILITY_VERSION_3, 0), (_Sets * 2)()
    libc.capget(ctypes.byref(header), ctypes.byref(sets))
    sets[0].effective &= ~_BYPASSES
    # What is permitted counts for access(2), which asks on behalf of the real user.
    sets[0].permitted &= ~_BYPASSES
    if libc.capset(ctypes.byref(header), ctypes.byref(sets)):
        raise OSError(ctypes.get_errno(), "capset")


@pytest.fixture
def permissions(tmp_path) -> Iterator[None]:
    """Hold a test to the modes of files, as everybody but root is."""
    if os.geteuid() == 0 and not sys.platform.startswith("linux"):
        pytest.skip("nothing is forbidden to root here")
    yield
    for folder in tmp_path.rglob("*"):
        if folder.is_dir():
            folder.chmod(0o700)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests that are held to permissions in a thread of their own, which never regains them."""
    if "permissions" not in pyfuncitem.fixturenames or os.geteuid() != 0:
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    with ThreadPoolExecutor(1, initializer=_obey_permissions) as bound:
        bound.submit(pyfuncitem.obj, **{name: pyfuncitem.funcargs[name] for name in names}).result()
    return True


# --- processes -----------------------------------------------------------------------------------

COMMAND = "from helios_research.__main__ import main; main()"


@dataclass(slots=True)
class Child:
    """A submission in a process of its own."""

    process: subprocess.Popen[str]
    out: str = ""
    err: str = ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; after SIGKILL wait until nothing is left of it."""
        self.process.send_signal(number)
        if number is signal.SIGKILL:
            self.process.wait(timeout=30)

    def limit(self, what: int, most: int) -> None:
        """Change one of its limits while it runs."""
        resource.prlimit(self.pid, what, (most, resource.prlimit(self.pid, what)[1]))

    def end(self) -> int:
        """Wait for its end and give its exit status."""
        self.out, self.err = self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture
def submit_elsewhere(trial, tmp_path) -> Iterator[Callable[..., Child]]:
    """Submit three recordings on the command line, in a process of its own."""
    started: list[subprocess.Popen[str]] = []
    manifest = tmp_path / "manifest.csv"
    trial.table.head(3).to_csv(manifest, index=False)

    def start(prelude: str = "", command: str = COMMAND) -> Child:
        options = ["--study", trial.folder, "--tags", "arm", "--no-preflight", "--rate", "80"]
        options += ["--poll-floor", "0.1"]
        process = subprocess.Popen(
            [sys.executable, "-c", f"{prelude}\n{command}", "submit", manifest, *options],
            env=os.environ
            | {"THYMIA_BASE_URL": trial.base_url, "THYMIA_API_KEY": trial.sandbox.api_key},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return Child(process)

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
