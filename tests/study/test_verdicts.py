"""The preflight against the service: compared, a limit proposed, and recordings to listen to."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import helios_research as hr
from helios_research.columns import BORDERLINE
from helios_research.errors import ConfigError
from helios_research.ledger import Ledger
from helios_research.state.loader import seen_at

# Seconds of speech that are found in the first 9, 9.5, … seconds; counting stops at 12.
SPEECH_S = {9.0: 8.1, 9.5: 8.6, 10.0: 9.1, 10.2: 9.3, 10.5: 9.6, 13.0: 12.0}

Cutter = Callable[..., hr.Cohort]


@pytest.fixture
def cut_to(make_cohort, speech: bytes, as_wav: Callable[..., bytes]) -> Cutter:
    """Make a cohort of recordings of the lengths wanted, in seconds."""

    def make(*lengths_s: float) -> hr.Cohort:
        table = make_cohort(len(lengths_s))
        table["recording_id"] = [f"{length:g} s" for length in lengths_s]
        for path, length_s in zip(table["recording"], lengths_s, strict=True):
            samples = speech[: 2 * round(16_000 * length_s)]
            Path(path).write_bytes(as_wav(samples, Path(path).name))
        return hr.Cohort.from_frame(table)

    return make


def outcomes(results: pd.DataFrame) -> dict[str, str]:
    return dict(zip(results["recording_id"], results["outcome"], strict=True))


def test_a_service_that_accepts_less_speech_is_found_out_and_listened_for(
    cut_to: Cutter, make_sandbox, make_study, quick, tmp_path
) -> None:
    sandbox = make_sandbox(least_speech_s=8.0)
    study, settings = make_study(sandbox), {**quick, "preflight": True, "progress": False}
    results = study.submit(cut_to(*SPEECH_S), **settings)
    assert results["speech_s"].round(1).tolist() == list(SPEECH_S.values())
    before = {"9 s": "skipped", "9.5 s": "skipped"}
    assert outcomes(results) == dict.fromkeys(outcomes(results), "scored") | before
    # What was sent is decided, and what is skipped is not near the limit yet.
    assert study.borderline().empty

    compared = study.compare_preflight()
    assert compared.to_dict("list") == {
        "expected": ["ERR_RECORDING_TOO_SHORT", "scored"],
        "answered": ["scored", "scored"],
        "recordings": [3, 1],
    }
    (proposal,) = compared.attrs["warnings"]
    assert proposal == (
        "With least_speech_s=9 the preflight would have expected 3 more of the 4 answers about "
        "the amount of speech. To use it: study.preflight(study.cohort, thresholds=hr.Thresholds(least_speech_s=9, enough_speech_s=12))."
    )

    study.preflight(study.cohort, thresholds=hr.Thresholds(least_speech_s=9.0), progress=False)
    listen = study.borderline()
    assert list(listen.columns) == [column.name for column in BORDERLINE]
    assert listen["recording_id"].tolist() == ["9 s", "9.5 s"]
    assert Path(listen["recording"][0]).is_file()
    assert listen["verdict"].tolist() == ["", ""]

    listen["verdict"] = ["Leave out ", "send"]
    # As Excel saves it in much of Europe.
    listen.to_csv(tmp_path / "listen.csv", index=False, sep=";")
    results = study.submit(verdicts=tmp_path / "listen.csv", **settings)
    assert outcomes(results)["9 s"] == "skipped"
    assert outcomes(results)["9.5 s"] == "scored"
    assert results["error_code"][0] == "LEFT_OUT"
    assert results["error_reason"][0] == "Not sent. You left it out after listening to it."
    assert sandbox.log.violations == []
    assert len(sandbox.log.runs_by_audio) == 5

    assert study.borderline()["verdict"].tolist() == ["leave out"]
    assert study.progress.outcomes == {"skipped": 1, "scored": 5}


def test_a_verdict_counts_whatever_the_preflight_says(
    cut_to: Cutter, make_sandbox, make_study, quick
) -> None:
    study = make_study(make_sandbox(least_speech_s=8.0))
    cohort = cut_to(9.0, 10.0)
    checks = study.preflight(cohort, progress=False)
    assert checks["verdict"].tolist() == ["fail", "warn"]
    assert study.borderline(cohort)["recording_id"].tolist() == ["10 s"]
    checks["verdict"] = ["send", "leave out"]
    settings = {**quick, "progress": False}
    results = study.submit(cohort, verdicts=checks, **settings | {"preflight": True})
    assert results["outcome"].tolist() == ["scored", "skipped"]
    # Also where there is no preflight, by other limits, and until the verdict is changed.
    study.preflight(cohort, thresholds=hr.Thresholds(least_speech_s=5.0), progress=False)
    again = study.submit(cohort, verdicts=checks.assign(verdict=[None, ""]), **settings)
    assert again["outcome"].tolist() == ["scored", "skipped"]
    changed = study.submit(cohort, verdicts=checks.assign(verdict="send"), **settings)
    assert changed["outcome"].tolist() == ["scored", "scored"]


def test_a_recording_that_was_changed_is_checked_again(
    cut_to: Cutter, make_sandbox, make_study, quick
) -> None:
    study, settings = make_study(make_sandbox()), {**quick, "preflight": True, "progress": False}
    cohort = cut_to(10.0, 13.0)
    study.preflight(cohort, progress=False)
    listen = study.borderline(cohort).assign(verdict="leave out")
    assert study.submit(cohort, verdicts=listen, **settings)["outcome"][0] == "skipped"
    longer = cut_to(12.5, 13.0)
    assert study.submit(longer, **settings)["outcome"].tolist() == ["scored", "scored"]
    with pytest.raises(ConfigError, match="no checked recording has the SHA-256"):
        study.submit(longer, verdicts=listen, **settings)


def test_verdicts_that_cannot_be_used_send_nothing_and_say_what_to_write(
    cut_to: Cutter, make_sandbox, make_study, quick
) -> None:
    sandbox = make_sandbox()
    study, cohort = make_study(sandbox), cut_to(10.0)
    study.preflight(cohort, progress=False)
    listen = study.borderline(cohort)
    with pytest.raises(ConfigError) as caught:
        study.submit(cohort, verdicts=listen.assign(verdict="maybe"), **quick)
    assert str(caught.value) == (
        "The verdicts cannot be used: 'maybe' is not a verdict. Nothing was sent. Take the table of "
        "study.borderline() as it is now and write send, leave out or nothing into its column verdict."
    )
    with pytest.raises(ConfigError, match="lacks the column sha256 or verdict"):
        study.submit(cohort, verdicts=listen[["recording_id", "verdict"]], **quick)
    assert not sandbox.log.runs_by_audio


def test_a_withdrawal_removes_the_verdicts_too(
    cut_to: Cutter, make_sandbox, make_study, quick
) -> None:
    study, cohort = make_study(make_sandbox()), cut_to(10.0, 13.0)
    study.preflight(cohort, progress=False)
    listen = study.borderline(cohort).assign(verdict="leave out")
    study.submit(cohort, verdicts=listen, progress=False, **quick)
    study.withdraw("P000")
    with Ledger.read(study.folder) as ledger:
        assert not list(ledger.all_checks("verdict"))
        assert not seen_at(ledger, listen["recording"])
