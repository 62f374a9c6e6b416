"""The README says where the data come from and what to be careful about."""

import pandas as pd

from helios_research.results.codebook import NOT_MEDICAL, outcomes_of, readme_text
from helios_research.results.shapes import describe_results


def readme(table: pd.DataFrame, **provenance: object) -> str:
    return readme_text("scores.csv", table, describe_results(table), provenance, "Open it.")


def test_it_tells_study_service_times_versions_and_outcomes(study: pd.DataFrame) -> None:
    text = readme(study, study="night | shift", base_url="https://x.example", tags=["arm"])
    assert "| study | night \\| shift |" in text
    assert "| service | https://x.example |" in text
    assert "| model runs created | 2026-10-12 08:00 to 2026-10-12 08:17 UTC |" in text
    assert "| scored | 1,376 | Helios gave scores |" in text
    assert "1,487 recordings of 120 participants." in text
    assert "helios_research " in text
    assert NOT_MEDICAL in text


def test_synthetic_scores_are_marked_at_the_top_and_real_ones_are_not(study: pd.DataFrame) -> None:
    assert readme(study).splitlines()[2].startswith("**SYNTHETIC")
    real = study.assign(source="thymia")
    assert "SYNTHETIC" not in readme(real)
    assert "SYNTHETIC" in readme(real, source="sandbox")


def test_cautions_are_given_where_they_apply(study: pd.DataFrame) -> None:
    text = readme(study)
    assert "do not average them" in text
    assert "dates of birth, which are personal data" in text
    assert "several recordings, which are not independent" in text
    assert "transcripts" not in text
    alone = study.head(1).drop(columns="date_of_birth").assign(transcript="hello", n_sections=2)
    text = readme(alone)
    assert "transcripts of what participants said" in text
    assert "1 recording of 1 participant. One row per recording: 1 row, " in text
    assert "Several sections: 1 recording, whose scores are in the column sections." in text
    assert "personal data" not in text
    assert "not independent" not in text


def test_scores_of_rows_that_were_changed_since_are_told(study: pd.DataFrame) -> None:
    assert "was changed after" not in readme(study)
    scored = study.index[study["outcome"] == "scored"][:2]
    changed = study.copy()
    changed.loc[scored, "error_code"] = ["METADATA_CHANGED", "INVALID_DATE_OF_BIRTH"]
    assert "An error_code stands with 2 scored recordings too: the manifest was" in readme(changed)


def test_only_outcomes_that_occur_are_counted(study: pd.DataFrame) -> None:
    assert [row[:2] for row in outcomes_of(study.head(2))] == [("scored", "2")]
