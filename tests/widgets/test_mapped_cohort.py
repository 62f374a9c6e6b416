"""A mapping makes a cohort, and the code that it writes makes the same one."""

import pandas as pd
import pytest

from helios_research.cohort import Cohort
from helios_research.cohort.mapping import ColumnMapping
from helios_research.errors import CohortError
from helios_research.state.rows import rows_of
from helios_research.widgets import CohortMapper
from helios_research.widgets.mapper.controls import NOT_GIVEN


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "who": ["P1", "007"],
            "file": ["https://example.org/a.wav", "https://example.org/b.wav"],
            "born": ["1990-05-17", "1985-01-01"],
            "sex": ["f", "M"],
            "mood": ["well", "ill"],
            "arm": ["day", "night"],
            'say "so"': ["x", "y"],
        }
    )


@pytest.fixture
def mapping() -> ColumnMapping:
    return ColumnMapping(
        {"user_label": "who", "recording": "file", "date_of_birth": "born", "birth_sex": "sex"},
        {"language": "en-GB"},
        ("mood", "arm", 'say "so"'),
    )


def mapped(table: pd.DataFrame, mapping: ColumnMapping) -> CohortMapper:
    """A mapper in which a mapping is chosen."""
    tags = mapping.tags
    return CohortMapper(table, columns=mapping.columns, constants=mapping.constants, tags=tags)


def same(one: Cohort, other: Cohort) -> bool:
    return (
        one.fields.equals(other.fields)
        and one.tag_values.equals(other.tag_values)
        and one.frame.equals(other.frame)
        and one.issues.rows.equals(other.issues.rows)
    )


def test_the_code_makes_the_same_cohort(mapping: ColumnMapping, table: pd.DataFrame) -> None:
    names: dict[str, object] = {"raw": table}
    exec(mapping.code("raw"), names)  # noqa: S102 - running it is the test
    assert same(names["cohort"], mapped(table, mapping).cohort)


def test_the_code_reads_as_a_person_would_write_it(table: pd.DataFrame) -> None:
    mapping = ColumnMapping({"user_label": "who"}, {"language": "en-GB"}, ("arm",), "recordings")
    assert mapping.code("df") == (
        "import helios_research as hr\n"
        "\n"
        "cohort = hr.Cohort.from_frame(\n"
        "    df,\n"
        '    columns={"user_label": "who"},\n'
        '    constants={"language": "en-GB"},\n'
        '    tags=["arm"],\n'
        '    root="recordings",\n'
        ")\n"
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "accent",
            "has a column 'accent' that is not to be the field. Choose it, or rename it to 'my_accent'.",
        ),
        (
            "outcome",
            "names that the results use: 'outcome'. Rename them, for example to 'my_outcome'.",
        ),
    ],
)
def test_a_column_that_cannot_keep_its_name_is_named(
    mapping: ColumnMapping, table: pd.DataFrame, name: str, sentence: str
) -> None:
    mapper = mapped(table.assign(**{name: "x"}), mapping)
    mapper.controls.fields["accent"].value = NOT_GIVEN
    with pytest.raises(CohortError) as caught:
        _ = mapper.cohort
    assert sentence in str(caught.value)


def test_what_would_be_sent_is_what_is_sent(mapping: ColumnMapping, table: pd.DataFrame) -> None:
    assert rows_of(mapped(table, mapping).cohort)[1].request.to_record() == {
        "user": {"userLabel": "007", "dateOfBirth": "1985-01-01", "birthSex": "MALE"},
        "language": "en-GB",
        "tags": [
            {"name": "arm", "value": "night"},
            {"name": "mood", "value": "ill"},
            {"name": 'say "so"', "value": "y"},
        ],
    }


def test_a_row_that_cannot_be_sent_has_no_request(
    mapping: ColumnMapping, table: pd.DataFrame
) -> None:
    table.loc[0, "born"] = "17.5.1990"
    assert rows_of(mapped(table, mapping).cohort)[0].request is None


def test_the_columns_that_stay_are_known(table: pd.DataFrame) -> None:
    mapping = ColumnMapping({"recording_id": "who", "recording": "file"}, tags=("arm",))
    assert mapping.staying(table.columns) == [
        "who",
        "born",
        "sex",
        "mood",
        'say "so"',
    ]
