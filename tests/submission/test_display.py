"""One line that is rewritten on a terminal, and plain lines where lines stay."""

import io
import os
import pty
import struct
import termios
from fcntl import ioctl
from pathlib import Path
from typing import TextIO

import pytest

from helios_research.columns import Outcome
from helios_research.state.status import Progress
from helios_research.submission import background
from helios_research.submission.background import progress_line

HALF = Progress(10, {Outcome.SCORED: 5, Outcome.PENDING: 5}, in_flight=5)
OVER = Progress(10, {Outcome.SCORED: 10}, is_over=True, elapsed_s=7)


@pytest.fixture
def terminal():
    """A terminal of 24 columns: the stream to write to, and what appeared on it so far."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 24, 0, 0))

    def seen(until: str) -> str:
        # A terminal passes on what was written to it in its own time.
        text = ""
        while until not in text:
            text += os.read(ours, 65_536).decode()
        return text

    with os.fdopen(theirs, "w") as stream:
        yield stream, seen
    os.close(ours)


def drop_what_is_left(stream: TextIO) -> None:
    """Let a broken stream be closed, which writes what is in its buffer."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def test_a_terminals_line_is_as_wide_as_that_terminal_whatever_stdout_is(terminal) -> None:
    stream, seen = terminal
    progress_line(stream)(HALF)
    line = seen(until="…").removeprefix("\r\x1b[K")
    assert line.endswith("…")
    assert len(line) < 24


def test_the_last_line_ends_once_however_often_it_is_shown(terminal) -> None:
    stream, seen = terminal
    show = progress_line(stream)
    for progress in (HALF, HALF, OVER, OVER, OVER):
        show(progress)
    text = seen(until="\n")
    assert text.count("\r\x1b[K") == 2
    assert text.count("\n") == 1


def test_elsewhere_a_line_is_written_at_the_start_now_and_then_and_at_the_end(monkeypatch) -> None:
    now = iter([0.0, 0.0, 1.0, 5.0, 11.0, 11.0, 12.0, 12.0]).__next__
    monkeypatch.setattr(background.time, "monotonic", now)
    stream = io.StringIO()
    show = progress_line(stream)
    for done in range(4):
        show(Progress(10, {Outcome.SCORED: done, Outcome.PENDING: 10 - done}))
    show(OVER)
    lines = stream.getvalue().splitlines()
    assert [line.split(" ")[0] for line in lines] == ["0", "3", "10"]
    assert "\r" not in stream.getvalue()


def test_a_submission_goes_on_when_nobody_reads_its_line_any_more() -> None:
    """A pipe that was closed, as by ``head``."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        show = progress_line(stream)
        os.close(reading)
        show(HALF)
        show(OVER)
        with pytest.raises(BrokenPipeError):
            stream.flush()
        drop_what_is_left(stream)


def test_a_terminal_that_was_closed_ends_the_line_and_not_the_submission() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        show = progress_line(stream)
        assert stream.isatty()
        os.close(ours)
        show(HALF)
        show(OVER)
        drop_what_is_left(stream)


def test_where_there_is_no_stream_nothing_is_shown(monkeypatch) -> None:
    """As under pythonw, or in a service."""
    monkeypatch.setattr(background.sys, "stderr", None)
    progress_line()(OVER)
