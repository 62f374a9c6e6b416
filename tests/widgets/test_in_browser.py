"""The monitor and the mapper as people meet them: in JupyterLab, Notebook 7 and Voilà, drawn and clicked."""

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from helios_research.cohort import Cohort

CohortMaker = Callable[..., pd.DataFrame]

SUBMIT = """
import helios_research as hr
from helios_research.sandbox import SandboxSettings
cohort = hr.read_cohort({manifest!r}, tags=["arm"])
sandbox = hr.Sandbox(SandboxSettings(processing_s=0.2, pickup_s=0.02)).start()
study = hr.Study({folder!r}, client=sandbox.client())
run = study.start(cohort, rate=4, poll_floor_s=0.2, preflight=False)
"""

MAP = """
import pandas as pd
import helios_research as hr
table = pd.read_csv({manifest!r}, dtype="str", keep_default_na=False)
table = table.drop(columns="language").rename(
    columns={{"recording": "Dateiname", "user_label": "VP-Code", "birth_sex": "Geschlecht"}}
)
mapper = hr.widgets.CohortMapper(table)
mapper
"""

DEMO = """
import os
import pandas as pd
import helios_research as hr
from helios_research.demo import demo_cohort_path
os.chdir(demo_cohort_path())
table = pd.read_csv("manifest.csv", dtype="str", keep_default_na=False)
table = table.drop(columns="language").rename(
    columns={"recording": "Dateiname", "user_label": "VP-Code", "birth_sex": "Geschlecht"}
)
hr.widgets.CohortMapper(table)
"""

EXPLORE = f"""
import helios_research as hr
hr.widgets.Explorer({str(Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet")!r})
"""

GERMAN = {
    "recording": "Dateiname",
    "user_label": "VP-Code",
    "date_of_birth": "Geburtsdatum",
    "birth_sex": "Geschlecht",
    "language": "Sprache",
    "recording_time": "Aufnahmezeit",
}
LINE_OF_CODE_PX = 17.0
LONG = "a tag whose name is far longer than any label has room for"


@pytest.fixture
def manifest(tmp_path: Path, make_cohort: CohortMaker) -> str:
    """12 recordings, one of them not audio and one with a wrong date."""
    table = make_cohort(12, **{LONG: "x"})
    Path(table.loc[2, "recording"]).write_bytes(b"Notes, not sound.\n" * 50)
    table.loc[4, "date_of_birth"] = "13/04/1985"
    path = tmp_path / "manifest.csv"
    table.to_csv(path, index=False)
    return str(path)


@pytest.fixture
def map_cell(manifest: str) -> str:
    return MAP.format(manifest=manifest)


@pytest.fixture
def german_table(tmp_path: Path, make_cohort: CohortMaker) -> str:
    """A table as German Excel saves it: semicolons, Windows-1252, day first, m and w."""
    table = make_cohort(
        4,
        user_label=["VP1", "VP2", "VP3", "VP4"],
        date_of_birth=["14.03.1986", "05.10.1993", "01.06.1978", "28.02.1969"],
        birth_sex=["w", "m", "w", "m"],
        language="de-DE",
        recording_time=[
            "02.03.2026 07:50",
            "02.03.2026 08:52",
            "16.03.2026 09:48",
            "17.03.2026 7:05",
        ],
        Prüfstelle=["Köln", "Graz", "Köln", "Graz"],
    ).rename(columns=GERMAN)
    path = tmp_path / "Tabelle.csv"
    table.to_csv(path, index=False, sep=";", encoding="cp1252")
    return str(path)


def box(page: Page, selector: str = ".helios") -> dict[str, float]:
    found = page.locator(selector).first.bounding_box()
    assert found is not None
    return found


