"""The explorer as a whole: every click changes what is selected, drawn, tabled and coded."""

import threading
from datetime import date
from pathlib import Path

import ipywidgets
import pandas as pd
import pytest
from traitlets import TraitError

from helios_research.errors import ResultsError
from helios_research.widgets import Explorer
from helios_research.widgets.explorer.figure import FigureKind
from helios_research.widgets.explorer.selection import NO_MATCH

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return pd.read_parquet(STUDY).head(200)


@pytest.fixture
def explorer(results):
    made = Explorer(results)
    yield made
    made.close()


@pytest.fixture
def page(explorer, read):
    return read(explorer)


def figure(page) -> str:
    return page.part("aspect-ratio")


def test_choosing_values_changes_selection_headline_figure_and_table(explorer, page, results):
    before = figure(page)
    page.control("Values").value = ("night_shift",)
    pd.testing.assert_frame_equal(explorer.selection, results[results["arm"] == "night_shift"])
    count = len(explorer.selection)
    assert f"{count} of 200 recordings shown" in page.part("helios-headline")
    assert figure(page) != before
    assert f"1 to 25 of {count}" in page.html


def test_filters_of_several_kinds_add_up_and_each_has_a_chip_that_removes_it(explorer, page):
    page.control("Values").value = ("night_shift",)
    page.control("Participant").value = "P001, P003"
    page.control("From day").value = date(2026, 9, 23)
    page.control("At least").value = 0.5
    labels = [chip.description for chip in page.chips()]
    assert [label.split(":")[0] for label in labels[:2]] == ["arm", "user_label"]
    assert len(labels) == 4
    assert set(explorer.selection["user_label"]) <= {"P001", "P003"}
    page.chips()[3].click()
    assert page.control("At least").value == 0
    page.control("Remove all filters").click()
    assert len(explorer.selection) == 200
    assert page.chips() == []
    assert page.control("From day").value is None
    assert page.control("Values").value == ()


def test_an_error_is_looked_at_with_one_click_and_left_with_another(explorer, page, results):
    button = page.controls("ERR_")[0]
    code, count = button.description.split()
    button.click()
    assert explorer.selection["error_code"].tolist() == [code] * int(count)
    button.click()
    assert len(explorer.selection) == len(results)


def test_a_filter_set_by_a_chip_is_seen_in_the_controls(explorer, page):
    page.controls("ERR_")[0].click()
    page.control("Filter by").value = "error_code"
    assert page.control("Values").value == tuple(explorer.selection["error_code"].unique())


def test_an_unknown_participant_is_a_sentence_and_changes_nothing(explorer, page):
    page.control("Participant").value = "P999"
    assert page.status.startswith("No participant is called 'P999': choose")
    assert len(explorer.selection) == 200


def test_an_empty_selection_says_so_in_figure_and_table(explorer, page):
    page.control("Participant").value = "P002"
    page.control("Values").value = ("night_shift",)
    assert explorer.selection.empty
    assert NO_MATCH in figure(page)
    assert NO_MATCH in page.part("helios-page")
    assert "0 of 200 recordings shown" in repr(explorer)


@pytest.mark.parametrize("kind", list(FigureKind))
def test_each_figure_is_drawn_and_is_in_the_code(explorer, page, kind):
    page.control("Figure").value = kind
    assert "<img alt=" in figure(page)
    assert explorer.code().count("hr.plots.") == 1
    assert page.control("Group by").disabled == (not kind.groups)


def test_a_figure_that_cannot_be_drawn_is_a_sentence_in_its_place(results, read):
    explorer = Explorer(results.assign(wake_time=None))
    page = read(explorer)
    page.control("Figure").value = FigureKind.AWAKE
    assert '<p role="status">' in figure(page) or "<img alt=" in figure(page)
    assert page.status == ""
    explorer.close()


def test_without_a_score_chosen_the_figure_stays_and_a_sentence_says_why(page):
    before = figure(page)
    page.control("Scores").value = ()
    assert page.status == "Choose at least one score for the figure."
    assert figure(page) == before


def test_previous_and_next_follow_the_order_of_the_table(page, results):
    page.control("Sort by").value = "Mental strain"
    number = page.control("Recording no.")
    page.control("Next recording").click()
    lowest = results["mental_strain"].min()
    assert results["mental_strain"].iloc[number.value - 1] == lowest
    assert page.control("Previous recording").disabled
    page.control("Next recording").click()
    second = number.value
    page.control("Previous recording").click()
    page.control("Next recording").click()
    assert number.value == second
    assert 'aria-current="true"' in page.part("helios-page")


def test_a_recording_in_detail_stays_while_it_is_selected(page):
    page.control("Recording no.").value = 3
    title = '<h2 class="helios-title">recordings/P001_v03.wav</h2>'
    assert title in page.html
    page.control("Participant").value = "P001"
    assert title in page.html
    page.chips()[0].click()
    page.control("Participant").value = "P002"
    assert title not in page.html
    assert page.control("Recording no.").value == 0
    assert "Choose a recording by its number" in page.html


