"""The analysis as a whole: its public names, and inputs with little or nothing in them."""

import doctest
import inspect

import numpy as np
import pandas as pd
import pytest

from helios_research import analysis
from helios_research.columns import BIOMARKERS
from helios_research.errors import ResultsError

TWO = ("uniform_stress", "stress")

ANALYSES = {
    "summary": lambda table: analysis.summarize_by_tag(table, "arm"),
    "summary by": lambda table: analysis.summarize_by_tag(table, "arm", by="visit"),
    "comparison": lambda table: analysis.compare_by_tag(table, "arm", biomarkers=TWO),
    "change": lambda table: analysis.compare_change(table, "arm", biomarkers=TWO),
    "change of all": lambda table: analysis.compare_change(table, biomarkers=TWO),
    "comparison within": lambda table: analysis.compare_by_tag(table, "visit", biomarkers=TWO),
    "baseline": lambda table: analysis.baseline(table, order="visit"),
    "reliability": lambda table: analysis.reliability(table, by="arm"),
    "agreement": lambda table: analysis.agreement(table, "speech_s", measure_range=(0, 600)),
    "missingness": lambda table: analysis.missingness_by_tag(table, "arm"),
    "table one": lambda table: analysis.format_table_one(analysis.table_one(table, "arm")),
    "flow": lambda table: analysis.flow(table, by="arm", expected=14),
    "attrition": lambda table: analysis.attrition(table, "visit", by="arm", expected=14),
    "model frame": analysis.model_frame,
}


def small_inputs(study):
    """Name tables with little in them."""
    names = [marker.name for marker in BIOMARKERS]
    one_person = study[study["user_label"] == "P003"]
    two = study[study["user_label"].isin(["P001", "P002"])]
    constant = two.assign(**dict.fromkeys(names, 0.33))
    return {
        "no rows": study.iloc[:0],
        "one row": study.iloc[[0]],
        "one person": one_person,
        "two people": two,
        "one level": study[study["arm"] == "day_shift"].head(40),
        "nothing scored": study[study["outcome"] != "scored"],
        "no scores": study.head(60).assign(**dict.fromkeys(names, np.nan)),
        "constant scores": constant,
        "no labels": study.head(20).assign(user_label=pd.Series([None] * 20, dtype="str")),
        "no tags": study.head(20).assign(arm=None, visit=None),
        "one each": study.drop_duplicates("user_label").head(8),
    }


@pytest.mark.parametrize("name", ANALYSES)
def test_small_inputs_give_a_table_or_a_sentence_and_never_a_warning(study, name):
    sentences = []
    for table in small_inputs(study).values():
        try:
            found = ANALYSES[name](table)
        except ResultsError as error:
            sentences.append(str(error))
        else:
            assert isinstance(found, pd.DataFrame)
            sentences.append(found.attrs["method"])
    assert len(sentences) == 11
    assert all(sentence.endswith(".") for sentence in sentences)


@pytest.mark.parametrize("name", ANALYSES)
def test_the_results_given_are_not_changed(study, name):
    before = study.copy(deep=True)
    ANALYSES[name](study)
    pd.testing.assert_frame_equal(study, before)


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_says_that_synthetic_scores_are_synthetic(study, name):
    assert ANALYSES[name](study).attrs["source_note"].startswith("Synthetic scores")


@pytest.mark.parametrize("name", ["summary", "comparison", "missingness", "table one", "flow"])
def test_the_order_of_the_rows_does_not_matter(study, name):
    # Levels that nothing else orders are in the order in which they appear.
    first = study.drop_duplicates(["arm", "birth_sex", "language", "site"])
    shuffled = pd.concat([first, study.drop(first.index).sample(frac=1, random_state=1)])
    one, other = ANALYSES[name](study), ANALYSES[name](shuffled)
    pd.testing.assert_frame_equal(one, other, rtol=1e-4)


def test_the_public_names_are_these_and_all_are_there():
    assert sorted(analysis.__all__) == analysis.__all__
    assert set(analysis.__all__) == {
        "agreement", "attrition", "baseline", "compare_by_tag", "compare_change",
        "exclude", "flow", "format_table_one", "missingness_by_tag", "model_frame", "reliability",
        "summarize_by_tag", "table_one",
    }  # fmt: skip
    assert all(inspect.getdoc(getattr(analysis, name)) for name in analysis.__all__)


@pytest.mark.parametrize("name", analysis.__all__)
def test_the_examples_of_the_docstrings_hold(name, study_path, monkeypatch):

    monkeypatch.chdir(study_path.parents[1])
    public = getattr(analysis, name)
    examples = doctest.DocTestFinder(recurse=False).find(public, name, globs=vars(analysis).copy())
    runner = doctest.DocTestRunner()
    for example in examples:
        runner.run(example)
    assert runner.failures == 0
