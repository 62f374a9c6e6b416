"""Who took part, what happened to the recordings, where scores are missing, and errors with remedies."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis import format_table_one
from helios_research.analysis.missingness import ANY_REASON, RECORDING_FAILED
from helios_research.analysis.table_one import OVERALL
from helios_research.codes import explain
from helios_research.plots import COLUMN, flow_diagram
from helios_research.preflight_checks.comparison import compare_with_answers
from helios_research.report import blocks
from helios_research.report.blocks import SAY, Block, Bullets, Text, count, percent
from helios_research.report.data import FLOW, MISSING, PARTICIPANTS, ReportData
from helios_research.report.sentences import excluded
from helios_research.report.small_cells import FEWEST, HIDDEN, hide_small_counts, is_few

_SAY = SAY["participants"]
_MOST_ROWS = 40
_MOST_WARNINGS = 10


def participants(data: ReportData) -> Sequence[Block]:
    """Describe the participants by arm."""
    described = data.found[PARTICIPANTS]
    if isinstance(described, str) or not data.prepared.n_people:
        return [Text(_SAY["none"])]
    printed = format_table_one(described)
    notes = [described.attrs["method"], *data.warnings_of(described)]
    if data.settings.hide_small_cells:
        printed = hide_small_counts(described, printed)
    if HIDDEN in printed.to_numpy():
        notes.append(_SAY["hidden"].format(fewest=FEWEST))
    if data.dividing is None:
        printed = printed.drop(columns="all")
    printed = printed.rename(columns={OVERALL: "all participants"})
    numeric = [name for name in printed.columns if name not in ("characteristic", "level")]
    printed[numeric] = printed[numeric].replace("^-", "\N{MINUS SIGN}", regex=True)
    printed["level"] = printed["level"].replace(dict(data.settings.labels))
    repeated = printed["characteristic"].duplicated()
    printed["characteristic"] = printed["characteristic"].mask(repeated, " ")
    caption = f"{PARTICIPANTS} by {data.dividing}" if data.dividing else PARTICIPANTS
    return [blocks.table_of(printed, caption, notes)]


def recording_flow(data: ReportData) -> Sequence[Block]:
    """Follow the recordings from the manifest to scores without warning, by arm."""
    found = data.found[FLOW]
    if isinstance(found, str) or data.table.empty:
        return [Text(_SAY["no_recordings"])]
    recordings = counted(len(data.table), "recording")
    people = counted(data.prepared.n_people, "participant")
    sentences = [_SAY["listed"].format(recordings=recordings, people=people)]
    if withdrawn := int(data.provenance.get("withdrawn") or 0):
        people = counted(withdrawn, "participant")
        sentences.append(_SAY["withdrawn"].format(people=people))
    for reason, number in excluded(data).items():
        recordings = counted(number, "scored recording")
        sentences.append(_SAY["excluded"].format(recordings=recordings, reason=reason))
    look: dict[str, Any] = {"by": data.dividing, "expected": data.settings.expected}
    look |= {"caption": False, "style": COLUMN}
    draw = partial(flow_diagram, data.prepared, **look)
    drawn = blocks.picture_of(draw, alt=SAY["figures"]["flow"])
    figure = blocks.pictures_of([drawn], "What happened to the recordings", wide=True)
    return [Text(" ".join(sentences)), figure, _flow_table(data, found)]


def _flow_table(data: ReportData, found: pd.DataFrame) -> Block:
    few = is_few(found["participants"]) & data.settings.hide_small_cells
    is_step = found["kind"] == "remaining"
    lost = found["kind"] + " before “" + found["step"] + "”"
    columns = {
        data.dividing or "group": found["group"].mask(found["group"].duplicated(), " "),
        "step": found["step"].where(is_step, lost).str.replace(" ", "\N{NO-BREAK SPACE}"),
        "reason": found["reason"],
        "recordings": found["recordings"].map(count),
        "participants": found["participants"].map(count).mask(few, HIDDEN),
        "SMD of age": found["smd_age"].map(blocks.decimal),
        "SMD of sex": found["smd_birth_sex"].map(blocks.decimal),
    }
    frame = pd.DataFrame(columns)
    frame = frame.loc[:, (frame != blocks.NOTHING).any()]
    notes = [_SAY["smd"]] if "SMD of age" in frame.columns else []
    notes += [found.attrs["method"], *data.warnings_of(found)]
    return blocks.table_of(frame, _SAY["flow"], notes)


def missing(data: ReportData) -> tuple[Sequence[Block], list[str]]:
    """Show where scores are missing; also list the groups in which recordings fail more often."""
    found = data.found.get(MISSING, _SAY["nothing_missing"])
    if isinstance(found, str):
        return [Text(found)], []
    unequal = [text for text in data.warnings_of(found) if text.startswith("Recordings failed")]
    made: list[Block] = [Bullets(tuple(unequal), look="caution")] if unequal else []
    made += [_missing_table(str(name), own) for name, own in found.groupby("variable", sort=False)]
    return [*made, Text(_SAY["counted"], look="note")], unequal


def _missing_table(variable: str, part: pd.DataFrame) -> Block:
    every, failed = (
        part[part["reason"] == reason].reset_index(drop=True)
        for reason in (ANY_REASON, RECORDING_FAILED)
    )
    columns = {
        variable: failed["level"],
        "recordings": failed["recordings"].map(count),
        "participants": failed["participants"].map(count),
        "without scores": every.apply(_share, axis=1),
        "recording failed": failed.apply(_share, axis=1),
    }
    frame = pd.DataFrame(columns)
    worst = failed["rate"].rank(ascending=False, method="first") <= _MOST_ROWS
    notes = [str(failed["sentence"].iloc[0])]
    p = [own["p_holm"].iloc[0] for own in (every, failed)]
    if not pd.isna(p).all():
        without, of_failed = (blocks.p_in_words(value, "p (Holm)") for value in p)
        notes.insert(0, f"Without scores: {without}. Recording failed: {of_failed}.")
    if not worst.all():
        notes.append(_SAY["worst"].format(most=_MOST_ROWS, number=len(failed)))
    caption = _SAY["missing"].format(column=variable)
    return blocks.table_of(frame[worst], caption, notes)


def _share(row: "pd.Series[Any]") -> str:
    ends = f"{percent(row['rate_low']).removesuffix(' %')} to {percent(row['rate_high'])}"
    interval = "" if pd.isna(row["rate_low"]) else f" ({ends})"
    return f"{count(row['missing'])}: {percent(row['rate'])}{interval}"


# --- errors ---------------------------------------------------------------------------------------


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
    return [*made, blocks.table_of(frame, "Warnings that came with scores", notes)]


def _preflight(data: ReportData) -> list[Block]:
    """Say how often the preflight expected the answer of Helios."""
    compared = compare_with_answers(data.given)
    if compared.empty:
        return []
    is_right, number = compared["expected"] == compared["answered"], compared["recordings"]
    about = {"right": count(number[is_right].sum()), "checked": count(number.sum())}
    said = [SAY["errors"]["preflight"].format(**about), *data.warnings_of(compared)]
    return [Text(" ".join(said))]


def _errors(codes: "pd.Series[str]", people: "pd.Series[str]") -> Block:
    rows = []
    for code, number in codes.value_counts().items():
        about, n_people = explain(str(code)), people[codes == code].nunique()
        rows.append((str(code), count(number), count(n_people), about.meaning, about.remedy))
    header = ["code", "recordings", "participants", "what it means", "what to do"]
    frame = pd.DataFrame(rows, columns=header)
    notes = ["The column error_reason of the results has the details of each recording."]
    return blocks.table_of(frame, "Errors, the most frequent first", notes)