def test_the_button_saves_the_figure_beside_the_notebook(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page.control("Save as").value = "svg"
    page.control("Save the figure").click()
    saved = tmp_path / "helios-mental_strain-arm.svg"
    assert saved.read_bytes().startswith(b"<?xml")
    assert page.status == f"The figure was saved as {saved}."


def test_the_code_is_shown_when_asked_for_and_follows_the_selection(page):
    assert "import helios_research" not in page.html
    page.control("Show the code for this").click()
    page.control("Values").value = ("day_shift",)
    assert "isin([&quot;day_shift&quot;])" in page.part('aria-label="Code"')
    page.control("Hide the code").click()
    assert "import helios_research" not in page.html


@pytest.mark.parametrize(
    ("results_given", "sentence"),
    [
        (pd.DataFrame(), "The results have no column 'outcome'"),
        (Path("nowhere.parquet"), "There is no results file at nowhere.parquet: check the path"),
        (42, "not an object of type int: give it a DataFrame"),
    ],
)
def test_bad_results_are_a_sentence_in_the_widget(results_given, sentence, read):
    explorer = Explorer(results_given)
    page = read(explorer)
    assert sentence in page.status
    assert sentence.replace("'", "&#x27;") in explorer.static_html()
    with pytest.raises(ResultsError, match=sentence):
        _ = explorer.selection
    explorer.close()


def test_a_study_that_fails_to_give_results_is_a_sentence(read):
    class Broken:
        folder = Path("studies/shift")

        def results(self) -> pd.DataFrame:
            raise OSError("the disk is gone")

    page = read(Explorer(Broken()))
    assert page.status == "These results cannot be shown: the disk is gone (OSError)."


def test_hostile_text_is_nowhere_markup(results, read):
    table = (
        results.head(40).assign(arm=HOSTILE, error_code=HOSTILE).rename(columns={"site": HOSTILE})
    )
    explorer = Explorer(table)
    page = read(explorer)
    page.control("Values").value = (HOSTILE,)
    page.control("Group by").value = HOSTILE
    page.control("Show the code for this").click()
    page.control("Next recording").click()
    assert "&lt;script&gt;" in page.html
    assert "<script" not in page.html + explorer.static_html()
    explorer.close()


def test_every_control_has_a_label(page):
    controls = [widget for widget in page.widgets() if hasattr(widget, "description")]
    unlabelled = [
        widget
        for widget in controls
        if not widget.description
        and not isinstance(widget, ipywidgets.HTML | ipywidgets.Label)
        and widget.layout.display != "none"
    ]
    assert len(controls) > 20
    assert unlabelled == []


def test_long_labels_are_cut_and_the_tip_has_the_whole_text(results, read):
    long = "a very long name of an arm " * 5
    explorer = Explorer(results.assign(arm=long))
    page = read(explorer)
    page.control("Values").value = (long,)
    (chip,) = page.chips()
    assert len(chip.description) <= 44
    assert long in chip.tooltip
    assert len(page.control("Values").options[0][0]) < 50
    explorer.close()


def test_a_notebook_that_is_reopened_shows_figure_and_table_within_a_tenth_of_a_megabyte_or_two(
    explorer,
):
    still = explorer._repr_mimebundle_()["text/html"]
    assert "200 of 200 recordings shown" in still
    assert still.count("<tr") == 26
    assert 'src="data:image/png' in still
    assert len(still) < 300_000


def test_closing_releases_everything(results, read):
    explorer = Explorer(results)
    widgets = read(explorer).widgets()
    assert all(widget.comm is not None for widget in widgets)
    explorer.close()
    explorer.close()
    assert all(widget.comm is None for widget in widgets)
    with pytest.raises(ResultsError, match=r"This Explorer is closed: make a new one"):
        explorer.code()
    assert repr(explorer) == "<Explorer: closed>"


def test_observers_of_the_selection_get_the_rows_of_each_change(explorer, page, results):
    seen = []
    explorer.observe(seen.append, names="selection")
    page.control("Values").value = ("night_shift",)
    page.control("Group by").value = "visit"
    page.chips()[0].click()
    assert [change["name"] for change in seen] == ["selection", "selection"], "filters alone"
    night = results[results["arm"] == "night_shift"]
    for change, old, new in zip(seen, (results, night), (night, results), strict=True):
        pd.testing.assert_frame_equal(change["old"], old)
        pd.testing.assert_frame_equal(change["new"], new)
    pd.testing.assert_frame_equal(explorer.selection, results)


def test_an_observer_that_fails_is_a_sentence_and_the_selection_is_still_shown(explorer, page):
    def fail(_: object) -> None:
        raise ValueError("no such plot")

    explorer.observe(fail, names="selection")
    page.control("Values").value = ("night_shift",)
    assert page.status == "This did not work: no such plot (ValueError)."
    assert f"{len(explorer.selection)} of 200 recordings shown" in page.part("helios-headline")


def test_the_selection_is_read_only_and_a_column_added_to_it_stays_outside(explorer):
    own = explorer.selection
    own["mine"] = 1
    assert "mine" not in explorer.selection
    with pytest.raises(TraitError, match="read-only"):
        explorer.selection = pd.DataFrame()


def test_clicks_from_several_threads_leave_one_consistent_state(explorer, page, results):
    def click(value: str) -> None:
        for _ in range(2):
            page.control("Values").value = (value,)

    threads = [threading.Thread(target=click, args=(arm,)) for arm in ("day_shift", "night_shift")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = explorer.selection["arm"].unique().tolist()
    assert len(shown) == 1
    assert f"{len(explorer.selection)} of 200" in page.part("helios-headline")
