"""Errors with their remedies, and the codebook."""

from collections.abc import Sequence

import pandas as pd

from helios_research.codes import explain
from helios_research.preflight_checks.comparison import compare_with_answers
from helios_research.report.blocks import SAY, Block, Table, Text, count, table_of
from helios_research.report.data import ReportData
from helios_research.results.codebook import codebook
from helios_research.results.shapes import describe_results

_MOST_WARNINGS = 10


def errors(data: ReportData) -> Sequence[Block]:
    """List every error with its remedy, and the warnings of Helios."""
    codes = data.column("error_code").astype("str")
    listed = _errors(codes, data.table["user_label"]) if codes.notna().any() else None
    made = [listed or Text("No recording has an error."), *_preflight(data)]
    warnings = data.column("warnings")[data.warned].explode().astype("str").value_counts()
    if warnings.empty:
        return made
    rows = [(str(text), count(number)) for text, number in warnings.head(_MOST_WARNINGS).items()]
    frame = pd.DataFrame(rows, columns=["warning of Helios", "times"])
    more = len(warnings) - len(rows)
    notes = (f"{more:,} other warnings are not listed.",) if more else ()
    return [*made, table_of(frame, "Warnings that came with scores", notes)]


def _preflight(data: ReportData) -> list[Block]:
    """Say how often the preflight expected the answer of Helios."""
    compared = compare_with_answers(data.given)
    if compared.empty:
        return []
    is_right, number = compared["expected"] == compared["answered"], compared["recordings"]
    about = {"right": count(number[is_right].sum()), "checked": count(number.sum())}
    said = [SAY["errors"]["preflight"].format(**about), *data.warnings_of(compared)]
    return [Text(" ".join(said))]


def _errors(codes: "pd.Series[str]", people: "pd.Series[str]") -> Table:
    rows = []
    for code, number in codes.value_counts().items():
        about, n_people = explain(str(code)), people[codes == code].nunique()
        rows.append((str(code), count(number), count(n_people), about.meaning, about.remedy))
    header = ["code", "recordings", "participants", "what it means", "what to do"]
    notes = ["The column error_reason of the results has the details of each recording."]
    return table_of(pd.DataFrame(rows, columns=header), "Errors, the most frequent first", notes)


def columns(data: ReportData) -> Sequence[Block]:
    """Give the codebook of the results."""
    sent = [tag for tag in data.provenance.get("tags") or () if tag in data.given.columns]
    book = codebook(describe_results(data.given, sent), values_of=data.by.values())
    book["origin"] = book["origin"].replace("helios_research", "the toolkit")
    book["filled"] = book["filled"].map("{:,}".format)
    return [table_of(book, "Columns of the results")]
