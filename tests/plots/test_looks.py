"""Words for figures."""

import pytest

from helios_research._util.text import counted
from helios_research.plots import looks
from helios_research.plots.looks import fit_names, listed, name_of, plain, shorten, width_in, wrap


def test_a_name_is_put_into_one_line_without_control_characters() -> None:
    assert plain("  a\tb\nc\x07\u200bd ") == "a b cd"


def test_what_no_font_can_draw_is_replaced_and_explained(monkeypatch) -> None:
    monkeypatch.setattr(looks, "_characters", lambda: frozenset(map(ord, "abc ")))
    assert plain("abcé") == "abc\N{REPLACEMENT CHARACTER}"
    assert "no font here can draw" in str(looks.about_fonts(["é"]))
    assert looks.about_fonts(["abc"]) is None


def test_a_long_name_keeps_both_its_ends() -> None:
    short = shorten("condition with a long name, version A", 1.2, 8)
    assert short.startswith("condi")
    assert short.endswith("A")
    assert width_in(short, 8) <= 1.2


def test_a_short_name_stays_as_it_is() -> None:
    assert shorten("night", 2, 8) == "night"


def test_lines_fit_and_are_no_more_than_asked_for() -> None:
    lines = wrap("one two three four five six seven eight", 0.7, 8, most=2).split("\n")
    assert len(lines) == 2
    assert all(width_in(line, 8) <= 0.7 for line in lines)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ERR_RECORDING_TOO_SHORT", "too short"),
        ("INVALID_DATE_OF_BIRTH", "invalid date of birth"),
        ("HTTP_422", "metadata not accepted"),
        ("HTTP_503", "HTTP 503"),
        ("pending", "pending"),
    ],
)
def test_a_code_is_said_in_small_letters(code, words) -> None:
    assert name_of(code) == words


def test_one_thing_is_singular() -> None:
    assert (counted(1, "recording"), counted(2_000, "recording")) == (
        "1 recording",
        "2,000 recordings",
    )


def test_rare_reasons_are_summed_up() -> None:
    reasons = {"A_B": 5, "pending": 3, "C": 2, "D": 2, "E": 2, "F": 1, "G": 1}
    assert listed(reasons) == "5 a b, 3 pending, 2 c, 2 d, 2 e, 2 for other reasons"


def test_names_that_differ_in_the_middle_stay_different() -> None:
    names = [f"Department of medicine, ward number {n} on the second floor" for n in (1, 2, 3)]
    assert len({shorten(name, 1.2, 8) for name in names}) == 1, "each for itself, they are the same"
    fitted = fit_names(names, 1.2, 8)
    assert [name.strip("…")[-1] for name in fitted] == ["1", "2", "3"]
    assert all(width_in(name, 8) <= 1.2 for name in fitted)
    assert fit_names(["day", "night", "day"], 1.2, 8) == ["day", "night", "day"]


def test_where_that_does_not_do_the_shared_beginning_goes_too() -> None:
    names = [f"a shared beginning of the name {n}{'y' * 30} in between" for n in (1, 2)]
    assert [name[:2] for name in fit_names(names, 0.5, 8)] == ["…1", "…2"]


def test_names_without_spaces_that_differ_in_the_middle_stay_different() -> None:
    names = [f"{'x' * 38}{letter}{'y' * 41}" for letter in "abc"]
    fitted = fit_names(names, 1.2, 8)
    assert [name.strip("…")[-1] for name in fitted] == ["a", "b", "c"]
    assert all(width_in(name, 8) <= 1.2 for name in fitted)
