"""Rows in = rows out, whatever the cohort's mistakes and whatever the ledger holds."""

import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import helios_research as hr
from helios_research.columns import BIOMARKERS, Outcome, Verdict
from helios_research.ledger import Ledger, NewAttempt, State
from helios_research.preflight_checks.check import Check
from helios_research.recording import fingerprint
from helios_research.results.table import _own_columns
from helios_research.state.loader import LedgerCache
from helios_research.state.rows import rows_of
from helios_research.withdrawal import COHORT_FILE

MOST_ROWS = 6
MISTAKES = ("birth_sex", "date_of_birth", "language")
OPEN = (State.CREATING, State.CREATED, State.UPLOADING, State.UPLOADED)
WITHOUT_RUN = (State.CREATING, State.REJECTED)


@dataclass(frozen=True)
class Ending:
    """How one recording's last attempt stands, and what its row must say."""

    state: State
    outcome: Outcome
    error_code: str | None = None


ENDINGS = (
    *(Ending(state, Outcome.PENDING) for state in OPEN),
    Ending(State.SCORED, Outcome.SCORED),
    Ending(State.FAILED, Outcome.FAILED, "ERR_RECORDING_TOO_SHORT"),
    Ending(State.FAILED, Outcome.FAILED, "ERR_INTERNAL"),
    Ending(State.REJECTED, Outcome.REJECTED, "HTTP_422"),
    Ending(State.LOST, Outcome.LOST, "RESULT_GONE"),
    Ending(State.ABANDONED, Outcome.INVALID, "INVALID_RECORDING_CHANGED"),
)


@dataclass(frozen=True)
class Plot:
    """What is to have happened to one row."""

    mistake: str | None
    seen: Verdict | None
    failures: int
    ending: Ending | None
    sections: int

    @property
    def has_history(self) -> bool:
        return self.mistake is None and self.seen is not None and self.ending is not None

    @property
    def outcome(self) -> Outcome:
        if self.mistake is not None:
            return Outcome.INVALID
        if self.has_history and self.ending is not None:
            return self.ending.outcome
        return Outcome.SKIPPED if self.seen is Verdict.FAIL else Outcome.PENDING

    @property
    def runs(self) -> int:
        if not self.has_history or self.ending is None:
            return 0
        return self.failures + (self.ending.state not in WITHOUT_RUN)


plots = st.builds(
    Plot,
    mistake=st.sampled_from([None, None, None, *MISTAKES]),
    seen=st.sampled_from([None, *Verdict]),
    failures=st.integers(0, 2),
    ending=st.sampled_from([None, *ENDINGS]),
    sections=st.integers(0, 2),
)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("recordings")
    paths = [folder / f"r{number}.wav" for number in range(MOST_ROWS)]
    for number, path in enumerate(paths):
        path.write_bytes(b"RIFF" + bytes([number]) * (100 + number))
    return paths


def cohort_of(story: list[Plot], recordings: list[Path]) -> hr.Cohort:
    table = pd.DataFrame(
        {
            "recording": [str(path) for path in recordings[: len(story)]],
            "user_label": [f"{number:03}" for number in range(len(story))],
            "date_of_birth": "1990-05-17",
            "birth_sex": "FEMALE",
            "language": "en-GB",
            "score at home": [number / 7 for number in range(len(story))],
        }
    ).iloc[::-1]
    for position, plot in enumerate(story):
        if plot.mistake is not None:
            table.iloc[position, table.columns.get_loc(plot.mistake)] = "no such thing"
    return hr.Cohort.from_frame(table)


def answer(run: str, plot: Plot) -> dict:
    section = {
        "startSecs": 0.0,
        "finishSecs": 30.0,
        "mentalStrain": {"value": 0.5},
        "stress": {"value": 0.33},
        "aNewScore": {"value": 0.1},
    }
    status = "COMPLETE_OK" if plot.outcome is Outcome.SCORED else "COMPLETE_ERROR"
    return {"id": run, "status": status, "results": {"sections": [section] * plot.sections}}


