"""One recording described as HTML: its outcome, its scores against the baseline, its metadata."""

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import pandas as pd

from helios_research.analysis import baseline
from helios_research.analysis.baseline import BASELINE_COLUMNS
from helios_research.codes import explain, short_name
from helios_research.columns import (
    BIOMARKERS_BY_NAME,
    BUCKET_LABELS,
    OUTCOME_LABELS,
    RESULTS_BY_NAME,
    STANDARD_FIELDS,
    Outcome,
)
from helios_research.errors import ResultsError
from helios_research.widgets.base import cut
from helios_research.widgets.base.table import cell_texts, html_table
from helios_research.widgets.explorer.source import ResultsSource, id_of

_NOTHING = "\u2013"
# The first recordings of a participant that make their baseline.
_IN_BASELINE = 3
# Width and height of a participant's course.
_COURSE_PX = 72, 16
_SHOWN_ELSEWHERE = frozenset(
    {"outcome", "error_code", "error_reason", "warnings", "transcript", "sections"}
) | frozenset(BIOMARKERS_BY_NAME)


@dataclass
class Details:
    """Describes recordings, and keeps the baselines of all participants once they are computed."""

    source: ResultsSource

    def why_html(self, position: int) -> str:
        """Say what happened to the recording in a row of the results, from 0."""
        name = cut(id_of(self.source.table, position))
        outcome = _outcome_html(self.source.table.iloc[[position]])
        return f'<h2 class="helios-title">{name}</h2>{outcome}'

    def html(self, position: int) -> str:
        """Describe the recording in a row of the results, from 0; nothing of it is markup."""
        row = self.source.table.iloc[[position]]
        scores = self._scores_html(row, position)
        return f"{scores}{_transcript_html(row)}{_metadata_html(row)}"

    @cached_property
    def compared(self) -> pd.DataFrame:
        """``analysis.baseline`` of all results; ``recording_id`` is the row here, from 0.

        Where there is none it is empty, and its ``attrs["why"]`` says so.
        """
        table, order = self.source.table, self.source.day_column
        why = "the results do not say when recordings were made."
        if order is not None:
            needed = ["user_label", "outcome", order, *self.source.biomarkers]
            # Numbered again, since two rows of a table may have the same id.
            numbered = table[needed].assign(recording_id=range(len(table)))
            try:
                return baseline(numbered, order=order, first=_IN_BASELINE)
            except ResultsError as error:
                why = str(error)
        nothing = pd.DataFrame(columns=BASELINE_COLUMNS)
        nothing.attrs["why"] = f"No baseline: {why}"
        return nothing

    def _scores_html(self, row: pd.DataFrame, position: int) -> str:
        if row["outcome"].iloc[0] != Outcome.SCORED:
            return "<p>It has no scores.</p>"
        compared = self.compared
        own = compared[compared["recording_id"] == position]
        person = compared[compared["user_label"].isin(own["user_label"])]
        lines = [
            _score_line(name, row[name].iloc[0], person[person["biomarker"] == name], position)
            for name in self.source.biomarkers
        ]
        heads = ("Biomarker", "Score", "Course", "Change", "Baseline", "Usual range")
        return (
            '<h3 class="helios-title">Scores and this participant\'s baseline</h3>'
            f"{html_table(heads, lines, 'Scores against the baseline')}"
            f'<p class="helios-muted">{escape(self._how(own))}</p>'
        )

    def _how(self, own: pd.DataFrame) -> str:
        if "why" in self.compared.attrs:
            return str(self.compared.attrs["why"])
        if own.empty:
            return "No baseline: the recording has no time or no known participant."
        first = own.iloc[0]
        if bool(first["in_baseline"]):
            return (
                f"This recording is one of the participant's first {_IN_BASELINE}, which make "
                "the baseline."
            )
        return (
            f"Baseline: the participant's first {int(first['baseline_recordings'])} scored "
            "recordings. Usual range: 95 % of later recordings are in it if nothing changes. "
            "Scores of four levels: change is the part of the baseline's recordings that this one "
            "is above, minus the part that it is below."
        )


