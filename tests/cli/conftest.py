"""The command line as a researcher meets it: a process of its own, away from the checkout."""

import ctypes
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from helios_research.recording import examine as examine_recording
from helios_research.sandbox import SandboxSettings
from support.sandbox import ObservedSandbox

KEY = "a-key-that-must-not-be-seen"
QUICK = ("--rate", "80", "--poll-floor", "0.1", "--no-preflight")

Finished = subprocess.CompletedProcess[str]
CommandLine = Callable[..., Finished]

_DROP_FROM_BOUNDING_SET = 24
_BYPASSES_OF_PERMISSIONS = (1, 2)


@pytest.fixture
def command() -> list[str]:
    """What starts the command line: the entry point that the package installs."""
    return [str(Path(sys.executable).with_name("helios-research"))]


@pytest.fixture
def environment() -> dict[str, str]:
    """An environment with a key, of which nothing may ever be shown."""
    return {
        **os.environ,
        "THYMIA_API_KEY": KEY,
        "COLUMNS": "100",
    }


@pytest.fixture
def helios(command, environment, tmp_path) -> CommandLine:
    """Run the command line to its end, in a temporary folder."""

    def run(
        *arguments: object,
        env: dict[str, str] | None = None,
        largest_file: int | None = None,
        cwd: Path = tmp_path,
    ) -> Finished:
        return subprocess.run(
            [*command, *map(str, arguments)],
            env=environment | (env or {}),
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
            preexec_fn=lambda: _confine(largest_file),
        )

    return run


def _confine(largest_file: int | None) -> None:
    """Take root's way around permissions, and limit the size of files as a full disk does."""
    if os.geteuid() == 0:
        for capability in _BYPASSES_OF_PERMISSIONS:
            ctypes.CDLL(None).prctl(_DROP_FROM_BOUNDING_SET, capability)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))


@pytest.fixture
def manifest(make_cohort, tmp_path) -> Path:
    """A manifest of three recordings, with paths relative to it."""
    return write_manifest(make_cohort(3), tmp_path)


def write_manifest(table: pd.DataFrame, folder: Path) -> Path:
    path = folder / "manifest.csv"
    relative = [os.path.relpath(recording, folder) for recording in table["recording"]]
    table.assign(recording=relative).to_csv(path, index=False)
    return path


@pytest.fixture
def sandbox() -> Iterator[ObservedSandbox]:
    """A stand-in service that takes a moment, and one key."""
    settings = SandboxSettings(api_key=KEY, processing_s=0.1, processing_spread=0.0, pickup_s=0.02)
    known = {}

    def examine(path: str):
        size = Path(path).stat().st_size
        if size not in known:
            known[size] = examine_recording(path)
        return known[size]

    with ObservedSandbox(settings, examine=examine) as running:
        yield running


@pytest.fixture
def at(sandbox) -> dict[str, str]:
    """The environment that leads to the sandbox."""
    return {"THYMIA_BASE_URL": sandbox.base_url}


@pytest.fixture
def quick() -> tuple[str, ...]:
    """Options for a server without a limit."""
    return QUICK


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def refused() -> Callable[..., None]:
    """Hold that a command ended with one sentence that names what is wrong, and nothing else."""

    def check(finished: Finished, *words: str) -> None:
        assert finished.returncode == 2, finished
        assert "Traceback" not in finished.stderr, finished.stderr
        lines = finished.stderr.splitlines()
        assert [line.startswith("Error: ") for line in lines].count(True) == 1, finished.stderr
        assert lines[-1].startswith("Error: "), finished.stderr
        for word in words:
            assert word in lines[-1], lines[-1]
        assert KEY not in finished.stdout + finished.stderr

    return check
