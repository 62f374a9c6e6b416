"""The codebook names every column, the README says where the data come from."""

import pandas as pd
import pytest

from helios_research.results.codebook import (
    NOT_MEDICAL,
    codebook,
    count_outcomes,
    markdown_table,
    readme_text,
    span,
)
from helios_research.results.shapes import describe_results


def test_each_column_has_a_row_with_meaning_values_and_how_many_are_filled(
    study: pd.DataFrame,
) -> None:
    book = codebook(describe_results(study, ["arm"])).set_index("column")
    assert list(book.index) == list(study.columns)
    assert (book["meaning"] != "").all()
    assert book.loc["arm", "values"] == "day_shift; night_shift"
    assert book.loc["visit", "values"] == "14 different"
    assert book.loc["distress", "values"].startswith("0 = lowest of four levels; 0.33 = second")
    assert book.loc["mental_strain", "values"] == "0.0008 to 0.9999"
    assert book.loc["mental_strain", "filled"] == study["mental_strain"].notna().sum()


def test_labels_and_birth_dates_of_participants_are_never_listed(study: pd.DataFrame) -> None:
    book = codebook(describe_results(study.head(2))).set_index("column")
    for name in ("user_label", "date_of_birth", "recording", "recording_id"):
        assert book.loc[name, "values"] == ""


def test_values_can_be_kept_to_some_columns(study: pd.DataFrame) -> None:
    book = codebook(describe_results(study), values_of=["arm"]).set_index("column")
    assert book.loc["arm", "values"] == "day_shift; night_shift"
    assert book.loc["site", "values"] == ""
    assert book.loc["outcome", "values"] != ""


def test_markdown_cells_cannot_break_out_of_the_table() -> None:
    table = markdown_table(["a"], [["x | y\n<script>"], ["`z` *"]])
    assert table.splitlines() == ["| a |", "| --- |", "| x \\| y &lt;script> |", "| \\`z\\` \\* |"]


def readme(table: pd.DataFrame, **provenance: object) -> str:
    return readme_text("scores.csv", table, describe_results(table), provenance, "Open it.")


def test_it_tells_study_service_times_versions_and_outcomes(study: pd.DataFrame) -> None:
    text = readme(study, study="night | shift", base_url="https://x.example", tags=["arm"])
    assert "| study | night \\| shift |" in text
    assert "| service | https://x.example |" in text
    assert "| model runs created | on 2026-10-12, 08:00 to 08:17 UTC |" in text
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
    assert "contains transcripts, which may name people" in text
    assert "1 recording of 1 participant. One row per recording: 1 row, " in text
    assert "Several sections: 1 recording; the scores are in the column sections." in text
    assert "personal data" not in text
    assert "not independent" not in text


def test_scores_of_rows_that_were_changed_since_are_told(study: pd.DataFrame) -> None:
    assert "with an error_code" not in readme(study)
    scored = study.index[study["outcome"] == "scored"][:2]
    changed = study.copy()
    changed.loc[scored, "error_code"] = ["METADATA_CHANGED", "INVALID_DATE_OF_BIRTH"]
    assert "Scored recordings with an error_code: 2. The manifest changed after" in readme(changed)


def test_only_outcomes_that_occur_are_counted(study: pd.DataFrame) -> None:
    assert [row[:2] for row in count_outcomes(study.head(2))] == [("scored", 2)]


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        (["2026-10-12T08:00Z", "2026-10-12T08:17Z"], "on 2026-10-12, 08:00 to 08:17 UTC"),
        (["2026-10-12T08:00Z", "2026-10-12T08:00Z"], "on 2026-10-12, 08:00 UTC"),
        (["2026-10-12T08:00Z", None, "2026-11-01"], "from 2026-10-12 to 2026-11-01 (UTC)"),
        ([None], ""),
    ],
)
def test_spans_are_as_exact_as_they_are_long(moments: list[str | None], expected: str) -> None:
    assert span(pd.to_datetime(pd.Series(moments), utc=True, format="ISO8601")) == expected
