"""The explorer as a whole: every click changes what is selected, drawn, tabled and coded."""

import threading
from datetime import date
from pathlib import Path

import ipywidgets
import pandas as pd
import pytest
from helios_research.widgets.explorer.state import NOTHING_LEFT

from helios_research.errors import ResultsError
from helios_research.widgets import Explorer
from helios_research.widgets.explorer.figure import Kind

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


def chips(explorer: Explorer) -> list[str]:
    return [button.description for button in explorer._chips.buttons]


def test_choosing_values_changes_selection_headline_figure_and_table(explorer, results):
    before = explorer._figure.html
    explorer._filters.levels.value = ("night_shift",)
    pd.testing.assert_frame_equal(explorer.selection, results[results["arm"] == "night_shift"])
    count = len(explorer.selection)
    assert f"{count} of 200 recordings shown" in explorer._headline.value
    assert explorer._figure.html != before
    assert f"1 to 25 of {count}" in explorer._table._position.value


def test_filters_of_several_kinds_add_up_and_each_has_a_chip_that_removes_it(explorer):
    panel = explorer._filters
    panel.levels.value = ("night_shift",)
    panel.participant.value = "P001, P003"
    panel.first_day.value = date(2026, 9, 23)
    panel.low.value = 0.5
    assert [chip.split(":")[0] for chip in chips(explorer)[:2]] == ["arm", "user_label"]
    assert len(chips(explorer)) == 5
    assert set(explorer.selection["user_label"]) <= {"P001", "P003"}
    explorer._chips.buttons[3].click()
    assert panel.low.value == 0
    explorer._chips.buttons[-1].click()
    assert len(explorer.selection) == 200
    assert chips(explorer) == []
    assert panel.first_day.value is None
    assert panel.levels.value == ()


def test_an_error_is_looked_at_with_one_click_and_left_with_another(explorer, results):
    button = explorer._wrong.buttons[0]
    code, count = button.description.split()
    button.click()
    assert explorer.selection["error_code"].tolist() == [code] * int(count)
    button.click()
    assert len(explorer.selection) == len(results)


def test_a_filter_set_by_a_chip_is_seen_in_the_controls(explorer):
    explorer._wrong.buttons[0].click()
    explorer._filters.column.value = "error_code"
    assert explorer._filters.levels.value == tuple(explorer.selection["error_code"].unique())


def test_an_unknown_participant_is_a_sentence_and_changes_nothing(explorer):
    explorer._filters.participant.value = "P999"
    assert explorer._status.text.startswith("No participant is called 'P999': choose")
    assert len(explorer.selection) == 200


def test_an_empty_selection_says_so_in_figure_and_table(explorer):
    explorer._filters.participant.value = "P002"
    explorer._filters.levels.value = ("night_shift",)
    assert explorer.selection.empty
    assert NOTHING_LEFT in explorer._figure.html
    assert NOTHING_LEFT in explorer._table._content.value
    assert "0 of 200 recordings shown" in repr(explorer)


@pytest.mark.parametrize("kind", list(Kind))
def test_each_figure_is_drawn_and_is_in_the_code(explorer, kind):
    explorer._choices.kind.value = kind
    assert explorer._figure.html.startswith("<img alt=")
    assert explorer.code().count("hr.plots.") == 1
    assert explorer._choices.tag.disabled == (not kind.groups)


def test_a_figure_that_cannot_be_drawn_is_a_sentence_in_its_place(results):
    explorer = Explorer(results.assign(wake_time=None))
    explorer._choices.kind.value = Kind.AWAKE
    assert explorer._figure.html
    assert explorer._status.text == ""
    explorer.close()


def test_without_a_score_chosen_the_figure_stays_and_a_sentence_says_why(explorer):
    before = explorer._figure.html
    explorer._choices.biomarkers.value = ()
    assert explorer._status.text == "Choose at least one score for the figure."
    assert explorer._figure.html == before


def test_previous_and_next_follow_the_order_of_the_table(explorer, results):
    explorer._table.sort_by.value = "mental_strain"
    part = explorer._recording
    part.next.click()
    assert results["mental_strain"].iloc[part.position] == results["mental_strain"].min()
    assert part.previous.disabled
    part.next.click()
    second = part.position
    part.previous.click()
    part.next.click()
    assert part.position == second
    assert 'aria-current="true"' in explorer._table._content.value


def test_a_recording_in_detail_stays_while_it_is_selected(explorer):
    part = explorer._recording
    part.number.value = 3
    assert "P001_v03" in part.content.value
    explorer._filters.participant.value = "P001"
    assert part.position == 2
    explorer._chips.buttons[0].click()
    explorer._filters.participant.value = "P002"
    assert part.position is None
    assert "Choose a recording by its number" in part.content.value