async def enact(ledger: Ledger, cohort: hr.Cohort, story: list[Plot]) -> None:
    """Write a history into a real ledger, the way that a submission does."""
    for row, plot in zip(rows_of(cohort), story, strict=True):
        if plot.seen is None:
            continue
        found = fingerprint(row.location)
        code = "ERR_RECORDING_TOO_SHORT" if plot.seen is Verdict.FAIL else None
        check = Check(plot.seen, code, "As heard.", sha256=found.sha256, stamp=found.stamp)
        await asyncio.to_thread(LedgerCache(ledger).store, "rules", {row.location: check})
        if not plot.has_history:
            continue
        internal = Ending(State.FAILED, Outcome.FAILED, "ERR_INTERNAL")
        for number, ending in enumerate([internal] * plot.failures + [plot.ending], start=1):
            attempt = await ledger.begin(
                NewAttempt(
                    sha256=found.sha256,
                    request_digest=row.digest,
                    request=json.loads(row.request_text),
                    number=number,
                    media_type="audio/wav",
                    size_bytes=found.size_bytes,
                    duration_s=None,
                    delete_data=False,
                    source="sandbox",
                )
            )
            await go_through(ledger, attempt.attempt_id, ending, plot)


async def go_through(ledger: Ledger, attempt_id: int, ending: Ending, plot: Plot) -> None:
    run = f"run-{attempt_id}"
    if ending.state not in WITHOUT_RUN:
        url = f"https://uploads.example/secret-{attempt_id}"
        await ledger.advance(attempt_id, State.CREATED, model_run_id=run, upload_url=url)
    if ending.state not in {State.CREATING, State.CREATED}:
        is_complete = ending.state in {State.SCORED, State.FAILED}
        await ledger.advance(
            attempt_id,
            ending.state,
            error_code=ending.error_code,
            error_reason=ending.error_code and f"Because of {ending.error_code}.",
            answer=answer(run, plot) if is_complete else None,
        )


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(story=st.lists(plots, min_size=0, max_size=MOST_ROWS))
def test_every_row_comes_out_once_in_its_place_as_the_ledger_says(story, recordings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cohort = cohort_of(story, recordings)
        study = hr.Study(Path(folder) / "study")
        with Ledger.open(study.folder) as ledger:
            asyncio.run(enact(ledger, cohort, story))
        cohort.save(study.folder / COHORT_FILE)
        results = study.results()
        progress = study.progress
        read = pd.read_parquet(study.to_parquet(study.folder / "scores.parquet"))
    assert results["recording_id"].tolist() == cohort.fields["recording_id"].tolist()
    for name in cohort.frame.columns:
        pd.testing.assert_series_equal(results[name], cohort.frame[name])
    assert results["outcome"].tolist() == [plot.outcome.value for plot in story]
    assert results["attempts"].tolist() == [plot.runs for plot in story]
    assert progress.total == len(story)
    assert progress.done == sum(plot.outcome is not Outcome.PENDING for plot in story)
    for row, plot in zip(results.to_dict("records"), story, strict=True):
        assert_consistent(row, plot)
    assert read["outcome"].tolist() == results["outcome"].tolist()
    assert list(read.columns) == list(results.columns)


def assert_consistent(row: dict, plot: Plot) -> None:
    is_scored = plot.outcome is Outcome.SCORED
    has_single = is_scored and plot.sections == 1
    assert pd.notna(row["mental_strain"]) == has_single
    assert isinstance(row["sections"], list) == (is_scored and plot.sections > 1)
    if plot.outcome in {Outcome.PENDING, Outcome.SCORED}:
        assert pd.isna(row["error_code"])
    else:
        assert row["error_code"]
        assert row["error_reason"]
    if not is_scored:
        # Also where a run that failed was answered with scores.
        assert all(pd.isna(row[marker.name]) for marker in BIOMARKERS)


def test_declared_values_and_dates_are_in_the_results_and_real_dates_stay() -> None:
    table = pd.DataFrame({"recording": ["a.wav"], "user_label": "P1", "language": "de"}).assign(
        date_of_birth="14.03.1986", birth_sex=1, recording_time=pd.Timestamp("2026-01-05 07:45")
    )
    declared = {"values": {"birth_sex": {1: "MALE"}}, "date_format": "day first"}
    own = _own_columns(hr.Cohort.from_frame(table, **declared)).iloc[0]
    assert own[["date_of_birth", "birth_sex"]].tolist() == ["1986-03-14", "MALE"]
    assert own["recording_time"] == pd.Timestamp("2026-01-05 07:45")
