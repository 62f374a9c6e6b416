"""The explorer as a researcher meets it: in JupyterLab, in Voilà, with mouse, keyboard and eyes."""

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from playwright.sync_api import Locator, Page, expect

from helios_research.plots.canvas import to_png
from helios_research.widgets.explorer.figure import FigureKind, FigureView

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"
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


def level(page: Page, name: str) -> Locator:
    return page.locator(f"{LIVE} button.helios-level", has_text=name)


def listed(page: Page, label: str) -> Locator:
    return page.locator(LIVE).get_by_label(label, exact=True)


def run_in_kernel(page: Page, source: str) -> None:
    """Write a line into the last cell, and run it."""
    page.evaluate(
        """async (source) => {
          const notebook = jupyterapp.shell.currentWidget.content;
          notebook.activeCellIndex = notebook.widgets.length - 1;
          notebook.activeCell.model.sharedModel.setSource(source);
          await jupyterapp.commands.execute("notebook:run-cell");
        }""",
        source,
    )


def test_a_filter_changes_headline_figure_table_and_what_the_notebook_gets(
    lab, open_in_lab: Opener, keep, jumps
):
    page = show(lab, open_in_lab, "explore", [CELL, "print('none yet')"])
    jumps()
    before, table = picture(page), page.locator(f"{LIVE} table.helios-table").first
    place = table.bounding_box()
    level(page, "night_shift").click()
    expect(page.locator(HEADLINE)).to_have_text(
        "781 of 1,487 recordings shown, 60 of 120 participants"
    )
    # The table comes after the figure.
    expect(page.locator(LIVE).get_by_text("1 to 25 of 781")).to_be_visible()
    assert table.bounding_box()["y"] == pytest.approx(place["y"], abs=1), "the table jumped"
    after = picture(page)
    assert after.shape != before.shape or (after != before).any()
    chip = page.get_by_role("button", name=re.compile("^arm: night_shift"))
    expect(chip).to_be_visible()
    assert jumps() == []
    page.set_viewport_size({"width": 1280, "height": 500})
    page.locator(".jp-WindowedPanel-outer").evaluate("outer => outer.scrollTo(0, 500)")
    expect(page.locator(FIGURE)).not_to_be_in_viewport(ratio=0.9)
    expect(page.locator(HEADLINE)).to_be_in_viewport(ratio=1)
    keep(page, "explorer-filtered-lab")
    run_in_kernel(page, "print(len(explorer.selection), set(explorer.selection['arm']))")
    expect(page.locator(".jp-OutputArea-output", has_text="781 {'night_shift'}")).to_be_visible()
    chip.press("Enter")
    expect(page.locator(HEADLINE)).to_contain_text("1,487 of 1,487")


def test_one_recording_is_looked_at_with_the_keyboard_alone(lab, open_in_lab: Opener, keep):
    page = show(lab, open_in_lab, "walk", [CELL])
    page.get_by_role("button", name="Recording", exact=True).first.press("Enter")
    number = listed(page, "Recording no.")
    number.focus()
    number.fill("13")
    number.press("Tab")
    detail = page.locator(f"{LIVE} .helios-outcome")
    expect(detail).to_contain_text("Internal")
    expect(detail.get_by_title("ERR_INTERNAL")).to_be_visible()
    expect(detail).to_contain_text("What to do")
    page.get_by_role("button", name="Next", exact=True).press("Enter")
    scores = page.get_by_role("table", name="Scores against the baseline")
    expect(scores).to_contain_text("Usual range")
    expect(page.locator(f"{LIVE} tr.helios-marked")).to_contain_text("P001_v14")
    scores.scroll_into_view_if_needed()
    keep(page, "explorer-one-recording", of=LIVE)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_click_in_the_figure_filters_to_a_level_and_opens_the_recording_of_a_point(
    voila, open_in_voila: Opener, page: Page, keep, jumps, width: int
):
    page.set_viewport_size({"width": width, "height": 800})
    show(voila, open_in_voila, "click", [CELL])
    results = pd.read_parquet(STUDY)
    drawn = FigureView(FigureKind.BY_TAG, ("mental_strain",), "arm", None).draw(results)
    to_png(drawn, 110)
    (axes,) = drawn.axes
    points = np.concatenate([line.get_xydata() for line in axes.lines if line.get_zorder() == 2])
    highest = points[points[:, 0].argmax()]
    size, box = drawn.bbox.size, page.locator(FIGURE).bounding_box()

    def click(dots: np.ndarray) -> None:
        x, y = dots / size
        place = {"x": x * box["width"], "y": (1 - y) * box["height"]}
        page.locator(FIGURE).click(position=place)

    jumps()
    click(axes.transData.transform(highest))
    outcome = page.locator(f"{LIVE} .helios-outcome")
    expect(outcome).to_be_visible()
    marked = page.locator(f"{LIVE} tr.helios-marked")
    expect(marked).to_be_visible()
    if width == 1280:
        expect(marked).to_contain_text(f"{highest[0]:.3f}")
    else:
        page.get_by_role("button", name="Figure", exact=True).click()
    label = axes.get_yticklabels()[1]
    click(label.get_window_extent().get_points().mean(axis=0))
    count = int((results["arm"] == label.get_text()).sum())
    expect(page.locator(HEADLINE)).to_contain_text(f"{count} of 1,487 recordings")
    keep(page, f"explorer-clicked-{width}")
    if width == 1280:
        assert jumps() == []


