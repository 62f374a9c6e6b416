"""Colours, a bar, and one line that is rewritten on a terminal and in a notebook, or plain lines."""

import io
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Callable, Iterator
from fcntl import ioctl
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO

import pytest
from IPython import display

from helios_research._util.screen import (
    Colour,
    ProgressLine,
    bar,
    has_colours,
    in_notebook,
    painted,
)

HALF = "5 of 10 done, 5 in flight, 12 a minute"
OVER = "10 of 10 done in 7 s"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock by one that a test moves."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def columns() -> int:
    return 24


@pytest.fixture
def terminal(columns, monkeypatch) -> Iterator[tuple[TextIO, Callable[[str], str]]]:
    """A terminal of some columns: the stream to write to, and what appeared on it so far."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

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
    ProgressLine(stream)(HALF)
    line = seen(until="…").removeprefix("\r\x1b[K")
    assert line.endswith("…")
    assert len(line) < 24


def test_the_last_line_ends_once_however_often_it_is_shown(terminal) -> None:
    stream, seen = terminal
    show = ProgressLine(stream)
    for text in (HALF, HALF, OVER, OVER, OVER):
        show(text, is_last=text == OVER)
    text = seen(until="\n")
    assert text.count("\r\x1b[K") == 2
    assert text.count("\n") == 1


def test_a_terminals_line_is_not_rewritten_faster_than_it_can_be_read(terminal, clock) -> None:
    stream, seen = terminal
    show = ProgressLine(stream)
    for number in range(100):
        clock[0] += 0.01
        show(f"{number} of 100")
    show("100 of 100", is_last=True)
    assert 5 <= seen(until="\n").count("\r\x1b[K") <= 12


SHARES = [(0.5, Colour.GREEN), (0.1, Colour.RED)]


@pytest.mark.parametrize("columns", [78])
def test_a_wide_terminal_has_a_bar_before_what_one_looks_at_first(terminal) -> None:
    stream, seen = terminal
    ProgressLine(stream)("26/42 · 48 s left · " + "x" * 90, shares=SHARES)
    line = seen(until="…").removeprefix("\r\x1b[K")
    bar, text = f"[\x1b[32m{'#' * 10}\x1b[0m\x1b[31m##\x1b[0m{'-' * 8}] ", "26/42 · 48 s left · x"
    assert line.startswith(bar + text)
    assert len(re.sub(r"\x1b\[\d+m", "", line)) < 78


def test_a_narrow_terminal_has_room_for_no_bar(terminal) -> None:
    stream, seen = terminal
    ProgressLine(stream)("26/42", shares=SHARES, is_last=True)
    assert seen(until="\n") == "\r\x1b[K26/42\r\n"


@pytest.mark.parametrize("columns", [78])
def test_what_is_wrong_is_red_unless_the_environment_wants_no_colours(
    terminal, monkeypatch
) -> None:
    stream, seen = terminal
    ProgressLine(stream)("no connection", is_error=True, is_last=True)
    assert "\x1b[31mno connection\x1b[0m" in seen(until="\n")
    monkeypatch.setenv("NO_COLOR", "1")
    ProgressLine(stream)("no connection", shares=SHARES, is_error=True, is_last=True)
    assert seen(until="\n") == f"\r\x1b[K[{'#' * 12}{'-' * 8}] no connection\r\n"


def test_a_terminal_that_knows_no_more_than_lines_gets_lines(terminal, monkeypatch, clock) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream, seen = terminal
    show = ProgressLine(stream)
    show("1/2", shares=SHARES)
    show("2/2", shares=SHARES, is_last=True)
    assert seen(until="2/2\r\n") == "1/2\r\n2/2\r\n"


def test_elsewhere_a_line_is_written_at_the_start_now_and_then_and_at_the_end(clock) -> None:
    stream = io.StringIO()
    show = ProgressLine(stream)
    for number, pause_s in enumerate((0, 1, 4, 6)):
        clock[0] += pause_s
        show(f"{number} of 10")
    show("10 of 10", is_last=True)
    assert stream.getvalue() == "0 of 10\n3 of 10\n10 of 10\n"


def test_elsewhere_the_last_line_is_not_repeated(clock) -> None:
    stream = io.StringIO()
    show = ProgressLine(stream)
    show("1 of 1")
    show("1 of 1", is_last=True)
    assert stream.getvalue() == "1 of 1\n"


def test_work_continues_when_the_reader_of_its_line_has_ended() -> None:
    """A pipe that was closed, as by ``head``."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        show = ProgressLine(stream)
        os.close(reading)
        show(HALF)
        show(OVER, is_last=True)
        with pytest.raises(BrokenPipeError):
            stream.flush()
        drop_what_is_left(stream)


def test_a_terminal_that_was_closed_ends_the_line_and_not_the_work() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        show = ProgressLine(stream)
        assert stream.isatty()
        os.close(ours)
        show(HALF)
        show(OVER, is_last=True)
        drop_what_is_left(stream)


def test_where_there_is_no_stream_nothing_is_shown(monkeypatch) -> None:
    """As under pythonw, or in a service."""
    monkeypatch.setattr(sys, "stderr", None)
    ProgressLine()(OVER, is_last=True)


def test_a_notebook_shows_one_output_and_rewrites_it(monkeypatch, clock) -> None:
    shown: list[str] = []

    class Handle:
        def update(self, content: dict[str, str], **_: object) -> None:
            shown.append(f"updated {content['text/plain']}")

    def show(content: dict[str, str], **_: object) -> Handle:
        shown.append(f"displayed {content['text/plain']}")
        return Handle()

    monkeypatch.setattr("IPython.get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(display, "display", show)
    line = ProgressLine()
    line(HALF)
    line(OVER, is_last=True)
    assert in_notebook()
    assert shown == [f"displayed {HALF}", f"updated {OVER}"]


def test_a_script_is_not_a_notebook() -> None:
    assert not in_notebook()


# --- colours and the bar ---------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def no_settings(monkeypatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.usefixtures("no_settings")
def test_a_terminal_has_colours_and_a_file_has_none() -> None:
    assert has_colours(Terminal())
    assert not has_colours(io.StringIO())
    assert not has_colours(None)


@pytest.mark.usefixtures("no_settings")
@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False)],
)
def test_the_environment_can_switch_colours_off(monkeypatch, name, value, expected) -> None:
    monkeypatch.setenv(name, value)
    assert has_colours(Terminal()) is expected


def test_text_is_painted_only_where_there_are_colours() -> None:
    assert painted("no", Colour.RED, has_colours=True) == "\x1b[31mno\x1b[0m"
    assert painted("no", Colour.RED, has_colours=False) == "no"
    assert painted("no", None, has_colours=True) == "no"


@pytest.mark.parametrize(
    ("shares", "drawn"),
    [
        ([], "[--------]"),
        ([0.5], "[####----]"),
        ([0.25, 0.25], "[####----]"),
        ([0.999], "[#######-]"),
        ([0.3, 0.3, 0.4], "[########]"),
        ([0.1] * 10, "[########]"),
    ],
)
def test_a_bar_is_full_only_where_nothing_is_left(shares, drawn) -> None:
    assert bar([(share, None) for share in shares], 8, has_colours=False) == drawn


def test_each_part_of_a_bar_has_its_colour() -> None:
    drawn = bar([(0.5, Colour.GREEN), (0.25, Colour.RED)], 4, has_colours=True)
    assert drawn == "[\x1b[32m##\x1b[0m\x1b[31m#\x1b[0m-]"
    assert re.sub(r"\x1b\[\d+m", "", drawn) == "[###-]"
