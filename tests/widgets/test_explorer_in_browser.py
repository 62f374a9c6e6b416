"""The explorer as a researcher meets it: in JupyterLab, in Voilà, with mouse, keyboard and eyes."""

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from playwright.sync_api import Locator, Page, expect

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"
PICTURES = Path(__file__).parents[2] / "notebooks" / "pictures"
CELL = f"""import pandas as pd
from helios_research.widgets import Explorer

results = pd.read_parquet({str(STUDY)!r})
explorer = Explorer(results)
explorer"""

Opener = Callable[..., Page]
# The widget itself, not its static twin in the same output.
LIVE = ".helios.widget-vbox"
HEADLINE = f"{LIVE} .helios-headline"
FIGURE = f"{LIVE} .helios-figure img"


def picture(page: Page) -> np.ndarray:
    """Give what the figure shows, as red, green and blue."""
    found = re.search(r"base64,(.+)", page.locator(FIGURE).get_attribute("src") or "")
    assert found
    return image.imread(io.BytesIO(base64.b64decode(found[1])))[..., :3]


def show(server, opener: Opener, name: str, cells: list[str]) -> Page:
    page = opener(server.write(name, cells))
    expect(page.locator(FIGURE)).to_be_visible(timeout=60_000)
    return page


def listed(page: Page, label: str) -> Locator:
    return page.locator(LIVE).get_by_label(label, exact=True)


def test_a_filter_changes_headline_figure_table_and_what_the_notebook_gets(
    lab, open_in_lab: Opener, keep
):
    page = show(lab, open_in_lab, "explore", [CELL, "print(explorer.selection['arm'].unique())"])
    before = picture(page)
    listed(page, "Values").select_option(label="night_shift (781)")
    expect(page.locator(HEADLINE)).to_have_text(
        "781 of 1,487 recordings shown, 60 of 120 participants"
    )
    page.wait_for_function(
        "([place, old]) => document.querySelector(place).src !== old",
        arg=[FIGURE, ""],
    )
    expect(page.locator(LIVE).get_by_text("1 to 25 of 781")).to_be_visible()
    assert picture(page).shape != before.shape or (picture(page) != before).any()
    chip = page.get_by_role("button", name=re.compile("^arm: night_shift"))
    expect(chip).to_be_visible()
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell-and-select-next'); }")
    keep(page, "explorer-filtered-lab")
    chip.press("Enter")
    expect(page.locator(HEADLINE)).to_contain_text("1,487 of 1,487")


def test_one_recording_is_looked_at_with_the_keyboard_alone(lab, open_in_lab: Opener, keep):
    page = show(lab, open_in_lab, "walk", [CELL])
    number = listed(page, "Recording no.")
    number.focus()
    number.fill("13")
    number.press("Tab")
    detail = page.locator(f"{LIVE} .helios-fate")
    expect(detail).to_contain_text("ERR_INTERNAL")
    expect(detail).to_contain_text("What to do")
    page.get_by_role("button", name="Next recording").press("Enter")
    scores = page.get_by_role("table", name="Scores against the baseline")
    expect(scores).to_contain_text("Usual range")
    expect(page.locator(f"{LIVE} tr.helios-marked")).to_contain_text("P001_v14")
    scores.scroll_into_view_if_needed()
    keep(page, "explorer-one-recording", of=LIVE)


def test_nothing_jumps_when_the_selection_changes(lab, open_in_lab: Opener):
    page = show(lab, open_in_lab, "steady", [CELL])
    table = page.locator(f"{LIVE} table.helios-table").first
    before = table.bounding_box()
    for label in ("Leeds (566)", "Girona (466)"):
        listed(page, "Filter by").select_option(label="site")
        listed(page, "Values").select_option(label=label)
        expect(page.locator(HEADLINE)).to_contain_text(label.split("(")[1].rstrip(")"))
    assert table.bounding_box()["y"] == pytest.approx(before["y"], abs=1)


def test_it_fits_a_narrow_page_and_works_in_voila(voila, open_in_voila: Opener, page: Page, keep):
    page.set_viewport_size({"width": 800, "height": 1400})
    show(voila, open_in_voila, "explore", [CELL])
    page.get_by_role("button", name=re.compile("^ERR_RECORDING_TOO_LONG")).click()
    expect(page.locator(HEADLINE)).to_contain_text("6 of 1,487")
    expect(page.locator(FIGURE)).to_be_visible()
    wide = page.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= 800
    keep(page, "explorer-voila-800")
    page.set_viewport_size({"width": 1600, "height": 1400})
    page.get_by_role("button", name=re.compile("^error_code: ")).click()
    expect(page.locator(HEADLINE)).to_contain_text("1,487 of 1,487")
    listed(page, "Figure").select_option(label="Scores over time")
    listed(page, "Colour").select_option(label="arm")
    expect(page.locator(FIGURE)).to_have_attribute("alt", re.compile("over time, colour by arm"))
    keep(page, "explorer-voila-1600")


def test_it_is_readable_in_the_dark(lab, open_in_lab: Opener, keep):
    page = show(lab, open_in_lab, "dark", [CELL])
    page.evaluate(
        "() => { jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'}); }"
    )
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    listed(page, "Values").select_option(label="day_shift (706)")
    expect(page.locator(HEADLINE)).to_contain_text("706")
    colours = page.evaluate(
        """(place) => {
          const element = document.querySelector(place);
          let behind = element;
          const none = "rgba(0, 0, 0, 0)";
          while (behind && getComputedStyle(behind).backgroundColor === none)
            behind = behind.parentElement;
          return [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor];
        }""",
        f"{LIVE} table.helios-table td",
    )
    ink, paper = (np.mean([float(n) for n in re.findall(r"[\d.]+", each)[:3]]) for each in colours)
    assert ink - paper > 120
    keep(page, "explorer-dark")


def test_a_saved_notebook_is_small_and_shows_figure_and_table_without_a_kernel(
    lab, open_in_lab: Opener, page: Page, keep
):
    show(lab, open_in_lab, "saved", [CELL])
    page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
    size = (lab.folder / "saved.ipynb").stat().st_size
    assert 50_000 < size < 1_000_000
    notebook = lab.read("saved")
    bundle = notebook["cells"][0]["outputs"][0]["data"]
    page.set_content("".join(bundle["text/html"]))
    expect(page.get_by_text("1,487 of 1,487 recordings shown")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Mental strain by arm"))).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(25)
    keep(page, "explorer-reopened")
