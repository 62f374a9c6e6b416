"""Synthetic scores are called synthetic, wherever a table of findings goes."""

import pandas as pd

from helios_research.analysis import prepared


def test_synthetic_scores_are_called_synthetic_and_mixtures_too(study, make_results):
    assert "Synthetic" in prepared.source_note(study)
    real = make_results(["a"], mental_strain=[0.5])
    assert prepared.source_note(real) is None
    assert prepared.source_note(real.drop(columns="source")) is None
    mixed = pd.concat([real, study[["source"]].astype("str")])
    assert "mixed with scores from Helios" in prepared.source_note(mixed)
    assert prepared.sources_of(mixed) == ["sandbox", "thymia"]


def test_a_finished_table_carries_what_was_done_and_can_be_copied(study):
    rows = prepared.finished(pd.DataFrame({"n": [1]}), study, "Counted.", ["Few rows."])
    assert rows.copy().attrs == {
        "method": "Counted.",
        "warnings": ["Few rows."],
        "sources": ["sandbox"],
        "source_note": "Synthetic scores from the sandbox, not measurements of anyone.",
    }


def test_scores_of_changed_rows_are_counted_beside_every_finding(make_results):
    table = make_results(
        ["a", "a", "b", "c"],
        outcome=pd.Series(["scored", "scored", "scored", "failed"], dtype="str"),
        error_code=["METADATA_CHANGED", None, "INVALID_LANGUAGE", "ERR_RECORDING_TOO_SHORT"],
        mental_strain=[0.1, 0.2, 0.3, None],
    )
    said = (
        "2 scored recordings are flagged (1 INVALID_LANGUAGE, 1 METADATA_CHANGED): the manifest "
        "was changed after the recording was sent. The scores are those of what was sent, and "
        "they count; error_reason says what changed."
    )
    assert prepared.flagged_note(table) == said
    assert prepared.finished(pd.DataFrame(), table, "Counted.", ["Few."]).attrs["warnings"] == [
        *("Few.", said)
    ]


def test_without_changed_rows_nothing_is_said_of_them(study, make_results):
    assert prepared.flagged_note(study) is None
    bare = make_results(["a"]).drop(columns="error_code")
    assert prepared.flagged_note(bare) is None