def test_a_submission_is_watched_stopped_and_continued(
    lab, open_in_lab, keep, manifest: str, tmp_path: Path
) -> None:
    lab.write("watch", [SUBMIT.format(manifest=manifest, folder=str(tmp_path / "night-shift"))])
    page = open_in_lab("watch.ipynb")
    panel = page.locator(".helios.widget-vbox")
    bar = panel.get_by_role("progressbar", name="Recordings done")
    late = panel.locator(".helios-late")
    expect(late).to_be_hidden()
    expect(bar).to_have_attribute("aria-valuemax", "12")
    expect(page.locator(".helios-static")).to_be_hidden()
    expect(panel.get_by_role("listitem", name=None).filter(has_text="scored")).to_have_text(
        re.compile("scored [1-9]")
    )
    height = box(page, ".helios.widget-vbox")["height"]

    panel.get_by_role("button", name="Stop").click()
    status = panel.get_by_role("status")
    expect(status).to_have_text(re.compile(r"No submission is running; \d+ recordings are left"))
    keep(page, "monitor-stopped")
    continue_button = panel.get_by_role("button", name="Resume")
    continue_button.focus()
    page.keyboard.press("Enter")
    expect(status).to_have_text("Submitting.")
    expect(status).to_have_text(re.compile("All recordings are finished"))
    expect(bar).to_have_attribute("aria-valuetext", "12 of 12 done")
    expect(panel.get_by_role("table", name="Errors by code")).to_contain_text("invalid format")
    assert box(page, ".helios.widget-vbox")["height"] == pytest.approx(height, abs=2)
    page.set_viewport_size({"width": 1000, "height": 900})
    cut = "tiles => tiles.filter(tile => tile.scrollWidth > tile.clientWidth).length"
    assert panel.get_by_role("listitem").evaluate_all(cut) == 0
    page.set_viewport_size({"width": 1280, "height": 1400})
    for width in (1600, 800, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(300)
        fits_into(page, ".helios.widget-vbox")
        fits_into(page, ".helios.widget-vbox .helios-errors")
        keep(page, f"monitor-{width}")
    page.set_viewport_size({"width": 1100, "height": 1400})
    keep(page, "monitor", of=".helios.widget-vbox")

    page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
    restart_kernel(page)
    gone = page.locator(".helios.jupyter-widgets-disconnected")
    expect(gone).to_be_visible()
    # Time passes without news.
    page.evaluate("() => document.getAnimations().forEach(each => each.finish())")
    expect(late).to_have_text("No update since: the kernel of this notebook is busy or gone.")
    expect(late).to_be_visible()
    words = gone.evaluate("element => getComputedStyle(element, '::before').content")
    assert "The kernel of this notebook is gone" in words

    saved = lab.read("watch")["cells"][0]["outputs"]
    assert "widgets" not in lab.read("watch")["metadata"]
    assert "12 of 12 done" in str(saved)
    page = open_in_lab("watch.ipynb", run=False)
    still = page.locator(".helios-static")
    expect(still.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "12")
    expect(still).to_contain_text("invalid format")
    expect(page.get_by_text("Error displaying widget")).to_be_hidden()
    keep(page, "monitor-reopened")


def restart_kernel(page: Page) -> None:
    page.evaluate(
        "() => jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart()"
    )


def fits_into(page: Page, selector: str) -> None:
    """Nothing is wider than the panel's own place in the page."""
    wide = page.locator(selector).first.evaluate(
        "element => [element.scrollWidth, element.clientWidth]"
    )
    assert wide[0] <= wide[1] + 1
    place = box(page, selector)
    assert page.viewport_size is not None
    assert place["x"] + place["width"] <= page.viewport_size["width"]


def choose_language(page: Page) -> None:
    page.get_by_label("language *").select_option("(the same for all rows)")
    value = page.get_by_label("for all rows").locator("visible=true")
    value.fill("en-GB")
    value.press("Enter")


def test_columns_are_mapped_by_choosing_and_typing(lab, open_in_lab, keep, map_cell: str) -> None:
    lab.write("map", [map_cell, "mapper.cohort"])
    page = open_in_lab("map.ipynb")
    panel = page.locator(".helios.widget-vbox").first
    status = panel.get_by_role("status").first
    expect(status).to_have_text(re.compile("Not chosen yet: language"))
    expect(panel.get_by_label("user_label *")).to_have_value("VP-Code")
    height = box(page, ".helios.widget-vbox")["height"]
    choose_language(page)
    expect(status).to_have_text("11 of 12 rows can be sent.")
    expect(panel.get_by_role("region", name="Issues")).to_contain_text("13/04/1985")

    box_of_arm = panel.get_by_label("arm", exact=True)
    box_of_arm.focus()
    page.keyboard.press("Space")
    sent = panel.get_by_role("table", name="What would be sent")
    expect(sent).to_contain_text("tags.arm")
    expect(panel.locator("pre")).to_contain_text('tags=["arm"]')
    panel.get_by_role("button", name="Next row with an issue").click()
    expect(panel.get_by_label("Row", exact=True)).to_have_value("5")
    expect(panel.get_by_text("Not sent. date_of_birth '13/04/1985'")).to_be_visible()
    grown = box(page, ".helios.widget-vbox")["height"] - height
    assert grown == pytest.approx(2 * LINE_OF_CODE_PX, abs=4), "only the code has become longer"

    every_control_has_a_name(panel)
    for width in (1600, 800):
        page.set_viewport_size({"width": width, "height": 1500})
        page.wait_for_timeout(300)
        fits_into(page, ".helios.widget-vbox")
        keep(page, f"mapper-{width}")
    page.evaluate(
        "() => jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    page.wait_for_timeout(500)
    assert contrast(panel.locator("table td").first) > 4.5
    keep(page, "mapper-dark")


def test_a_german_table_is_mapped_by_clicking_alone(
    lab, open_in_lab, keep, barriers, walk_by_tab, german_table: str
) -> None:
    lab.write(
        "german", [f"import helios_research as hr\nhr.widgets.CohortMapper({german_table!r})"]
    )
    page = open_in_lab("german.ipynb")
    panel = page.locator(".helios.widget-vbox").first
    status, issues = panel.get_by_role("status").first, panel.get_by_role("region", name="Issues")
    expect(status).to_have_text("0 of 4 rows can be sent.")
    expect(issues).to_contain_text("10 errors and 1 warning")
    assert panel.get_by_label("m means", exact=True).input_value() == "MALE"
    day_first = re.compile(r"day\sfirst:\s1986-03-14,\s1993-10-05,\s1978-06-01\s\(all\sfit\)")
    born = panel.get_by_label("date_of_birth is", exact=True)
    expect(born.locator("option").nth(1)).to_have_text(day_first)
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 1500})
        page.wait_for_timeout(300)
        keep(page, f"mapper-german-{width}")
        fits_into(page, ".helios.widget-vbox")
    page.set_viewport_size({"width": 1280, "height": 1500})
    assert barriers(panel) == []
    assert walk_by_tab(panel) > 20
    every_control_has_a_name(panel)

    panel.get_by_label("w means", exact=True).select_option("FEMALE")
    expect(issues).to_contain_text("8 errors and 1 warning")
    born.select_option(index=1)
    panel.get_by_label("recording_time is", exact=True).select_option(index=1)
    expect(status).to_have_text("4 of 4 rows can be sent.")
    expect(issues).to_contain_text("were read as Windows-1252")
    keep(page, "mapper-german-done", of=".helios.widget-vbox")
    names: dict[str, Cohort] = {}
    exec(panel.locator("pre").inner_text(), names)  # noqa: S102 - running it is the test
    cohort = names["cohort"]
    assert cohort.is_valid.all()
    assert cohort.fields["birth_sex"].tolist() == ["FEMALE", "MALE", "FEMALE", "MALE"]
    assert cohort.fields["date_of_birth"].tolist()[:2] == ["1986-03-14", "1993-10-05"]
    assert cohort.declared == {
        "values": {"birth_sex": {"w": "FEMALE", "m": "MALE"}},
        "date_format": "day first",
    }