def _score_line(name: str, score: Any, course: pd.DataFrame, position: int) -> tuple[str, ...]:
    marker = BIOMARKERS_BY_NAME[name]
    label = escape(marker.label)
    if pd.isna(score):
        return (label, *[_NOTHING] * 5)
    written = f"{score:.2f}"
    if marker.bucketed and score in BUCKET_LABELS:
        written = f'<span title="{BUCKET_LABELS[score]}">{written}</span>'
    own = course[course["recording_id"] == position]
    if own.empty:
        return (label, written, *[_NOTHING] * 4)
    known = own.iloc[0]
    middle = _NOTHING if pd.isna(known["baseline"]) else f"{known['baseline']:.2f}"
    drawn = _course_html(course, position)
    return (label, written, drawn, _change(known), middle, _usual(known))


def _course_html(course: pd.DataFrame, position: int) -> str:
    """Draw a participant's scores of one biomarker in their order, the recording's own larger."""
    ordered = course.sort_values("position")
    step = _COURSE_PX[0] / max(1, len(ordered) - 1)
    places = [
        (round(4 + step * place, 1), round(4 + _COURSE_PX[1] * (1 - score), 1))
        for place, score in enumerate(ordered["score"])
    ]
    line = " ".join(f"{x},{y}" for x, y in places)
    x, y = places[ordered["recording_id"].tolist().index(position)]
    width, height = (side + 8 for side in _COURSE_PX)
    return (
        f'<svg class="helios-course" width="{width}" height="{height}" role="img" '
        f'aria-label="{len(places)} scores in the order of time">'
        f'<polyline points="{line}"/><circle cx="{x}" cy="{y}" r="3.5"/></svg>'
    )


def _change(known: "pd.Series[Any]") -> str:
    change = known["change"]
    if pd.isna(change):
        return "part of it" if known["in_baseline"] else _NOTHING
    if known["bucketed"]:
        return f"{100 * change:+.0f} %"
    return f"{change:+.2f}"


def _usual(known: "pd.Series[Any]") -> str:
    if pd.isna(known["usual_low"]) or pd.isna(known["usual_high"]):
        return _NOTHING
    words = f"{known['usual_low']:.2f} to {known['usual_high']:.2f}"
    outside = known["outside_usual"]
    return words if pd.isna(outside) or not outside else f"{words} <strong>outside</strong>"


def _outcome_html(row: pd.DataFrame) -> str:
    outcome = str(row["outcome"].iloc[0])
    label = OUTCOME_LABELS.get(outcome, "an outcome that this version does not know")
    parts = [f"<p><strong>{escape(outcome.capitalize())}</strong>: {escape(label)}.</p>"]
    code = _value(row, "error_code")
    if code is not None:
        known = explain(str(code))
        reason = _value(row, "error_reason")
        words = "" if reason is None else f" {escape(str(reason))}"
        name = cut(short_name(str(code)).capitalize(), tip=str(code))
        parts.append(f"<p><strong>{name}.</strong>{words}</p>")
        parts.append(f"<p>{escape(known.meaning)} <em>What to do:</em> {escape(known.remedy)}</p>")
    warnings = _value(row, "warnings")
    listed = () if warnings is None else warnings
    parts += [f"<p><strong>Warning:</strong> {escape(str(each))}</p>" for each in listed]
    return f'<div class="helios-outcome">{"".join(parts)}</div>'


def _metadata_html(row: pd.DataFrame) -> str:
    lines = []
    for name in row.columns:
        if name in _SHOWN_ELSEWHERE:
            continue
        text = cell_texts(row[name])[0]
        if text:
            lines.append((_column_html(name), escape(text)))
    return (
        '<h3 class="helios-title">What is known about it</h3>'
        f"{html_table(('Column', 'Value'), lines, 'Metadata of the recording')}"
    )


def _column_html(name: Any) -> str:
    column = RESULTS_BY_NAME.get(name)
    if column is None or name in STANDARD_FIELDS:
        return escape(str(name))
    unit = f" ({escape(column.unit)})" if column.unit and column.unit != "0 to 1" else ""
    return f'<span title="{escape(column.meaning)}">{escape(name)}{unit}</span>'


def _transcript_html(row: pd.DataFrame) -> str:
    text = _value(row, "transcript")
    if text is None:
        return ""
    return (
        '<h3 class="helios-title">Transcript</h3>'
        f'<blockquote class="helios-transcript">{escape(str(text))}</blockquote>'
    )


def _value(row: pd.DataFrame, name: str) -> Any:
    if name not in row.columns:
        return None
    value = row[name].iloc[0]
    if hasattr(value, "__len__") and not isinstance(value, str):
        return value if len(value) else None
    return None if pd.isna(value) else value
