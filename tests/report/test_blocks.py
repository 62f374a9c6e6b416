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
    assert blocks.p_value(0.0004) == "< 0.001"
    assert blocks.p_value(0.0454) == "0.045"
    assert blocks.p_value(nan) == "\N{EN DASH}"
    assert blocks.listed(["arm", "site", "visit"]) == "arm, site and visit"
    assert blocks.listed([]) == "none"
