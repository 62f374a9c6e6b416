"""What the tests of the ledger share: attempts to write down, a clock, other processes."""

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from helios_research.ledger import Ledger, NewAttempt

NOBODY = 65534


class Clock:
    """Goes on by a second each time it is looked at."""

    def __init__(self) -> None:
        self.present = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.present += timedelta(seconds=1)
        return self.present


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new_attempt() -> Callable[..., NewAttempt]:
    def make(recording: int = 1, /, **changes: Any) -> NewAttempt:
        facts: dict[str, Any] = {
            "sha256": f"{recording:064x}",
            "request_digest": "d" * 64,
            "request": {"language": "en-GB", "user": {"userLabel": f"p{recording}"}},
            "number": 1,
            "media_type": "audio/wav",
            "size_bytes": 960_044,
            "duration_s": 30.5,
            "delete_data": False,
            "source": "sandbox",
        }
        return NewAttempt(**facts | changes)

    return make


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "study", clock=clock) as ledger:
        yield ledger


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start scripts in processes of their own, and end them when the test ends."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run_python(start_python: Callable[..., subprocess.Popen[str]]) -> Callable[..., str]:
    """Run a script to its end and return what it printed."""

    def run(script: str, *arguments: object) -> str:
        process = start_python(script, *arguments)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return output

    return run


@pytest.fixture
def run_unprivileged(run_python: Callable[..., str]) -> Callable[..., str]:
    """Run a script as somebody whom file permissions stop, also where the tests run as root."""
    drop = f"""
        import asyncio, os, sys
        from pathlib import Path
        import helios_research.ledger as hl
        if os.getuid() == 0:
            os.setgid({NOBODY})
            os.setuid({NOBODY})
        """

    def run(script: str, *arguments: object) -> str:
        return run_python(textwrap.dedent(drop) + textwrap.dedent(script), *arguments)

    return run


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Make a folder that an unprivileged process can reach and write to."""
    with tempfile.TemporaryDirectory() as name:
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)
        Path(name).chmod(0o755)
