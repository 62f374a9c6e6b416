"""The explorer as a whole: every click changes what is selected, drawn, tabled and coded."""

import io
import threading
from datetime import date
from functools import partial
from pathlib import Path

import ipywidgets
import pandas as pd
import pytest
from traitlets import TraitError

import helios_research
from helios_research.analysis import compare_by_tag
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
    page.level("night_shift").click()
    pd.testing.assert_frame_equal(explorer.selection, results[results["arm"] == "night_shift"])
    count = len(explorer.selection)
    assert f"{count} of 200 recordings shown" in page.part("helios-headline")
    assert figure(page) != before
    assert f"1 to 25 of {count}" in page.html


def test_filters_of_several_kinds_add_up_and_each_has_a_chip_that_removes_it(explorer, page):
    page.level("night_shift").click()
    page.control("Participant").value = "P001, P003"
    page.control("From day").value = date(2026, 9, 23)
    page.control("At least").value = 0.5
    labels = [chip.text for chip in page.chips()]
    assert [label.split(":")[0] for label in labels[:2]] == ["arm", "Participant"]
    assert len(labels) == 4
    assert set(explorer.selection["user_label"]) <= {"P001", "P003"}
    page.chips()[3].click()
    assert page.control("At least").value == 0
    page.button("Remove all filters").click()
    assert len(explorer.selection) == 200
    assert page.chips() == []
    assert page.control("From day").value is None
    assert not any(level.is_pressed for level in page.buttons("level:"))


def test_an_error_is_looked_at_with_one_click_and_left_with_another(explorer, page, results):
    button = page.button("too short")
    button.click()
    assert explorer.selection["error_code"].tolist() == ["ERR_RECORDING_TOO_SHORT"] * int(
        button.text.split()[-1].removeprefix("short")
    )
    assert page.button("too short").is_pressed
    button.click()
    assert len(explorer.selection) == len(results)


def test_a_filter_set_by_a_chip_is_seen_in_the_controls(explorer, page):
    page.button("too short").click()
    page.control("Filter by").value = "error_code"
    assert [level.text[:9] for level in page.buttons("level:") if level.is_pressed] == ["too short"]


def test_an_unknown_participant_is_a_sentence_and_changes_nothing(explorer, page):
    page.control("Participant").value = "P999"
    assert page.status.startswith("No participant is called 'P999': choose")
    assert len(explorer.selection) == 200


def test_an_empty_selection_says_so_in_figure_and_table(explorer, page):
    page.control("Participant").value = "P002"
    page.level("night_shift").click()
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
    page.button("Mental strain").click()
    number = page.control("Recording no.")
    page.control("Next").click()
    lowest = results["mental_strain"].min()
    assert results["mental_strain"].iloc[int(number.value) - 1] == lowest
    assert page.control("Previous").disabled
    page.control("Next").click()
    second = number.value
    page.control("Previous").click()
    page.control("Next").click()
    assert number.value == second
    assert 'aria-current="true"' in page.part("helios-page")


def test_a_recording_in_detail_stays_while_it_is_selected(page):
    page.control("Recording no.").value = "3"
    title = '<h2 class="helios-title">recordings/P001_v03.wav</h2>'
    assert title in page.html
    page.control("Participant").value = "P001"
    assert title in page.html
    page.chips()[0].click()
    page.control("Participant").value = "P002"
    assert title not in page.html
    assert page.control("Recording no.").value == ""
    assert "Click a row of the table" in page.html


def test_a_click_on_a_row_opens_its_recording_and_one_on_a_header_sorts(page, results):
    page.buttons("row:")[2].click()
    assert page.control("Recording no.").value == "3"
    assert "recordings/P001_v03.wav" in page.part("helios-outcome")
    page.button("Mental strain").click()
    assert 'aria-sort="ascending"' in page.html
    page.button("Mental strain").click()
    assert 'aria-sort="descending"' in page.html
    page.buttons("row:")[0].click()
    highest = results["mental_strain"].max()
    assert results["mental_strain"].iloc[int(page.control("Recording no.").value) - 1] == highest
    page.button("Mental strain").click()
    assert "ending" not in page.part("aria-sort")


