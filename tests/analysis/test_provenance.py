"""Synthetic scores are called synthetic, wherever a table of findings goes."""

import pandas as pd

from helios_research.analysis import provenance


def test_synthetic_scores_are_called_synthetic_and_mixtures_too(study, make_results):
    assert "Synthetic" in provenance.source_note(study)
    real = make_results(["a"], mental_strain=[0.5])
    assert provenance.source_note(real) is None
    assert provenance.source_note(real.drop(columns="source")) is None
    mixed = pd.concat([real, study[["source"]].astype("str")])
    assert "mixed with scores from Helios" in provenance.source_note(mixed)
    assert provenance.sources_of(mixed) == ["sandbox", "thymia"]


def test_a_finished_table_carries_what_was_done_and_can_be_copied(study):
    rows = provenance.finished(pd.DataFrame({"n": [1]}), study, "Counted.", ["Few rows."])
    assert rows.copy().attrs == {
        "method": "Counted.",
        "warnings": ["Few rows."],
        "sources": ["sandbox"],
        "source_note": "Synthetic scores from the sandbox, not measurements of anyone.",
    }
