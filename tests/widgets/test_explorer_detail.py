"""One recording in detail: its outcome, its scores against the baseline, what is known of it."""

import re
from pathlib import Path

import pandas as pd
import pytest

from helios_research.analysis import baseline
from helios_research.widgets.explorer.detail import Details
from helios_research.widgets.explorer.source import open_source

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"
HOSTILE = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def results() -> pd.DataFrame:
    return pd.read_parquet(STUDY).head(400)


@pytest.fixture(scope="module")
def details(results) -> Details:
    return Details(open_source(results))


def first(results: pd.DataFrame, **wanted: str) -> int:
    found = pd.Series(True, index=results.index)
    for column, value in wanted.items():
        found &= results[column].eq(value)
    return int(found.to_numpy().argmax())


def test_scores_stand_beside_the_baseline_that_the_analysis_gives(results, details):
    own = baseline(results, biomarkers="mental_strain")
    outside = own[own["outside_usual"].eq(True)].iloc[0]
    html = details.html(first(results, recording_id=outside["recording_id"]))
    assert (
        f"<td>{outside['change']:+.2f}</td><td>{outside['baseline']:.2f}</td>"
        f"<td>{outside['usual_low']:.2f} to "
        f"{outside['usual_high']:.2f} <strong>outside</strong></td>"
    ) in html


def test_a_recording_within_the_baseline_says_so(results, details):
    own = baseline(results, biomarkers="mental_strain")
    within = own[own["in_baseline"]].iloc[0]
    html = details.html(first(results, recording_id=within["recording_id"]))
    assert "one of the participant's first 3, which make the baseline" in html.replace(
        "&#x27;", "'"
    )


def test_an_error_comes_with_its_reason_and_what_to_do(results, details):
    place = first(results, error_code="ERR_RECORDING_TOO_SHORT")
    why = details.why_html(place)
    assert '<span title="ERR_RECORDING_TOO_SHORT">Too short</span>.</strong>' in why
    assert "Less than 10 seconds of speech." in why
    assert "<em>What to do:</em> Record at least 10 seconds of speech." in why
    assert "It has no scores." in details.html(place)


def test_the_course_of_a_participant_has_each_score_and_marks_the_recordings_own(results, details):
    person = results[results["user_label"].eq("P001") & results["mental_strain"].notna()]
    place = results.index.get_loc(person.index[4])
    course = re.search(r"<svg class=\"helios-course.*?</svg>", details.html(place))[0]
    points = re.search('points="(.*?)"', course)[1].split()
    assert len(points) == len(person)
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == pytest.approx((4 + 16 * (1 - person["mental_strain"])).tolist(), abs=0.06)
    assert f'cx="{points[4].split(",")[0]}" cy="{points[4].split(",")[1]}"' in course


def test_a_warning_and_a_transcript_are_shown_only_where_there_are_some(results):
    table = results.copy()
    table["warnings"] = [[HOSTILE], *[None] * (len(table) - 1)]
    table["transcript"] = pd.Series([HOSTILE, *[None] * (len(table) - 1)], dtype="str")
    shown = Details(open_source(table))
    for text in (shown.html(0), shown.why_html(0)):
        assert text.count("&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;") == 1
    assert "Transcript" not in shown.html(1)
    assert "Warning" not in shown.why_html(1)


def test_nothing_from_the_results_becomes_markup(results):
    table = results.head(3).assign(
        recording_id=HOSTILE, error_code=HOSTILE, error_reason=HOSTILE, outcome=HOSTILE, own=HOSTILE
    )
    table = table.rename(columns={"own": HOSTILE})
    shown = Details(open_source(table))
    assert "<script" not in shown.html(0) + shown.why_html(0)


def test_rows_that_share_an_id_are_kept_apart(results):
    table = results.assign(recording_id="all the same")
    compared = Details(open_source(table)).compared
    scored = table["mental_strain"].notna().sum()
    assert len(compared[compared["biomarker"] == "mental_strain"]) == scored


def test_without_times_there_is_no_baseline_and_a_sentence(results):
    table = results[["outcome", "user_label", "mental_strain"]]
    assert "No baseline: the results do not say when" in Details(open_source(table)).html(0)