@pytest.mark.parametrize("width", [1280, 1500])
def test_figure_table_and_recording_fit_a_laptop_and_a_click_moves_nothing(
    voila, open_in_voila: Opener, page: Page, keep, jumps, width: int
):
    page.set_viewport_size({"width": width, "height": 800})
    show(voila, open_in_voila, "explore", [CELL])
    table = page.get_by_role("table", name="Recordings shown")
    expect(page.locator(FIGURE)).to_be_in_viewport(ratio=1)
    expect(table.locator("tbody tr").nth(6).locator("td").first).to_be_in_viewport(ratio=1)
    jumps()
    table.get_by_role("cell", name="P001_v02").click()
    expect(page.locator(f"{LIVE} .helios-outcome")).to_be_in_viewport()
    expect(table.locator("tr.helios-marked")).to_contain_text("P001_v02")
    assert jumps() == []
    score = table.get_by_role("columnheader", name="Mental strain")
    expect(score).to_be_in_viewport(ratio=1)
    head = score.get_by_role("button")
    head.press("Enter")
    expect(score).to_have_attribute("aria-sort", "ascending")
    expect(head).to_be_focused()
    head.press("ArrowRight")
    expect(table.get_by_role("button", name="Recording")).to_be_focused()
    first = table.locator("tbody button").first
    first.focus()
    first.press("ArrowDown")
    second = table.locator("tbody button").nth(1)
    expect(second).to_be_focused()
    second.press("Enter")
    expect(listed(page, "Recording no.")).to_have_value(second.inner_text())
    keep(page, f"explorer-voila-{width}")


def test_rows_and_figure_leave_by_the_browser(lab, open_in_lab: Opener, page: Page, tmp_path: Path):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    show(lab, open_in_lab, "take", [CELL])
    level(page, "night_shift").click()
    expect(page.locator(HEADLINE)).to_contain_text("781 of")
    for button, name in (("CSV", "arm_night_shift.csv"), ("PDF", "arm_night_shift.pdf")):
        with page.expect_download() as download:
            page.get_by_role("button", name=button, exact=True).click()
        assert download.value.suggested_filename.endswith(name)
        download.value.save_as(tmp_path / name)
    assert len(pd.read_csv(tmp_path / "arm_night_shift.csv")) == 781
    assert (tmp_path / "arm_night_shift.pdf").read_bytes().startswith(b"%PDF")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator(LIVE).get_by_text("The figure is in the clipboard.")).to_be_visible()
    kinds = "async () => (await navigator.clipboard.read()).flatMap(item => item.types)"
    assert page.evaluate(kinds) == ["image/png"]


def test_on_a_phone_one_pane_is_shown_at_a_time(voila, open_in_voila: Opener, page: Page, keep):
    page.set_viewport_size({"width": 390, "height": 844})
    show(voila, open_in_voila, "explore", [CELL])
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    expect(listed(page, "Filter by")).to_be_hidden()
    page.get_by_role("button", name="Choices").click()
    expect(listed(page, "Filter by")).to_be_visible()
    expect(page.locator(FIGURE)).to_be_hidden()
    page.get_by_role("button", name="Figure", exact=True).click()
    expect(page.locator(FIGURE)).to_be_visible()
    page.get_by_role("cell", name="P001_v02").click()
    expect(page.locator(f"{LIVE} .helios-outcome")).to_be_visible()
    keep(page, "explorer-phone")


