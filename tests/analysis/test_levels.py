"""Which levels a grouping column has, and in which order."""

import pandas as pd
import pytest

from helios_research.analysis.prepared import levels_of
from helios_research.errors import ResultsError


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series(["10", "9", "1"], dtype="str"), ("1", "9", "10")),
        (pd.Series(["visit 10", "Visit 2"], dtype="str"), ("Visit 2", "visit 10")),
        (pd.Series([2.0, 10.0, 1.5]), ("1.5", "2", "10")),
        (pd.Series([3, 1, 2]), ("1", "2", "3")),
        (pd.Series([1234568.0, 1234567.0, None]), ("1234567", "1234568", "not given")),
        (pd.Series(["5\N{SUPERSCRIPT TWO}", "m", "\N{SUPERSCRIPT TWO}"], dtype="str"),
         ("5\N{SUPERSCRIPT TWO}", "m", "\N{SUPERSCRIPT TWO}")),
        (pd.Series(["b", "nan", "10", "2"], dtype="str"), ("2", "10", "b", "nan")),
        (pd.Series(["not given", "b", None], dtype="str"), ("b", "not given")),
        (pd.Series([True, False]), ("False", "True")),
        (pd.Series(["b", " ", None, "a"], dtype="str"), ("a", "b", "not given")),
        (
            pd.Series(pd.Categorical(["pre", "post"], categories=["pre", "post", "x"], ordered=True)),
            ("pre", "post"),
        ),
        (pd.Series([], dtype="str"), ()),
    ],
)  # fmt: skip
def test_levels_are_in_the_order_that_a_reader_expects(values, expected):
    levels = levels_of(pd.DataFrame({"tag": values}), "tag")
    assert levels.labels == expected
    assert [levels.labels[code] for code in levels.codes][:1] == [
        str(value).removesuffix(".0") for value in values[:1]
    ]


def test_spellings_of_birth_sex_are_one_level():
    sexes = pd.Series(["f", "Female", " FEMALE", "m", " M", "INTERSEX", None], dtype="str")
    levels = levels_of(pd.DataFrame({"birth_sex": sexes}), "birth_sex")
    assert levels.labels == ("FEMALE", "INTERSEX", "MALE", "not given")


def test_a_column_with_too_many_values_is_no_tag(study):
    with pytest.raises(ResultsError, match="'sha256' has 1,487 different values, more than 500"):
        levels_of(study, "sha256")


def test_ordered_categories_keep_their_order_however_they_are_spelled(make_results):
    """Birth sex is brought to the words of Helios, and other levels lose the space around them."""
    kinds = pd.CategoricalDtype(["w ", "groups pooled", "", "a"], ordered=True)
    values = pd.Series(["a", "w ", "groups pooled", ""], dtype=kinds)
    table = make_results(["p", "q", "r", "s"], arm=values, birth_sex=values)
    found = levels_of(table, "arm")
    assert found.labels == ("w", "groups pooled", "a", "not given")
    assert found.codes.tolist() == [2, 0, 1, 3]
    sexes = levels_of(table, "birth_sex")
    assert [sexes.labels[code] for code in sexes.codes] == ["A", "W", "GROUPS POOLED", "not given"]
