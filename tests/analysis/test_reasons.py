"""Why a recording has no score, or one to be careful with, is said for each."""

import numpy as np
import pandas as pd

from helios_research.analysis import prepared


def test_every_missing_score_has_a_reason(make_results):
    table = make_results(
        ["a", "a", "a", "a", "a", None],
        mental_strain=[0.5, np.nan, np.nan, np.nan, np.nan, 0.4],
        n_sections=pd.array([1, None, None, 3, 1, 1], dtype="Int64"),
    )
    table.loc[1, ["outcome", "error_code"]] = ["failed", "ERR_INTERNAL"]
    table.loc[2, "outcome"] = "pending"
    found = prepared.missing_reasons(table, prepared.scores_of(table, "mental_strain"))
    assert found.isna().tolist() == [True, *[False] * 5]
    assert found.tolist()[1:] == [
        "ERR_INTERNAL", "pending", "several sections", "no score", "no participant",
    ]  # fmt: skip


def test_a_warning_is_a_text_in_the_list_not_an_empty_list():
    table = pd.DataFrame({"warnings": [None, [], ["noisy"], np.array(["a", "b"]), np.nan]})
    assert prepared.has_warning(table).tolist() == [False, False, True, True, False]
    assert not prepared.has_warning(pd.DataFrame({"outcome": ["scored"]})).any()