def test_it_works_in_voila_on_a_narrow_page_and_on_a_wide_one(
    voila, open_in_voila: Opener, page: Page, keep
):
    page.set_viewport_size({"width": 800, "height": 2400})
    show(voila, open_in_voila, "explore", [CELL])
    page.get_by_role("button", name=re.compile("^too long")).click()
    expect(page.locator(HEADLINE)).to_contain_text("6 of 1,487")
    expect(page.locator(LIVE).get_by_text("1 to 6 of 6")).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 800
    keep(page, "explorer-voila-800", of=LIVE)
    page.get_by_role("button", name=re.compile("^Error: too long")).click()
    page.set_viewport_size({"width": 1600, "height": 1800})
    level(page, "night_shift").click()
    listed(page, "Figure").select_option(label="Scores by visit")
    listed(page, "Group by").select_option(label="visit")
    listed(page, "Colour").select_option(label="site")
    expect(page.locator(FIGURE)).to_have_attribute("alt", re.compile("by visit, colour by site"))
    listed(page, "Recording no.").fill("8")
    listed(page, "Recording no.").press("Tab")
    expect(page.locator(f"{LIVE} tr.helios-marked")).to_contain_text("P001_v08")
    expect(page.get_by_role("table", name="Scores against the baseline")).to_be_visible()
    # Higher than the widget, so that nothing is scrolled away below the headline.
    page.set_viewport_size({"width": 1600, "height": 2600})
    keep(page, "explorer", of=LIVE)


# How bright text and what is behind it are, from 0 to 255, as Chromium paints them.
INK_AND_PAPER = """element => {
  const style = getComputedStyle(element);
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  return [style.color, style.backgroundColor].map(colour => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
    return (red + green + blue) / 3;
  });
}"""


def test_it_is_readable_in_the_dark(lab, open_in_lab: Opener, keep):
    page = show(lab, open_in_lab, "dark", [CELL])
    page.evaluate(
        "() => { jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'}); }"
    )
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    level(page, "day_shift").click()
    expect(page.locator(HEADLINE)).to_contain_text("706")
    page.get_by_role("button", name="Recording", exact=True).first.click()
    listed(page, "Recording no.").fill("8")
    listed(page, "Recording no.").press("Tab")
    # The table is drawn anew with its marked row, and what it takes the place of has no colours.
    expect(page.locator(f"{LIVE} tr.helios-marked")).to_be_visible()
    for place in ("table.helios-table td", "tr.helios-marked td", "button.helios-chip-on"):
        first = page.locator(f"{LIVE} {place}").first
        expect(first).to_be_visible()
        ink, paper = first.evaluate(INK_AND_PAPER)
        assert ink - paper > 120, place
    page.get_by_role("button", name="Figure", exact=True).click()
    shade = page.locator(FIGURE).evaluate("image => getComputedStyle(image).filter")
    assert "invert" in shade, "a figure in the dark is dark"
    keep(page, "explorer-dark")


MANY = """import pandas as pd
from helios_research.widgets import Explorer

study = pd.read_parquet({study!r})
copies = [study.assign(user_label=study["user_label"] + f"_{{copy}}") for copy in range(68)]
explorer = Explorer(pd.concat(copies, ignore_index=True).head(100_000))
explorer"""


def test_a_saved_notebook_is_small_and_shows_the_last_figure_and_table_without_a_kernel(
    lab, open_in_lab: Opener, page: Page, keep
):
    show(lab, open_in_lab, "saved", [MANY.format(study=str(STUDY))])
    level(page, "night_shift").click()
    headline = re.compile(r"^5\d,\d{3} of 100,000 recordings shown")
    still = page.locator(".helios-static")
    # It comes by itself, once the change has settled.
    expect(still.locator(".helios-headline")).to_have_text(headline)
    expect(still).to_be_hidden()
    page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
    session = "jupyterapp.shell.currentWidget.context.sessionContext"
    page.evaluate(f"() => {session}.shutdown()")
    page.wait_for_function(f"() => {session}.hasNoKernel")
    gone = "element => getComputedStyle(element, '::before').content"
    assert "The kernel of this notebook is gone" in page.locator(LIVE).evaluate(gone)

    assert 50_000 < (lab.folder / "saved.ipynb").stat().st_size < 1_000_000
    assert "widgets" not in lab.read("saved")["metadata"]
    open_in_lab("saved.ipynb", run=False)
    expect(still.locator(".helios-headline")).to_be_visible()
    expect(still.locator(".helios-headline")).to_have_text(headline)
    expect(still.get_by_text("arm: night_shift")).to_be_visible()
    expect(still.get_by_role("img", name=re.compile("Mental strain by arm. 5"))).to_be_visible()
    expect(still.locator("tbody tr")).to_have_count(25)
    keep(page, "explorer-reopened")
