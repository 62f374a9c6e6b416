"""Colours where a terminal has them, and a bar that is full only at the end."""

import io
import re

import pytest

from helios_research._util.terminal import Colour, bar, has_colours, painted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_settings(monkeypatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_has_colours_and_a_file_has_none() -> None:
    assert has_colours(Terminal())
    assert not has_colours(io.StringIO())
    assert not has_colours(None)


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
