"""What is drawn of an explorer beside its figure and its table: head, problems, numbers, files."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

from helios_research.analysis import compare_by_tag
from helios_research.analysis.prepared import Flags, count_reasons, has_warning
from helios_research.codes import explain, short_name
from helios_research.columns import OUTCOME_LABELS, Outcome
from helios_research.widgets.base import button_html, code_html
from helios_research.widgets.base.table import table_html
from helios_research.widgets.explorer.controls import count_words
from helios_research.widgets.explorer.figure import FORMATS, SIDES
from helios_research.widgets.explorer.selection import Condition, ExplorerState, HasWarning, OneOf
from helios_research.widgets.explorer.source import ResultsSource, label_of

PANES = {"figure": "Figure", "recording": "Recording", "choices": "Choices"}
"""The panes that share a place where there is not room for all of them."""

ROWS_AS = {"csv": "CSV", "xlsx": "Excel", "parquet": "Parquet"}

_MOST_REASONS = 12
_CROSS = '<span aria-hidden="true">&times;</span>'
_CHIP_ON = "helios-chip helios-chip-on"


@dataclass(frozen=True, slots=True)
class Reason:
    """Something wrong with recordings, whose condition shows them at one click."""

    condition: Condition
    words: str
    tip: str
    holds: Flags


def reasons_of(source: ResultsSource) -> Sequence[Reason]:
    """List what is wrong with recordings: error codes, outcomes without one, no score, warnings."""
    table = source.table
    lost = table["outcome"] != Outcome.SCORED.value
    found: list[tuple[Condition, str, str]] = []
    if "error_code" in table.columns:
        for code in count_reasons(table["error_code"].astype("str").dropna()):
            tip = f"{code}: {explain(code).meaning}"
            found.append((OneOf("error_code", (code,)), short_name(code), tip))
        lost &= table["error_code"].isna()
    for name in count_reasons(table["outcome"].astype("str")[lost]):
        tip = f"{name}: {OUTCOME_LABELS.get(name, name)}"
        found.append((OneOf("outcome", (name,)), name, tip))
    found, main = found[:_MOST_REASONS], source.biomarkers[0]
    if table[main].isna().any():
        tip = f"Recordings without a score of {label_of(main)}"
        found.append((OneOf(main, (None,)), f"no {label_of(main)}", tip))
    if has_warning(table).any():
        found.append((HasWarning(), "with a warning", "Scores that came with a warning"))
    return [
        Reason(condition, words, tip, condition.holds(table).to_numpy(dtype=bool, na_value=False))
        for condition, words, tip in found
    ]


def head_html(state: ExplorerState, *, can_go_back: bool) -> str:
    """Draw what is shown, the filters that are on, and what leads back."""
    words = [each.words for each in state.filters.values()]
    chips = [
        button_html(
            f"drop:{place}", each, tip=f"Remove the filter {each}", after=_CROSS, classes=_CHIP_ON
        )
        for place, each in enumerate(words)
    ]
    if len(chips) > 1:
        chips.append(button_html("drop:", "Remove all filters"))
    if state.kept is not None:
        kept = "; ".join(each.words for each in state.kept.values()) or "all recordings"
        tip = "Compare no longer: show only B"
        chips.append(button_html("apart:", f"A: {kept}", tip=tip, after=_CROSS, classes=_CHIP_ON))
    tip = "Keep the recordings shown as A, to compare them with those shown next"
    again = "Keep as A" if state.kept is None else "Keep these as A"
    return (
        f'<div class="helios-headline" role="status">{escape(state.words)}</div>'
        f'<div class="helios-chips"><span class="helios-muted">'
        f"{'Filters:' if words else 'No filter is on.'}</span>{''.join(chips)}"
        f'<span class="helios-end">{button_html("keep:", again, tip=tip)}'
        f"{button_html('back:', 'Back', tip='Undo the last step', disabled=not can_go_back)}"
        "</span></div>"
    )


def problems_html(state: ExplorerState, reasons: Sequence[Reason], pane: str) -> str:
    """Draw a button for each thing that is wrong with recordings, and one for each pane."""
    groups: dict[str, list[str]] = {"Failed because:": [], "Also:": []}
    for place, reason in enumerate(reasons):
        column = reason.condition.column
        left = int((reason.holds & state.without(column)).sum())
        is_code = isinstance(reason.condition, OneOf) and column == "error_code"
        chip = button_html(
            f"reason:{place}",
            reason.words,
            tip=reason.tip,
            after=f"<b>{count_words(left, int(reason.holds.sum()))}</b>",
            pressed=state.filters.get(column) == reason.condition,
        )
        groups["Failed because:" if is_code else "Also:"].append(chip)
    rows = "".join(
        f'<span class="helios-muted">{label}</span>{"".join(chips)}'
        for label, chips in groups.items()
        if chips
    )
    tabs = "".join(
        button_html(f"pane:{name}", label, pressed=name == pane, classes=f"helios-tab-{name}")
        for name, label in PANES.items()
    )
    return (
        f'<div class="helios-chips">{rows or "No recording has a problem."}</div>'
        f'<div class="helios-tabs" role="group" aria-label="Show">{tabs}</div>'
    )


def compared_html(state: ExplorerState) -> str:
    """Draw the numbers of A against B; nothing where none is kept."""
    if state.kept is None or not state.view.kind.has_scores:
        return ""
    found = compare_by_tag(state.drawn, SIDES, biomarkers=list(state.view.biomarkers))
    # Points of the score, or where it has only four levels P(higher in B) - P(higher in A).
    low, value, high = (
        found[f"difference{end}"].fillna(found[f"effect{end}"]) for end in ("_low", "", "_high")
    )
    sides = {"A": "reference", "B": "level"}
    counts = {
        f"{side}: {what}": found[f"{what}_{name}"]
        for side, name in sides.items()
        for what in ("recordings", "participants")
    }
    rows = pd.DataFrame(
        {"Score": found["biomarker"].map(label_of), **counts, "B \N{MINUS SIGN} A": value}
        | {"from": low, "to": high, "p (Holm)": found["p_holm"].fillna(found["p"])}
    )
    notes = [str(found.attrs["method"]), *map(str, found.attrs["warnings"])]
    return (
        f'<div class="helios-scroll">{table_html(rows, "A against B")}</div>'
        f'<details data-name="method"><summary>How this is computed</summary>'
        f"<p>{escape(' '.join(notes))}</p></details>"
    )


def take_html(state: ExplorerState) -> str:
    """Draw the buttons that give rows, figure and code."""
    rows = [
        button_html(f"rows:{ending}", name, tip=f"Save the rows shown, with all columns, as {name}")
        for ending, name in ROWS_AS.items()
    ]
    figures = [
        button_html(f"figure:{form}", form.upper(), tip=f"Save the figure as {form.upper()}")
        for form in FORMATS
    ]
    copy = button_html("figure:copy", "Copy", tip="Copy the figure, to paste it into a text")
    copy = copy.replace("<button ", "<button data-copy ")
    return (
        f'<div class="helios-chips"><span class="helios-muted">Rows:</span>{"".join(rows)}'
        f'<span class="helios-muted">Figure:</span>{"".join(figures)}{copy}</div>'
        f'<details data-name="code"><summary>Show the code for this</summary>'
        f"{code_html(state.code())}</details>"
    )
