"""The demo cohort is what its README says it is."""

import csv
import re
import runpy
from collections import Counter
from pathlib import Path

import pytest

from helios_research.cohort import read_cohort
from helios_research.demo import demo_cohort_path
from helios_research.preflight_checks.table import preflight

COHORT = Path(__file__).parents[2] / "datasets" / "demo_cohort"
README = (COHORT.parent / "README.md").read_text(encoding="utf-8")
ENDING = re.compile(
    r"^\| `(?P<id>[^`]+)` \| [^|]+ \| (?P<says>[^|]+) \| (?P<where>\w+) \|$", re.MULTILINE
)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with (COHORT / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def documented() -> dict[str, tuple[str, str]]:
    """Read the README's table of the rows that are not scored."""
    return {
        match["id"]: (match["where"], match["says"].strip(" `"))
        for match in ENDING.finditer(README)
    }


def test_the_package_finds_the_cohort_of_the_checkout():
    assert demo_cohort_path().samefile(COHORT)


def test_the_cohort_is_small_enough_for_a_repository():
    assert sum(path.stat().st_size for path in COHORT.rglob("*") if path.is_file()) <= 6_000_000


def test_recordings_and_rows_belong_together_but_for_the_one_that_was_never_copied(rows):
    named = [row["recording"] for row in rows]
    there = [path.relative_to(COHORT).as_posix() for path in (COHORT / "recordings").iterdir()]
    assert Counter(named) - Counter(there) == Counter(["recordings/P06_visit2.ogg"])
    assert not Counter(there) - Counter(named)


def test_twelve_participants_come_three_times_in_two_arms_of_six(rows):
    arms = {row["user_label"]: row["arm"] for row in rows}
    assert Counter(arms.values()) == {"day_shift": 6, "night_shift": 6}
    assert {(row["user_label"], row["visit"]) for row in rows} == {
        (label, visit) for label in arms for visit in "123"
    }


def test_the_german_table_is_the_same_study(rows):
    program = runpy.run_path(str(COHORT.parent / "make_demo_cohort.py"))
    written = COHORT / "german_table.csv"
    with written.open(encoding="cp1252", newline="") as file:
        german = list(csv.reader(file, delimiter=";"))
    names = program["GERMAN_COLUMNS"]
    english = [
        row for row in rows if row["language"] == "en-GB" and row["recording_id"] != "P06-v2"
    ]
    cells = [[program["in_german"](row[name]) for name in names] for row in english]
    assert german == [list(names.values()), *cells]
    cohort = read_cohort(
        written,
        columns={name: own for name, own in names.items() if name not in {"arm", "visit", "site"}},
        constants={"language": "en-GB"},
        values={"birth_sex": {"w": "FEMALE", "d": "INTERSEX"}},
        date_format="day first",
        order={"Termin": ["Beginn", "Mitte", "Ende"]},
    )
    assert (len(cohort), int(cohort.is_valid.sum())) == (23, 23)


def test_labels_and_sites_that_are_easily_mistaken_for_numbers_or_blanks_are_there(rows):
    assert "007" in {row["user_label"] for row in rows}
    assert {"01", "NA"} <= {row["site"] for row in rows}


def test_the_readme_lists_exactly_the_rows_that_are_not_scored(documented):
    """Manifest problems and predicted codes, from the product itself, against the table."""
    cohort = read_cohort(COHORT / "manifest.csv", tags=["arm", "visit"])
    keys = cohort.fields["recording_id"]
    found = dict.fromkeys(keys[~cohort.is_valid], ("manifest", "never sent"))
    checks = preflight(cohort).set_index("recording_id").loc[keys[cohort.is_valid]]
    failed = checks[checks["verdict"] == "fail"]
    found |= {key: ("preflight", code) for key, code in failed["predicted_error_code"].items()}
    assert found == documented
    scored = checks[checks["verdict"] != "fail"]
    assert len(scored) == 33
    assert scored["verdict"].eq("ok").all(), scored.loc[scored["verdict"] != "ok", "reason"]
    assert set(scored["audio_format"]) == {
        "wav/pcm",
        "flac",
        "mp3",
        "mp4/aac",
        "ogg/opus",
        "ogg/vorbis",
        "webm/opus",
    }
