"""Numbers and lists as a report writes them."""

from math import nan

from helios_research.report import blocks


def test_numbers_and_lists_are_written_for_a_reader() -> None:
    assert blocks.count(1487.0) == "1,487"
    assert blocks.count(nan) == "\N{EN DASH}"
    assert blocks.percent(0.0754) == "7.5 %"
    assert blocks.percent(nan) == "\N{EN DASH}"
    assert blocks.decimal(-0.126) == "\N{MINUS SIGN}0.13"
    assert blocks.decimal(-0.001) == "0.00"
    assert blocks.with_interval(0.1, -0.2, 0.3) == "0.10 (\N{MINUS SIGN}0.20 to 0.30)"
    assert blocks.with_interval(0.1, nan, nan) == "0.10"
    assert blocks.p_value(0.0004) == "< .001"
    assert blocks.p_value(0.0454) == ".045"
    assert blocks.p_value(1.0) == "1.000"
    assert blocks.p_value(nan) == "\N{EN DASH}"
    assert blocks.p_in_words(0.0004) == "p < .001"
    assert blocks.p_in_words(0.04, "p (Holm)") == "p (Holm) = .040"
    assert blocks.listed(["arm", "site", "visit"]) == "arm, site and visit"
    assert blocks.listed([]) == "none"


def test_an_interval_shows_on_which_side_of_zero_its_ends_are() -> None:
    minus = "\N{MINUS SIGN}"
    assert blocks.interval(-0.12, -0.004) == f"{minus}0.120 to {minus}0.004"
    assert blocks.interval(-0.12, 0.0) == f"{minus}0.12 to 0.00"
    assert blocks.interval(0.00001, 0.1) == "0.0000 to 0.1000"


def test_a_bare_number_is_named_with_its_column() -> None:
    assert blocks.in_words("visit", "6") == "visit 6"
    assert blocks.in_words("age", "18-30") == "age 18-30"
    assert blocks.in_words("arm", "placebo") == "placebo"


def test_numbers_are_to_the_right_and_names_to_the_left() -> None:
    rows = (
        ("1", "9 (60)", "\N{MINUS SIGN}0.1", "too short", "\N{EN DASH}"),
        ("2", "hidden", "< .001", "3 files", "0 to 1"),
    )
    table = blocks.Table("", ("visit", "a", "b", "c", "d"), rows)
    assert table.numeric == [False, True, True, False, True]


def test_what_several_panels_say_is_written_once() -> None:
    panels = [
        blocks.Picture("", 1, 1, "", about) for about in ("Line: x.\nn = 3.", "Line: x.\nn = 4.")
    ]
    assert blocks.pictures_of(panels, "Scores").caption == "Scores. Line: x. n = 3. n = 4."


def test_a_name_is_in_one_line_and_a_long_one_never_broken_before_a_minus() -> None:
    assert " " not in blocks.unbroken("visit 6 \N{MINUS SIGN} visit 1")
    long = blocks.unbroken("change in P(higher) \N{MINUS SIGN} P(lower)")
    assert long.split(" ") == [
        "change",
        "in",
        "P(higher)\N{NO-BREAK SPACE}\N{MINUS SIGN}",
        "P(lower)",
    ]
