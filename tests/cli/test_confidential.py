"""Withdrawing a participant on the command line."""

import os
import pty
import subprocess

import pandas as pd


def test_a_participant_is_withdrawn_once_it_is_confirmed(
    helios, command, environment, make_cohort, sandbox, at, quick, tmp_path
) -> None:
    make_cohort(6).to_csv(tmp_path / "manifest.csv", index=False)
    assert helios("submit", "manifest.csv", "--study", "study", *quick, env=at).returncode == 0
    results = pd.read_parquet(tmp_path / "study" / "results.parquet")
    runs = results["model_run_id"].tolist()

    unknown = helios("withdraw", "study", "P00", "--yes")
    assert unknown.returncode == 2
    assert "Error: No one in the study" in unknown.stderr
    assert "'P000'" in unknown.stderr

    unconfirmed = helios("withdraw", "study", "P000")
    assert unconfirmed.returncode == 2
    assert "--yes" in unconfirmed.stderr
    assert "'P000' has 3 rows and 3 model runs in study" in unconfirmed.stdout

    terminal, other = pty.openpty()
    os.write(terminal, b"n\n")
    declined = subprocess.run(
        [*command, "withdraw", "study", "P000"],
        stdin=other,
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert declined.returncode == 1
    assert "Nothing was removed." in declined.stdout
    assert len(pd.read_parquet(tmp_path / "study" / "results.parquet")) == 6

    for place in ("study/runs.csv", "nowhere/runs.csv", "manifest.csv"):
        refused = helios("withdraw", "study", "P000", "--yes", "--out", place)
        assert refused.returncode == 2
        assert "--out" in refused.stderr
    assert len(pd.read_parquet(tmp_path / "study" / "results.parquet")) == 6

    done = helios("withdraw", "study", "P000", "--yes", "--out", "P000-runs.csv")
    assert done.returncode == 0, done
    assert "was removed from" in done.stdout
    assert "Nothing has to be passed on to thymia: the sandbox made all" in done.stdout
    assert done.stdout.endswith("\nModel runs: P000-runs.csv\n")
    listed = pd.read_csv(tmp_path / "P000-runs.csv")
    assert sorted(listed["model_run_id"]) == sorted(runs[:3])
    left = pd.read_parquet(tmp_path / "study" / "results.parquet")
    assert left["model_run_id"].tolist() == runs[3:]

    again = helios("submit", "manifest.csv", "--study", "study", *quick, env=at)
    assert again.returncode == 1
    assert "INVALID_WITHDRAWN" in again.stdout
    assert "`helios-research readmit DIR LABEL`" in again.stdout
    assert "study.readmit" not in again.stdout
    assert len(sandbox.log.puts) == 6
    readmitted = helios("readmit", "study", "P000")
    assert "'P000' may be sent again" in readmitted.stdout
    assert helios("submit", "manifest.csv", "--study", "study", *quick, env=at).returncode == 0


def test_a_study_that_others_can_read_gives_a_warning_of_one_line(
    helios, manifest, sandbox, at, quick, tmp_path
) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    done = helios("submit", manifest, "--study", "open", *quick, env=at)
    (warning,) = [line for line in done.stderr.splitlines() if "Warning" in line]
    assert warning.startswith("Warning: Other users of this machine can look into the study")
    assert f"chmod -R go= {tmp_path / 'open'}" in warning
