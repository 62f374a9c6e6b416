"""Results files that are damaged, of another version or of another program: shown, or a sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import helios_research as hr
from helios_research.columns import RESULTS_BY_NAME
from helios_research.errors import HeliosResearchError
from helios_research.results import read_results
from helios_research.widgets.explorer.source import open_source

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"

lean = settings(
    max_examples=settings().max_examples // 3,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

# What loads results for somebody: figures and analyses read files by the last of these.
READERS: dict[str, Callable[[Any], object]] = {
    "results": read_results,
    "explorer": open_source,
    "outcomes": hr.analysis.flow,
    "summary": lambda results: hr.analysis.summarize_by_tag(results, "arm"),
}


@pytest.fixture(scope="module")
def few() -> pd.DataFrame:
    return read_results(STUDY).head(60)


@pytest.fixture
def read_or_say_why(is_a_sentence: Callable[[BaseException], None]) -> Callable[..., bool]:
    def attempt(read: Callable[[Any], object], results: object) -> bool:
        try:
            read(results)
        except HeliosResearchError as error:
            is_a_sentence(error)
            return False
        return True

    return attempt


@pytest.mark.parametrize("name", READERS)
def test_a_whole_file_is_read(few, tmp_path, read_or_say_why, name) -> None:
    few.to_parquet(tmp_path / "r.parquet")
    assert read_or_say_why(READERS[name], tmp_path / "r.parquet")


@given(data=st.data())
@lean
def test_a_spoiled_file_is_read_or_said(few, tmp_path, read_or_say_why, mutations, data) -> None:
    path = tmp_path / "r.parquet"
    few.to_parquet(path)
    path.write_bytes(data.draw(mutations(path.read_bytes())))
    for read in READERS.values():
        read_or_say_why(read, path)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1" * 9, b"a,b\n1,2\n", b"\x00" * 500], ids=range(5)
)
def test_a_file_that_is_no_parquet_is_said(tmp_path, read_or_say_why, content, name) -> None:
    path = tmp_path / "r.parquet"
    path.write_bytes(content)
    assert not read_or_say_why(READERS[name], path)


@pytest.mark.parametrize("name", READERS)
def test_a_folder_or_nothing_in_place_of_a_file_is_said(tmp_path, read_or_say_why, name) -> None:
    (tmp_path / "folder.parquet").mkdir()
    assert not read_or_say_why(READERS[name], tmp_path / "folder.parquet")
    assert not read_or_say_why(READERS[name], tmp_path / "none.parquet")


# How another program, or another version, may have stored a column.
STORED: dict[str, Callable[["pd.Series[Any]"], "pd.Series[Any]"]] = {
    "text": lambda column: column.astype("str"),
    "objects": lambda column: column.astype(object),
    "nothing": lambda column: pd.Series([None] * len(column), dtype=object),
    "categories": lambda column: column.astype("str").astype("category"),
    "whole numbers": lambda column: pd.Series(range(len(column)), dtype="int64"),
    "truth": lambda column: pd.Series([True, False] * (len(column) // 2), dtype="boolean"),
    "halves": lambda column: pd.Series([0.5] * len(column), dtype="float32"),
    "moments": lambda column: pd.Series(pd.Timestamp("2026-01-01", tz="Europe/Paris")).repeat(
        len(column)
    ),
    "infinite": lambda column: pd.Series([float("inf"), -1.0] * (len(column) // 2)),
    "lists": lambda column: pd.Series([["a"]] * len(column), dtype=object),
}


@given(
    column=st.sampled_from(
        (
            *("outcome", "user_label", "arm", "mental_strain", "stress", "recording_id"),
            *("error_code", "warnings", "sections", "completed_at", "recording_time"),
            *("n_sections", "birth_sex"),
        )
    ),
    stored=st.sampled_from(list(STORED)),
    name=st.sampled_from(list(READERS)),
)
@settings(parent=lean, max_examples=settings().max_examples)
def test_columns_of_another_kind_are_read_or_said(
    few, tmp_path, read_or_say_why, column, stored, name
) -> None:
    if column not in few.columns:
        return
    table = few.assign(**{column: STORED[stored](few[column]).to_numpy()})
    path = tmp_path / "r.parquet"
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), path)
    read_or_say_why(READERS[name], path)


@given(dropped=st.sets(st.sampled_from(sorted(RESULTS_BY_NAME)), min_size=1, max_size=30))
@lean
def test_columns_that_are_lacking_are_missed_or_said(few, read_or_say_why, dropped) -> None:
    table = few.drop(columns=[name for name in dropped if name in few.columns])
    for name in ("explorer", "outcomes", "summary"):
        read_or_say_why(READERS[name], table)
