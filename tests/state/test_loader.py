"""What is read part by part is what would be read at once."""

import asyncio
import json
from pathlib import Path

import pandas as pd
import pytest

import helios_research as hr
from helios_research.columns import Outcome, Verdict
from helios_research.ledger import Ledger, NewAttempt, State
from helios_research.preflight_checks.check import Check
from helios_research.state import loader
from helios_research.state.loader import LedgerCache, StatusLoader
from helios_research.state.rows import Row, parts, rows_of

ROWS = 7


@pytest.fixture
def cohort(tmp_path: Path) -> hr.Cohort:
    for number in range(ROWS):
        (tmp_path / f"{number}.wav").write_bytes(b"RIFF%d" % number)
    table = pd.DataFrame(
        {
            "recording": [str(tmp_path / f"{number}.wav") for number in range(ROWS)],
            "user_label": [f"P{number}" for number in range(ROWS)],
            "date_of_birth": "1990-05-17",
            "birth_sex": "FEMALE",
            "language": ["en-GB"] * (ROWS - 1) + ["no such"],
        }
    )
    return hr.Cohort.from_frame(table)


@pytest.fixture
def ledger(cohort: hr.Cohort, tmp_path: Path):
    """Of seven rows: the same audio in the first two, one refused, one scored, one invalid."""
    with Ledger.open(tmp_path / "study") as opened:
        rows = rows_of(cohort)
        audio = ["aa", "aa", "bb", "cc", "dd", "ee", "ff"]
        checks = {
            row.location: Check(
                Verdict.FAIL if name == "bb" else Verdict.OK, None, "", sha256=name * 32
            )
            for row, name in zip(rows, audio, strict=True)
        }
        LedgerCache(opened).store("rules", checks)
        asyncio.run(scored(opened, rows[3], "cc" * 32))
        yield opened


async def scored(ledger: Ledger, row: Row, sha256: str) -> None:
    new = NewAttempt(
        sha256=sha256,
        request_digest=row.digest,
        request=json.loads(row.request_text),
        number=1,
        media_type="audio/wav",
        size_bytes=5,
        duration_s=None,
        delete_data=False,
        source="sandbox",
    )
    attempt = await ledger.begin(new)
    await ledger.advance(attempt.attempt_id, State.SCORED, model_run_id="run", answer={})


EXPECTED = [
    *(Outcome.INVALID, Outcome.INVALID, Outcome.SKIPPED, Outcome.SCORED),
    *(Outcome.PENDING, Outcome.PENDING, Outcome.INVALID),
]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_cohort_read_in_parts_has_the_same_statuses_as_at_once(
    cohort, ledger, monkeypatch, size
) -> None:
    monkeypatch.setattr(loader, "parts", lambda total: parts(total, size))
    for held in (None, rows_of(cohort, ledger.withdrawn())):
        statuses = StatusLoader(ledger, cohort, held).statuses()
        assert [status.outcome for status in statuses] == EXPECTED
        assert [status.sha256 for status in statuses] == [*[None] * 3, "cc" * 32, *[None] * 3]


def test_an_empty_cohort_is_one_part_without_rows(cohort, ledger) -> None:
    assert [list(part) for part in parts(0)] == [[]]
    assert [list(part) for part in parts(5, 2)] == [[0, 1], [2, 3], [4]]


def test_a_participant_who_has_withdrawn_has_neither_recording_nor_request(
    cohort, tmp_path
) -> None:
    study = hr.Study(tmp_path / "study")
    with Ledger.open(study.folder) as ledger:
        cohort.save(study.folder / "cohort.parquet")
        asyncio.run(scored(ledger, rows_of(cohort)[2], "cc" * 32))
    study.withdraw("P2")
    with Ledger.read(study.folder) as ledger:
        rows = rows_of(cohort, ledger.withdrawn())
        assert [row.location is None for row in rows] == [n == 2 for n in range(ROWS)]
        assert rows[2].request_text is None
        for held in (None, rows):
            assert (
                StatusLoader(ledger, cohort, held).statuses()[2].error_code == "INVALID_WITHDRAWN"
            )
