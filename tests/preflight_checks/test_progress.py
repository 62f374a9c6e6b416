"""How far a check has come."""

import io

import pytest

from helios_research.preflight_checks.pool import ProgressLine, chosen


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that a test moves."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_elsewhere_than_on_a_terminal_lines_are_rare_and_whole(clock):
    stream = io.StringIO()
    line = ProgressLine(stream)
    for done in range(1, 31):
        clock[0] += 1
        line(done, 30)
    assert stream.getvalue().splitlines() == [
        "checked 10 of 30 recordings, 60 a minute",
        "checked 20 of 30 recordings, 60 a minute",
        "checked 30 of 30 recordings, 60 a minute",
    ]


def test_on_a_terminal_one_line_is_written_over(clock):
    stream = Terminal()
    line = ProgressLine(stream)
    for done in (1, 2):
        clock[0] += 1
        line(done, 2)
    first, second = stream.getvalue().split("\r")[1:]
    assert first.endswith("checked 1 of 2 recordings, 60 a minute")
    assert second.endswith("checked 2 of 2 recordings, 120 a minute".replace("120", "60") + "\n")


def test_the_caller_chooses(capsys):
    seen = []
    chosen(lambda done, total: seen.append((done, total)))(1, 2)
    chosen(False)(1, 1)
    assert seen == [(1, 2)]
    assert capsys.readouterr().err == ""
    chosen(True)(1, 1)
    assert capsys.readouterr().err.startswith("checked 1 of 1 recording, ")