def test_counts_follow_the_filters_of_other_columns(page, results):
    night = results[results["arm"] == "night_shift"]
    page.level("night_shift").click()
    arms = results["arm"].value_counts()
    for arm, count in arms.items():
        assert page.level(arm).text == f"{arm} {count}", "its own column's filter leaves it"
    short = "ERR_RECORDING_TOO_SHORT"
    left, total = (int((rows["error_code"] == short).sum()) for rows in (night, results))
    assert page.button("too short").text == f"too short {left} of {total}"
    page.control("Filter by").value = "site"
    for level in page.buttons("level:"):
        site = next(name for name in results["site"].unique() if level.text.startswith(name))
        left, total = ((rows["site"] == site).sum() for rows in (night, results))
        counts = f"{left} of {total}" if left < total else total
        assert level.text == f"{site} {counts}"


@pytest.mark.parametrize("place", [0, 10, 19])
def test_a_click_on_a_bar_shows_as_many_recordings_as_it_says(explorer, page, place):
    bar = page.buttons("bin:")[place]
    bar.click()
    words = explorer._current().filters["mental_strain"].words
    assert words.startswith(f"Mental strain {place / 20:g} to {(place + 1) / 20:g}")
    assert f': {len(explorer.selection)}"' in bar.attributes
    assert [each.is_pressed for each in page.buttons("bin:")].index(True) == place
    page.buttons("bin:")[place].click()
    assert len(explorer.selection) == 200


def test_own_numbers_are_filtered_too(results, read):
    explorer = Explorer(results.assign(phq9=range(200)))
    page = read(explorer)
    page.control("Number").value = "phq9"
    page.control("At least").value = 150
    assert explorer.selection["phq9"].min() == 150
    assert [chip.text for chip in page.chips()] == ["phq9 150 to 199 \u00d7"]
    explorer.close()


def test_bounds_that_cross_are_explained(explorer, page):
    page.control("At most").value = 0.2
    page.control("At least").value = 0.9
    assert explorer.selection.empty
    sentence = "No Mental strain is at least 0.9 and at most 0.2: change one of them."
    assert sentence in figure(page)
    assert sentence in page.part("helios-page")


def test_back_undoes_one_step_after_another(explorer, page):
    assert " disabled" in page.button("Back").attributes
    page.level("night_shift").click()
    page.control("Group by").value = "site"
    page.control("Participant").value = "P001"
    page.button("Back").click()
    page.button("Back").click()
    assert page.control("Group by").value == "arm"
    assert [chip.text.split(":")[0] for chip in page.chips()] == ["arm"]
    page.button("Back").click()
    assert len(explorer.selection) == 200
    assert " disabled" in page.button("Back").attributes


def test_two_selections_are_compared_in_figure_numbers_and_code(explorer, page, results):
    page.level("day_shift").click()
    page.button("Keep as A").click()
    page.chips()[0].click()
    page.level("night_shift").click()
    sides = [results[results["arm"] == arm] for arm in ("day_shift", "night_shift")]
    both = pd.concat(rows.assign(selection=side) for side, rows in zip("AB", sides, strict=True))
    found = compare_by_tag(both, "selection", biomarkers="mental_strain").iloc[0]
    numbers = page.part('aria-label="A against B"')
    assert f"{found['difference']:.3f}" in numbers
    for side in ("reference", "level"):
        for what in ("recordings", "participants"):
            assert f">{found[f'{what}_{side}']}</td>" in numbers
    assert "A against B" in figure(page)
    names = {"pd": pd, "hr": helios_research, "results": results}
    exec(explorer.code().split("Explorer.")[1], names)  # noqa: S102 - our own code is what is tested
    pd.testing.assert_frame_equal(names["selection"], both)
    page.button("A: arm: day_shift").click()
    assert 'aria-label="A against B"' not in page.html


