"""The vocabulary of columns."""

import re
from dataclasses import FrozenInstanceError

import pytest
import yaml
from pydantic.alias_generators import to_snake

from helios_research import columns
from helios_research.columns import (
    BIOMARKERS,
    BIOMARKERS_BY_NAME,
    BIRTH_SEXES,
    BUCKET_LABELS,
    BUCKET_LEVELS,
    CHECKS,
    ISSUES,
    MANIFEST,
    OUTCOME_LABELS,
    REQUIRED_FIELDS,
    RESERVED_NAMES,
    RESULTS,
    RESULTS_BY_NAME,
    SOURCE,
    STANDARD_FIELDS,
    Column,
    Kind,
    Outcome,
    Source,
)

TABLES = {"manifest": MANIFEST, "results": RESULTS, "issues": ISSUES, "checks": CHECKS}
NUMBERS_WITHOUT_UNIT = {"n_sections", "attempts", "channels", "row"}  # these are counts of things


@pytest.fixture(scope="module")
def contract(request: pytest.FixtureRequest) -> dict[str, dict[str, object]]:
    text = (request.config.rootpath / "tests/openapi.yaml").read_text()
    schemas: dict[str, dict[str, object]] = yaml.safe_load(text)["components"]["schemas"]
    return schemas


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_no_column_twice(table: str) -> None:
    names = [column.name for column in TABLES[table]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(column, id=f"{table}.{column.name}")
        for table, all_columns in TABLES.items()
        for column in all_columns
    ],
)
def test_a_column_is_explained_in_a_sentence_and_its_number_has_a_unit(column: Column) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
    assert re.search(r"\w.*\.$", column.meaning)
    if column.kind in {Kind.NUMBER, Kind.COUNT}:
        assert column.unit or column.name in NUMBERS_WITHOUT_UNIT


def test_biomarkers_are_the_scores_of_the_contract(
    contract: dict[str, dict[str, object]],
) -> None:
    section = contract["Section"]["properties"]
    assert isinstance(section, dict)
    scores = {to_snake(name): kind["$ref"] for name, kind in section.items() if "$ref" in kind}
    bucketed = {name for name, kind in scores.items() if kind.endswith("/BucketedScore")}
    assert set(BIOMARKERS_BY_NAME) == set(scores)
    assert {marker.name for marker in BIOMARKERS if marker.bucketed} == bucketed


def test_bucket_levels_are_those_of_the_contract_and_all_have_words(
    contract: dict[str, dict[str, object]],
) -> None:
    properties = contract["BucketedScore"]["properties"]
    assert isinstance(properties, dict)
    assert list(BUCKET_LEVELS) == properties["value"]["enum"]
    assert set(BUCKET_LABELS) == set(BUCKET_LEVELS)


def test_only_bucketed_scores_have_labelled_levels() -> None:
    for marker in BIOMARKERS:
        assert bool(marker.column.labels) is marker.bucketed
        assert marker.column.meaning.endswith("Higher is more.")
        assert marker.column.kind is Kind.NUMBER


def test_every_bucketed_score_has_a_continuous_twin() -> None:
    for marker in BIOMARKERS:
        if marker.bucketed:
            assert not BIOMARKERS_BY_NAME[f"uniform_{marker.name}"].bucketed


def test_birth_sexes_are_those_of_the_contract(contract: dict[str, dict[str, object]]) -> None:
    properties = contract["User"]["properties"]
    assert isinstance(properties, dict)
    assert list(BIRTH_SEXES) == properties["birthSex"]["enum"]


def test_every_outcome_and_every_source_has_words() -> None:
    assert set(OUTCOME_LABELS) == set(Outcome)
    assert set(SOURCE.labels) == set(Source)


def test_the_manifests_fields_begin_with_the_key_and_hold_the_needed_ones() -> None:
    assert STANDARD_FIELDS[0] == "recording_id"
    assert set(REQUIRED_FIELDS) <= set(STANDARD_FIELDS)


def test_a_researchers_own_column_may_be_called_anything_but_a_column_of_the_results() -> None:
    assert set(RESULTS_BY_NAME) - {"recording_id"} == RESERVED_NAMES
    assert not RESERVED_NAMES & set(STANDARD_FIELDS)


def test_the_vocabulary_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        RESULTS[0].name = "id"  # type: ignore[misc]
    with pytest.raises(TypeError):
        columns.RESULTS_BY_NAME["x"] = RESULTS[0]  # type: ignore[index]
    with pytest.raises(TypeError):
        BUCKET_LABELS[0.5] = "half"  # type: ignore[index]
