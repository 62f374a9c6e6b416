"""Names that SPSS and Stata take."""

import re
from pathlib import Path

import pandas as pd
import pyreadstat
from hypothesis import given
from hypothesis import strategies as st

from helios_research.results.statistics_files import SPSS, STATA, valid_names


def test_names_that_are_legal_stay_and_others_make_way() -> None:
    names = ["größe", "grosse", "Größe", "arm", "ARM", "2nd", "with", "byte", "名前", "a b", "a_b"]
    assert valid_names(names, STATA) == {
        "größe": "groe",
        "grosse": "grosse",
        "Größe": "Groe_2",
        "arm": "arm",
        "ARM": "ARM_2",
        "2nd": "v_2nd",
        "with": "v_with",
        "byte": "v_byte",
        "名前": "v",
        "a b": "a_b_2",
        "a_b": "a_b",
    }
    assert valid_names(["byte", "with"], SPSS) == {"byte": "byte", "with": "v_with"}


def test_what_begins_like_one_of_statas_types_of_text_gets_another_name(tmp_path: Path) -> None:
    """Items of a questionnaire on stress may be called str1, str2 and so on."""
    names = ["str1", "STR2", "str3_morning", "str", "stress1"]
    found = valid_names(names, STATA)
    assert found == {
        "str1": "v_str1",
        "STR2": "v_STR2",
        "str3_morning": "v_str3_morning",
        "str": "str",
        "stress1": "stress1",
    }
    assert valid_names(names, SPSS) == {name: name for name in names}
    pyreadstat.write_dta(pd.DataFrame([range(5)], columns=list(found.values())), tmp_path / "x.dta")
    assert list(pd.read_stata(tmp_path / "x.dta")) == list(found.values())


@given(st.lists(st.text(max_size=80), unique=True, max_size=12))
def test_any_names_become_legal_and_different(names: list[str]) -> None:
    for dialect in (SPSS, STATA):
        found = valid_names(names, dialect)
        assert sorted(found) == sorted(names)
        assert len({name.lower() for name in found.values()}) == len(names)
        for name in found.values():
            assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name)
            assert len(name) <= dialect.longest_name
            assert not dialect.reserved.fullmatch(name.lower())