def every_control_has_a_name(panel) -> None:
    for role in ("button", "combobox", "textbox", "spinbutton", "checkbox"):
        named = panel.get_by_role(role, name=re.compile(r"\S"))
        assert named.count() == panel.get_by_role(role).count(), role


def contrast(cell) -> float:
    """Contrast of text and background, as WCAG 2 reckons it."""
    ink, paper = cell.evaluate(
        """element => {
            const style = getComputedStyle(element);
            return [style.color, style.backgroundColor];
        }"""
    )
    bright, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [float(part) / 255 for part in re.findall(r"[\d.]+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_all_three_work_in_notebook_7_by_keyboard_and_without_barriers_in_light_and_dark(
    lab, open_in_lab, keep, manifest: str, tmp_path: Path, barriers, walk_by_tab
) -> None:
    submit = SUBMIT.format(manifest=manifest, folder=str(tmp_path / "study"))
    lab.write("three", [submit.replace("rate=4", "rate=20"), DEMO, EXPLORE])
    page = open_in_lab("three.ipynb", app="notebooks")
    panels = page.locator(".helios.widget-vbox")
    expect(panels).to_have_count(3)
    monitor, mapper, explorer = (panels.nth(place) for place in range(3))
    expect(monitor.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "12")
    expect(monitor.get_by_text("All recordings are finished.")).to_be_visible()
    choose_language(page)
    expect(mapper.get_by_role("status").first).to_have_text("39 of 42 rows can be sent.")
    expect(explorer.locator(".helios-figure img")).to_be_visible()
    explorer.get_by_role("button", name="Recording", exact=True).first.click()
    explorer.get_by_label("Recording no.", exact=True).fill("8")
    explorer.get_by_label("Recording no.", exact=True).press("Tab")
    expect(explorer.get_by_role("table", name="Scores against the baseline")).to_be_visible()

    assert walk_by_tab(monitor) >= 1
    assert walk_by_tab(mapper) > 20
    assert walk_by_tab(explorer) > 30
    for theme in ("Light", "Dark"):
        page.evaluate(
            f"() => jupyterapp.commands.execute('apputils:change-theme', "
            f"{{theme: 'JupyterLab {theme}'}})"
        )
        is_light = str(theme == "Light").lower()
        page.wait_for_function(f"() => document.body.dataset.jpThemeLight === '{is_light}'")
        for panel in (monitor, mapper, explorer):
            assert barriers(panel) == []
        if theme == "Light":
            page.set_viewport_size({"width": 1100, "height": 2000})
            keep(page, "mapper", of=".helios.widget-vbox:has(.helios-pair)")
    keep(page, "three-notebook7-dark")


def test_both_work_in_voila(
    voila, open_in_voila, keep, manifest: str, map_cell: str, tmp_path: Path
) -> None:
    submit = SUBMIT.format(manifest=manifest, folder=str(tmp_path / "study"))
    voila.write("both", [submit.replace("rate=4", "rate=20"), map_cell])
    page = open_in_voila("both.ipynb")
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "12")
    expect(page.get_by_text("All recordings are finished.")).to_be_visible()
    expect(page.locator(".helios-static")).to_have_count(2)
    assert not [still for still in page.locator(".helios-static").all() if still.is_visible()]
    choose_language(page)
    expect(page.get_by_text("11 of 12 rows can be sent.")).to_be_visible()
    keep(page, "voila")
