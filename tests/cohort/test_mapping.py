"""It is clear which column feeds which field, or the error says what to do."""

import pytest

from helios_research.cohort.mapping import ColumnMapping
from helios_research.errors import (
    ColumnsError,
)

NAMES = ["recording", "user_label", "date_of_birth", "birth_sex", "language", "arm", "note"]


def laid_out(names=NAMES, columns=None, constants=None, tags=()):
    mapping = ColumnMapping.of(columns=columns, constants=constants, tags=tags)
    return mapping.resolve("m.csv", names)


def renamed(**changes):
    return [changes.get(name, name) for name in NAMES]


def test_standard_columns_are_found_by_their_names():
    layout = laid_out(tags=["arm"])
    assert layout.name_of("user_label") == "user_label"
    assert layout.tags == ("arm",)
    assert "note" not in layout.columns


def test_a_column_is_mapped_and_keeps_its_own_name():
    layout = laid_out(renamed(user_label="participant"), {"user_label": "participant"})
    assert layout.columns["user_label"] == "participant"
    assert layout.name_of("user_label") == "participant"


def test_missing_columns_are_offered_as_one_line_with_what_is_not_known_left_open():
    with pytest.raises(ColumnsError) as caught:
        laid_out(renamed(user_label="UserLabel", language="site", birth_sex="x"))
    assert str(caught.value) == (
        "m.csv lacks the columns user_label, birth_sex, language. It has: UserLabel, x, site, arm, note. "
        'If this is right, declare columns={"user_label": "UserLabel", "birth_sex": "…"}, '
        'constants={"language": "…"}; in place of … write a column, or in constants= one value for all '
        "rows, such as en-GB."
    )


def test_the_line_keeps_what_is_given_already():
    names = ["audio_file", "record_id", "dob", "sex", "place"]
    with pytest.raises(ColumnsError) as caught:
        laid_out(names, {"accent": "place"}, {"language": "es"})
    line = (
        'columns={"accent": "place", "recording": "audio_file", "user_label": "record_id", '
        '"date_of_birth": "dob", "birth_sex": "sex"}, constants={"language": "es"}'
    )
    assert f"declare {line}." in str(caught.value)
    columns, constants = (eval(part.partition("=")[2]) for part in line.split(", constants"))  # noqa: S307 - pasting it is the test
    assert laid_out(names, columns, constants).columns["user_label"] == "record_id"


def test_a_constant_replaces_a_missing_column():
    layout = laid_out(NAMES[:4], constants={"language": "en-GB"})
    assert layout.constants == {"language": "en-GB"}


def test_hundreds_of_columns_do_not_flood_the_message():
    with pytest.raises(ColumnsError, match=r"x29, and 70 more\."):
        laid_out([f"x{number}" for number in range(100)] + ["recording"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"columns": {"accent": "akzent"}},
            "columns= names 'akzent' for 'accent', but there is no such column",
        ),
        (
            {"columns": {"language": "note"}},
            "'note' is named for 'language', but there is also a column named 'language'",
        ),
        ({"columns": {"accent": "arm", "wake_time": "arm"}}, "'arm' is named for 'accent' and"),
        ({"columns": {"sex": "note"}}, "'sex' is not a field of a recording"),
        (
            {"constants": {"language": "es"}},
            "constants= gives 'language', which the column 'language' also gives",
        ),
        ({"constants": {"recording": "a.wav"}}, "'recording' cannot be the same in all rows"),
        ({"constants": {"tongue": "en"}}, "'tongue' is not a field of a recording"),
    ],
)
def test_columns_and_constants_that_do_not_fit_are_refused(arguments, sentence):
    with pytest.raises(ColumnsError) as caught:
        laid_out(**arguments)
    assert str(caught.value).startswith("The columns of m.csv cannot be assigned: ")
    assert sentence in str(caught.value)


def test_a_mapping_the_wrong_way_round_is_turned():
    with pytest.raises(ColumnsError, match=r'write \{"user_label": "participant"\}'):
        laid_out(columns={"participant": "user_label"})


def test_a_misspelt_column_is_answered_with_the_right_one():
    with pytest.raises(ColumnsError, match="Did you mean 'note'"):
        laid_out(columns={"accent": "Notes"})


def test_a_path_may_also_be_the_key_of_its_row():
    layout = laid_out(columns={"recording_id": "recording"})
    assert layout.columns["recording_id"] == layout.columns["recording"]


def test_own_columns_with_names_of_results_are_refused():
    with pytest.raises(ColumnsError) as caught:
        laid_out([*NAMES, "outcome", "sha256"])
    assert str(caught.value) == (
        "m.csv has columns with names that the results use: 'outcome', 'sha256'. "
        "Rename them, for example to 'my_outcome'."
    )


@pytest.mark.parametrize(
    ("tags", "sentence"),
    [
        (["army"], "there is no column 'army'. Did you mean 'arm'?"),
        (["language"], "'language' is already the field 'language'. Leave it out of tags=."),
        (["sleep_time"], "'sleep_time' is already the field 'sleep_time'."),
        (["outcome"], "the results already have a column 'outcome'."),
        ([f"t{n}" for n in range(21)], "a run can have 20 tags, and these are 21."),
    ],
)
def test_tags_that_cannot_be_sent_are_refused(tags, sentence):
    names = [*NAMES, *(f"t{n}" for n in range(21))]
    with pytest.raises(ColumnsError) as caught:
        laid_out(names, tags=tags)
    assert sentence in str(caught.value)


def test_a_column_that_is_mapped_to_a_field_is_not_sent_again_as_a_tag():
    with pytest.raises(ColumnsError, match="'who' is already the field 'user_label'"):
        laid_out(renamed(user_label="who"), {"user_label": "who"}, tags=["who"])


def test_twenty_tags_are_allowed_and_repeats_count_once():
    names = [f"t{n}" for n in range(20)]
    assert laid_out([*NAMES, *names], tags=[*names, "t0"]).tags == tuple(names)


def test_one_tag_may_be_given_by_its_name_alone():
    assert laid_out(tags="arm").tags == ("arm",)