@pytest.fixture
def given(explorer, monkeypatch):
    """What the browser gets to save: names and contents."""
    files: dict[str, bytes] = {}

    def take(head: dict, parts: list[bytes]) -> None:
        files[head["name"]] = files.get(head["name"], b"") + parts[0]

    monkeypatch.setattr(explorer._take, "send", take)
    return files


@pytest.mark.parametrize(
    ("format_", "read_file"),
    [
        ("CSV", pd.read_csv),
        ("Excel", partial(pd.read_excel, engine="openpyxl")),
        ("Parquet", pd.read_parquet),
    ],
)
def test_the_rows_shown_are_given_to_the_browser(explorer, page, given, format_, read_file):
    page.level("night_shift").click()
    page.button(format_).click()
    assert page.status == ""
    ((name, content),) = given.items()
    assert name.startswith("helios-mental_strain-arm-arm_night_shift.")
    assert (
        read_file(io.BytesIO(content))["recording_id"].tolist()
        == explorer.selection["recording_id"].tolist()
    )


@pytest.mark.parametrize(
    ("format_", "start"),
    [("PNG", b"\x89PNG"), ("SVG", b"<?xml"), ("PDF", b"%PDF"), ("Copy", b"\x89PNG")],
)
def test_the_figure_is_given_to_the_browser(page, given, format_, start):
    page.button(format_).click()
    (content,) = given.values()
    assert content.startswith(start)


def test_a_large_file_is_given_in_parts_that_a_server_lets_through(
    explorer, page, given, monkeypatch
):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    explorer._take.give("large", b"x" * 2_000_000)
    assert given["large"] == b"x" * 2_000_000
    assert len(pauses) == 2


def test_files_of_different_filters_have_different_names(page, given):
    page.button("SVG").click()
    page.level("night_shift").click()
    page.button("SVG").click()
    assert list(given) == [
        "helios-mental_strain-arm.svg",
        "helios-mental_strain-arm-arm_night_shift.svg",
    ]


def test_the_code_follows_the_selection(page):
    page.level("day_shift").click()
    assert "isin([&quot;day_shift&quot;])" in page.part('aria-label="Code"')


def test_a_level_in_the_figure_filters_at_a_click_and_no_longer_at_another(explorer, page):
    (picture,) = [each for each in page.widgets() if "at" in getattr(each, "_actions", {})]
    label = explorer._figure.drawn.axes[0].get_yticklabels()[1]
    box, (width, height) = label.get_window_extent(), explorer._figure.drawn.bbox.size
    place = f"at:{box.x0 / width} {1 - (box.y0 + box.y1) / 2 / height}"
    picture.click(place)
    assert set(explorer.selection["arm"]) == {label.get_text()}
    assert page.level(label.get_text()).is_pressed
    page.button("Keep as A").click()
    picture.click("at:0.5 0.3")
    page.button("A: arm").click()
    page.chips()[0].click()
    picture.click("at:nan nan")
    assert len(explorer.selection) == 200


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
    page.buttons("level:")[0].click()
    page.control("Group by").value = HOSTILE
    page.control("Next").click()
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
    assert len(controls) > 10
    assert all(button.text or "aria-label" in button.attributes for button in page.buttons())
    assert unlabelled == []


def test_long_labels_are_cut_and_the_tip_has_the_whole_text(results, read):
    long = "a very long name of an arm " * 5
    explorer = Explorer(results.assign(arm=long))
    page = read(explorer)
    page.buttons("level:")[0].click()
    (chip,) = page.chips()
    assert len(chip.text) <= 46
    assert chip.text.endswith(" \u00d7")
    assert "\u2026" in chip.text
    assert long.strip() in chip.attributes
    assert len(page.buttons("level:")[0].text) < 30
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
    page.level("night_shift").click()
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
    page.level("night_shift").click()
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
        for _ in range(3):
            page.level(value).click()

    threads = [threading.Thread(target=click, args=(arm,)) for arm in ("day_shift", "night_shift")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = set(explorer.selection["arm"])
    assert {arm for arm in shown if page.level(arm).is_pressed} == shown
    assert f"{len(explorer.selection)} of 200" in page.part("helios-headline")
