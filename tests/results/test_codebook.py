"""The codebook names every column and shows nobody's values."""

import pandas as pd

from helios_research.results.codebook import codebook, markdown_table
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
