"""The report as a browser shows it: on a desk, on a phone, in print, and without a network."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from helios_research.report import write_report
from support.browser import chromium

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def opened(browser: Browser, report: Path, width: int) -> tuple[Page, list[str], list[str]]:
    """Open the report, and note what it asks for and what it complains about."""
    page = browser.new_page(viewport={"width": width, "height": 800})
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri(), wait_until="load")
    return page, asked, said


@pytest.mark.parametrize("width", [390, 768, 1200])
def test_it_fits_any_width_and_asks_nobody_for_anything(
    browser: Browser, report: Path, width: int
) -> None:
    page, asked, said = opened(browser, report, width)
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert said == [], "the content security policy lets all of it through"
    sizes = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert sizes[0] <= sizes[1], "nothing makes the whole page scroll sideways"
    assert page.evaluate("getComputedStyle(document.querySelector('h2')).borderTopWidth") == "3px"
    page.close()


def test_every_picture_is_drawn_large_enough_to_read_on_a_phone(
    browser: Browser, report: Path
) -> None:
    page, _, _ = opened(browser, report, 390)
    pictures = page.evaluate(
        "[...document.images].map(i => [i.complete && i.naturalWidth, i.width, i.alt.length])"
    )
    assert pictures
    for pixels, width, words in pictures:
        assert pixels >= 600
        # 3.5 inches of 7 pt type, at 96 CSS pixels to the inch.
        assert width >= 320
        assert words > 0
    page.close()


def test_wide_tables_scroll_by_themselves_and_by_keyboard(browser: Browser, report: Path) -> None:
    page, _, _ = opened(browser, report, 390)
    regions = page.locator(".scroll")
    named = regions.evaluate_all("all => all.every(r => r.tabIndex === 0 && r.ariaLabel)")
    assert named
    wider = regions.evaluate_all("all => all.some(r => r.scrollWidth > r.clientWidth)")
    assert wider
    page.close()


def cut_off_in_print(page: Page) -> list[str]:
    """Lay a report out on A4, and give the tables and pictures that reach beyond the margin."""
    page.emulate_media(media="print")
    # The width of A4 between the margins of the style sheet, in CSS pixels.
    page.set_viewport_size({"width": 687, "height": 1000})
    return page.evaluate(
        "[...document.querySelectorAll('table, img')].filter("
        "e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.textContent.slice(0, 60))"
    )


def test_it_prints_with_nothing_cut_off(browser: Browser, report: Path, tmp_path: Path) -> None:
    page, _, _ = opened(browser, report, 1200)
    assert cut_off_in_print(page) == []
    assert page.locator("nav").is_hidden()
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    page.close()


def test_tables_of_a_whole_study_fit_on_paper_and_on_a_desk(
    browser: Browser, tmp_path: Path
) -> None:
    path = write_report(STUDY, tmp_path / "report.html", biomarkers=[])
    page, _, _ = opened(browser, path, 1280)
    wider = page.locator(".scroll").evaluate_all(
        "all => all.filter(r => r.scrollWidth > r.clientWidth).map(r => r.ariaLabel)"
    )
    assert wider == []
    assert cut_off_in_print(page) == []
    page.close()


@pytest.mark.parametrize("name", ["\u591c\u52e4" * 30, "night work with calls " * 3, "night_" * 10])
def test_long_names_of_levels_are_not_cut_off_in_print(
    browser: Browser, study: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    table = study.assign(site=study["site"].replace("Leeds", name))
    path = write_report(table, tmp_path / "report.html", by=["site"], biomarkers=[])
    page, _, _ = opened(browser, path, 1200)
    assert cut_off_in_print(page) == []
    page.close()


def test_a_short_table_is_not_torn_apart_by_the_end_of_a_page(
    browser: Browser, report: Path
) -> None:
    page, _, _ = opened(browser, report, 1200)
    page.emulate_media(media="print")
    rules = page.evaluate(
        "[...document.querySelectorAll('.table')].map("
        "t => [t.querySelectorAll('tbody tr').length, getComputedStyle(t).breakInside])"
    )
    assert {rule for rows, rule in rules if rows <= 14} == {"avoid"}
    assert {rule for rows, rule in rules if rows > 14} == {"auto"}
    page.close()


def test_a_row_that_continues_another_stays_with_it_in_print(
    browser: Browser, report: Path
) -> None:
    """Else a page would begin with numbers of a biomarker that stands on the page before."""
    page, _, _ = opened(browser, report, 1200)
    page.emulate_media(media="print")
    rules = page.evaluate(
        "[...document.querySelectorAll('#time tbody tr:not(:first-child)')].map("
        "r => [r.cells[0].textContent.trim() === '', getComputedStyle(r).breakBefore])"
    )
    assert {rule for continues, rule in rules if continues} == {"avoid"}
    assert {rule for continues, rule in rules if not continues} == {"auto"}
    page.close()


def test_a_heading_is_never_the_last_thing_on_a_page(browser: Browser, report: Path) -> None:
    page, _, _ = opened(browser, report, 1200)
    page.emulate_media(media="print")
    for part, rule in (("h2, h3, caption, thead", "breakAfter"), ("figcaption", "breakBefore")):
        rules = page.evaluate(
            f"[...document.querySelectorAll('{part}')].map(e => getComputedStyle(e).{rule})"
        )
        assert {*rules} == {"avoid"}
    page.close()


def test_long_words_in_a_table_keep_their_width_on_a_phone(browser: Browser, report: Path) -> None:
    """The codebook would else be a column of single words, many screens long."""
    page, _, _ = opened(browser, report, 390)
    widths = page.evaluate(
        "[...document.querySelectorAll('#codebook td.long')].map(c => c.clientWidth)"
    )
    assert widths
    assert min(widths) >= 200
    page.close()


def test_names_in_arabic_leave_numbers_and_names_in_their_order(
    browser: Browser, study: pd.DataFrame, tmp_path: Path
) -> None:
    """Characters of a line from left to right, as the browser placed them."""
    name = "\u0645\u0648\u0642\u0639 Leeds \u0641\u064a"
    table = study.assign(site=study["site"].replace("Leeds", name))
    path = write_report(table, tmp_path / "report.html", by=["site"], biomarkers=[])
    page, _, _ = opened(browser, path, 1200)
    cells = page.evaluate(_PLACES, ["#missing td", name])
    assert cells
    for places in cells:
        assert places[0] > places[-1], "a name that begins in Arabic is read from the right"
    page.close()


_PLACES = """([where, text]) => [...document.querySelectorAll(where)]
    .filter(cell => cell.textContent === text)
    .map(cell => [...text].map((_, place) => {
        const range = document.createRange();
        range.setStart(cell.firstChild, place);
        range.setEnd(cell.firstChild, place + 1);
        return range.getBoundingClientRect().left;
    }))"""
