"""What a file is to hold: described columns, and one value per cell."""

import pandas as pd
import pytest

from helios_research.errors import ResultsError, UnknownColumnError
from helios_research.results.shapes import describe_results, flattened


def test_every_column_is_described_and_tags_are_marked(study: pd.DataFrame) -> None:
    variables = describe_results(study, ["arm"]).variables
    assert list(variables) == list(study.columns)
    assert variables["arm"].origin == "yours, sent as a tag"
    assert variables["date_of_birth"].meaning.startswith("Date of birth")
    assert variables["date_of_birth"].origin == "yours"
    assert variables["level_dbfs"].unit == "dBFS"


def test_a_tag_that_is_not_there_is_named() -> None:
    table = pd.DataFrame({"recording_id": ["a"], "outcome": ["scored"], "arm": ["x"]})
    with pytest.raises(UnknownColumnError, match="Did you mean 'arm'"):
        describe_results(table, ["arms"])


def test_two_columns_of_one_name_are_refused() -> None:
    table = pd.DataFrame([["a", "scored", 1, 2]], columns=["recording_id", "outcome", "x", "x"])
    with pytest.raises(ResultsError, match="several columns named 'x'"):
        describe_results(table)


def test_flat_cells_hold_one_value_each(awkward: pd.DataFrame) -> None:
    awkward["mixed"] = pd.Series([1, "two", 3.5, None, {"a": 1}, pd.Timestamp("2026-01-01")])
    flat = flattened(describe_results(awkward)).table
    assert flat["warnings"].tolist()[:2] == ["first | second, third", flat["warnings"].iloc[1]]
    assert flat["warnings"].isna().tolist() == [False, True, True, True, True, True]
    assert flat["mixed"].tolist()[:3] == ["1", "two", "3.5"]
    assert flat["mixed"].iloc[4] == '{"a": 1}'
    assert str(flat["channels"].dtype) == "Int64"
    assert flat["badge"].iloc[0] == str(2**60)
    kinds = {str(dtype) for dtype in flat.dtypes}
    assert kinds == {"str", "float64", "Int64", "boolean", "datetime64[us, UTC]"}


def test_control_characters_are_replaced_and_counted(awkward: pd.DataFrame) -> None:
    awkward["note"] = pd.Series(["a\x00b", "tab\tok", None, "x\x1f", "y", "z"], dtype="str")
    found = flattened(describe_results(awkward))
    assert found.table["note"].tolist()[:2] == ["a\ufffdb", "tab\tok"]
    assert found.notes == ("Control characters in 2 cells are replaced by U+FFFD (\ufffd).",)


def test_an_empty_table_stays_empty(study: pd.DataFrame) -> None:
    flat = flattened(describe_results(study.head(0))).table
    assert flat.shape == (0, study.shape[1])


def test_control_characters_in_names_of_columns_are_replaced_and_noted() -> None:
    table = pd.DataFrame(
        {"recording_id": ["a"], "outcome": ["scored"], "a\x00b": ["x"], "a\x01b": ["y"]}
    )
    flat = flattened(describe_results(table))
    assert list(flat.table.columns)[2:] == ["a\ufffdb", "a\ufffdb_"]
    assert [variable.name for variable in flat.variables.values()] == list(flat.table.columns)
    assert flat.notes == (
        "Control characters in the names of 2 columns are replaced by U+FFFD (\ufffd).",
    )
