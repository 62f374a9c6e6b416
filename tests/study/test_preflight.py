"""A study remembers its preflight: submissions use its thresholds and decode nothing again."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import helios_research as hr
from helios_research.preflight_checks import pool

IN_ANOTHER_PROCESS = """
import sys
import helios_research as hr
study, manifest = sys.argv[1:]
# The recordings are 13 s long.
strict = hr.Thresholds(longest_s=10.0)
checks = hr.Study(study).preflight(hr.read_cohort(manifest), thresholds=strict, progress=False)
print(*checks["verdict"])
"""


@pytest.fixture
def decode_nothing(monkeypatch) -> Callable[[], None]:
    """From here, whatever would start a process to decode a recording fails."""

    def begin() -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("a recording is decoded again")

        monkeypatch.setattr(pool, "WorkerPool", refuse)

    return begin


def test_a_submission_uses_the_thresholds_of_a_preflight_in_another_process(
    make_cohort, make_sandbox, make_study, quick, tmp_path, decode_nothing
) -> None:
    manifest, sandbox = tmp_path / "manifest.csv", make_sandbox()
    make_cohort(2).to_csv(manifest, index=False)
    study = make_study(sandbox)
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(study.folder), str(manifest)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout.split() == ["fail", "fail"]
    decode_nothing()
    cohort = hr.read_cohort(manifest)
    results = study.submit(cohort, progress=False, **quick | {"preflight": True})
    assert results["outcome"].tolist() == ["skipped", "skipped"]
    assert set(results["error_code"]) == {"ERR_RECORDING_TOO_LONG"}
    assert not sandbox.log.runs_by_audio


def test_what_an_executor_has_checked_is_submitted_without_another_look(
    make_cohort, make_sandbox, make_study, quick, decode_nothing
) -> None:
    cohort = hr.Cohort.from_frame(make_cohort(2))
    study = make_study(make_sandbox())
    decode_nothing()
    with ThreadPoolExecutor(2) as cluster:
        checks = study.preflight(cohort, executor=cluster, full_speech=True, progress=False)
    assert checks["verdict"].tolist() == ["ok", "ok"]
    results = study.submit(cohort, progress=False, **quick | {"preflight": True})
    assert results["outcome"].eq("scored").all()
    assert results["speech_s"].tolist() == checks["speech_s"].tolist()


def test_thresholds_stay_until_others_are_given(make_cohort, make_study) -> None:
    cohort = hr.Cohort.from_frame(make_cohort(1))
    study = make_study(None)
    strict, usual = hr.Thresholds(longest_s=10.0), hr.Thresholds()
    verdicts = []
    with ThreadPoolExecutor(1) as executor:
        for thresholds in (strict, None, usual, None):
            checks = study.preflight(
                cohort, thresholds=thresholds, executor=executor, progress=False
            )
            verdicts += checks["verdict"].tolist()
    assert verdicts == ["fail", "fail", "ok", "ok"]