def test_the_button_saves_the_figure_beside_the_notebook(explorer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    explorer._choices.file_format.value = "svg"
    explorer._choices.save.click()
    saved = tmp_path / "helios-mental_strain-arm.svg"
    assert saved.read_bytes().startswith(b"<?xml")
    assert explorer._status.text == f"The figure was saved as {saved}."


def test_the_code_is_shown_when_asked_for_and_follows_the_selection(explorer):
    assert explorer._code.value == ""
    explorer._code_button.click()
    explorer._filters.levels.value = ("day_shift",)
    assert "isin([&quot;day_shift&quot;])" in explorer._code.value
    explorer._code_button.click()
    assert explorer._code.value == ""


@pytest.mark.parametrize(
    ("results_given", "sentence"),
    [
        (pd.DataFrame(), "The results have no column 'outcome'"),
        (Path("nowhere.parquet"), "There is no results file at nowhere.parquet: check the path"),
        (42, "not an object of type int: give it a DataFrame"),
    ],
)
def test_bad_results_are_a_sentence_in_the_widget(results_given, sentence):
    explorer = Explorer(results_given)
    assert sentence in explorer._status.text
    assert sentence.replace("'", "&#x27;") in explorer.static_html()
    with pytest.raises(ResultsError, match=sentence):
        _ = explorer.selection
    explorer.close()


def test_a_study_that_fails_to_give_results_is_a_sentence():
    class Broken:
        def results(self) -> pd.DataFrame:
            raise OSError("the disk is gone")

    assert (
        "These results cannot be shown: the disk is gone (OSError)."
        in Explorer(Broken())._status.text
    )


def test_hostile_text_is_nowhere_markup(results):
    table = (
        results.head(40).assign(arm=HOSTILE, error_code=HOSTILE).rename(columns={"site": HOSTILE})
    )
    explorer = Explorer(table)
    explorer._filters.levels.value = (HOSTILE,)
    explorer._choices.tag.value = HOSTILE
    explorer._code_button.click()
    explorer._recording.next.click()
    written = [
        widget.value for widget in every(explorer.widget) if isinstance(widget, ipywidgets.HTML)
    ]
    assert not [html for html in [*written, explorer.static_html()] if "<script" in html]
    explorer.close()


def every(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    return [widget, *(found for child in getattr(widget, "children", ()) for found in every(child))]


def test_every_control_has_a_label(explorer):
    controls = [
        widget
        for widget in every(explorer.widget)
        if isinstance(widget, ipywidgets.DOMWidget) and hasattr(widget, "description")
    ]
    unlabelled = [
        widget
        for widget in controls
        if not widget.description
        and not isinstance(widget, ipywidgets.HTML | ipywidgets.Label)
        and widget.layout.display != "none"
    ]
    assert len(controls) > 20
    assert unlabelled == []


def test_long_labels_are_cut_with_the_whole_text_at_hand(results):
    long = "a very long name of an arm " * 5
    explorer = Explorer(results.assign(arm=long))
    explorer._filters.levels.value = (long,)
    chip = explorer._chips.buttons[0]
    assert len(chip.description) <= 44
    assert long in chip.tooltip
    assert len(explorer._filters.levels.options[0][0]) < 50
    explorer.close()


def test_a_notebook_that_is_reopened_shows_figure_and_table_within_a_tenth_of_a_megabyte_or_two(
    explorer,
):
    still = explorer._repr_mimebundle_()["text/html"]
    assert "200 of 200 recordings shown" in still
    assert still.count("<tr") == 26
    assert 'src="data:image/png' in still
    assert len(still) < 300_000


def test_closing_lets_go_of_everything(results):
    explorer = Explorer(results)
    widgets = every(explorer.widget)
    assert all(widget.comm is not None for widget in widgets)
    explorer.close()
    explorer.close()
    assert all(widget.comm is None for widget in widgets)
    with pytest.raises(ResultsError, match=r"This Explorer is closed: make a new one"):
        explorer.code()
    assert repr(explorer) == "<Explorer: closed>"


def test_clicks_from_several_threads_leave_one_consistent_state(explorer, results):
    def click(value: str) -> None:
        for _ in range(2):
            explorer._filters.levels.value = (value,)

    threads = [threading.Thread(target=click, args=(arm,)) for arm in ("day_shift", "night_shift")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = explorer.selection["arm"].unique().tolist()
    assert len(shown) == 1
    assert f"{len(explorer.selection)} of 200" in explorer._headline.value
