"""Scores of participants who were recorded more than once."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis import (
    compare_by_tag,
    summarize_by_tag,
)
from helios_research.analysis.comparisons import NOT_ALL_COMPARED
from helios_research.analysis.repeated import Baseline
from helios_research.columns import BIOMARKERS_BY_NAME, BUCKET_LEVELS, Outcome
from helios_research.errors import ResultsError
from helios_research.plots import COLUMN, score_over_time, scores_by_tag
from helios_research.report.blocks import (
    NO_FIGURES,
    Block,
    Bullets,
    Heading,
    Picture,
    Pictures,
    ReportSection,
    Table,
    Text,
    biomarker_label,
    count,
    p_value,
    percent,
    picture_of,
    table_of,
    with_interval,
)
from helios_research.report.data import FEWEST, HIDDEN, ReportData

_TIME = "recording_time"
_MOST_COLOURS = 4
# A baseline of the first three recordings says something of those that follow.
_ENOUGH_FOR_A_BASELINE = 5


def over_time(data: ReportData) -> ReportSection:
    """Show how scores change over visits or dates."""
    title = "Over time"
    scored = data.table[data.table["outcome"] == Outcome.SCORED.value]
    each = scored["user_label"].value_counts()
    again = int((each > 1).sum())
    if not again:
        sentence = "No participant has scores of more than one recording."
        return ReportSection("time", title, (Text(sentence),))
    if not data.biomarkers:
        return ReportSection("time", title, (Text(NO_FIGURES),))
    by = data.repeating_tag or _time_of(scored)
    if by is None:
        sentence = (
            "There is no tag such as a visit, and no recording_time, to put recordings in order."
        )
        return ReportSection("time", title, (Text(sentence),))
    sentence = (
        f"{counted(again, 'participant')} {'has' if again == 1 else 'have'} scores of several "
        f"recordings, {each.median():g} in the median. They are shown by {by}."
    )
    usual = Baseline(order=by) if each.median() >= _ENOUGH_FOR_A_BASELINE else None
    drawn = tuple(_picture(data, name, by, usual) for name in data.biomarkers)
    return ReportSection("time", title, (Text(sentence), Pictures(drawn)))


def _time_of(scored: pd.DataFrame) -> str | None:
    return _TIME if _TIME in scored.columns and scored[_TIME].notna().any() else None


def _picture(data: ReportData, name: str, by: str, usual: Baseline | None) -> Picture:
    colour = data.dividing_tag
    if colour is not None and (colour == by or len(data.levels_of(colour)) > _MOST_COLOURS):
        colour = None
    groups = f", separately for each {colour}" if colour else ""
    label = biomarker_label(name)
    return picture_of(
        lambda: score_over_time(
            data.table, biomarkers=name, by=by, hue=colour, usual=usual, style=COLUMN
        ),
        alt=f"{label} of each participant by {by}{groups}, with the mean and its 95 % interval, or "
        "for a bucketed biomarker the share of recordings at each level.",
        caption=f"{label} by {by}",
    )


# Levels that a tag may have for all biomarkers to be compared; beyond, the table has only one.
_MOST_COMPARED_IN_FULL = 6
_MOST_COMPARED = 40
# Beyond so many recordings a mixed model takes minutes.
_MOST_MODELLED = 20_000
_LEVELS_IN_WORDS = 6
# What is written beside a figure does not need more.
_RESAMPLES = 1000
_ALL = "recordings"
_ESTIMATES = ("difference (95 % interval)", "effect (95 % interval)")
_METHOD_KEYS = "abcdefghijklmnopqrstuvwxyz"

NO_SCORES = "No recording has scores yet."


def scores(data: ReportData) -> ReportSection:
    """Show the scores at each level of each tag."""
    title = f"Scores by {', '.join(data.tags)}" if data.tags else "Scores"
    if not data.n_with(Outcome.SCORED):
        return ReportSection("scores", title, (Text(NO_SCORES),))
    if not data.biomarkers:
        return ReportSection("scores", title, (Text(NO_FIGURES),))
    blocks: list[Block] = [
        Text(
            "Bucketed biomarkers are ordinal: they are shown as the share of recordings at each of "
            "their four levels, and never averaged.",
            look="note",
        )
    ]
    if not data.tags:
        everyone = data.table.assign(**{_ALL: "all"})
        return ReportSection("scores", title, (*blocks, _pictures(data, everyone, _ALL)))
    for tag in data.tags:
        blocks.append(Heading(f"By {tag}"))
        if tag == data.repeating_tag:
            blocks.append(Text(f"The figures by {tag} are under Over time."))
            continue
        try:
            blocks.append(_pictures(data, data.table, tag))
        except ResultsError as error:
            blocks.append(Text(str(error), look="note"))
    return ReportSection("scores", title, tuple(blocks))


def _pictures(data: ReportData, table: pd.DataFrame, tag: str) -> Pictures:
    summary = summarize_by_tag(table, tag, biomarkers=list(data.biomarkers), resamples=_RESAMPLES)
    return Pictures(tuple(_scores_picture(table, tag, name, summary) for name in data.biomarkers))


def _scores_picture(table: pd.DataFrame, tag: str, name: str, summary: pd.DataFrame) -> Picture:
    label = biomarker_label(name)
    part = summary[summary["biomarker"] == name]
    by = "" if tag == _ALL else f" by {tag}"
    return picture_of(
        lambda: scores_by_tag(table, tag, biomarkers=name, style=COLUMN),
        alt=f"{label}{by}. {_in_words(part, bucketed=BIOMARKERS_BY_NAME[name].bucketed)}",
        caption=f"{label}{by}",
    )


def _in_words(part: pd.DataFrame, *, bucketed: bool) -> str:
    """Say what the figure shows, for who cannot see it."""
    rows = part.to_dict("records")
    if bucketed:
        words = [
            f"{row['level']}: {percent(row['proportion'])} of recordings at the highest level"
            for row in rows
            if row["score"] == max(BUCKET_LEVELS)
        ]
    else:
        words = [
            f"{row['level']}: mean {with_interval(row['mean'], row['mean_low'], row['mean_high'])}"
            for row in rows
        ]
    more = len(words) - _LEVELS_IN_WORDS
    rest = f"; and {more} more levels" if more > 0 else ""
    return "; ".join(words[:_LEVELS_IN_WORDS]) + rest + "."


# --- comparisons ----------------------------------------------------------------------------------


def comparisons(data: ReportData) -> tuple[ReportSection, list[str]]:
    """Compare the levels of each tag."""
    title = "Comparisons"
    if not data.n_with(Outcome.SCORED):
        return ReportSection("comparisons", title, (Text(NO_SCORES),)), []
    if not data.tags:
        return ReportSection("comparisons", title, (Text("There is no tag to compare by."),)), []
    blocks: list[Block] = []
    cautions: list[str] = []
    for tag in data.tags:
        blocks.append(Heading(f"By {tag}"))
        try:
            compared = _compare(data, tag)
        except ResultsError as error:
            blocks.append(Text(str(error), look="note"))
            continue
        # How many scores are flagged is said once for all tags, at a glance.
        about_all = data.prepared.flagged_note
        warnings = [
            # The table of the report has no column of that name; the reasons stand below it.
            f"{NOT_ALL_COMPARED}: what stands under Comparisons says why."
            if said.startswith(NOT_ALL_COMPARED)
            else said
            for said in compared.attrs["warnings"]
            if said != about_all
        ]
        cautions += [f"{tag}: {sentence}" for sentence in warnings]
        blocks += [_comparison_table(data, tag, compared), _how(data, compared)]
        if warnings:
            blocks.append(Bullets(tuple(warnings)))
    return ReportSection("comparisons", title, tuple(blocks)), cautions


def _compare(data: ReportData, tag: str) -> pd.DataFrame:
    n_levels = len(data.levels_of(tag))
    if n_levels > _MOST_COMPARED:
        message = (
            f"{tag} has {n_levels} levels, too many to compare one by one here: analysis."
            "compare_by_tag does it for a part of them, or with another tag."
        )
        raise ResultsError(message)
    only = data.biomarkers[:1] if n_levels > _MOST_COMPARED_IN_FULL else None
    return compare_by_tag(
        data.table,
        tag,
        biomarkers=only,
        repeated="mixed model" if len(data.table) <= _MOST_MODELLED else "participant means",
    )


def _comparison_table(data: ReportData, tag: str, compared: pd.DataFrame) -> Table:
    keys = _keys(compared)
    rows = [
        _comparison_row(row, keys, hide=data.hides_small_cells)
        for row in compared.to_dict("records")
    ]
    header = ["biomarker", tag, "participants", *_ESTIMATES, "p", "p (Holm)", "how"]
    frame = pd.DataFrame(rows, columns=header)
    # The label of a biomarker stands once, before its levels.
    frame["biomarker"] = frame["biomarker"].mask(frame["biomarker"].duplicated(), " ")
    tests = int(compared["p"].notna().sum())
    notes = [
        f"Participants are the unit, at the level and at {compared['reference'].iloc[0]}. p (Holm) "
        f"is corrected for the {tests} tests of this table. Bucketed biomarkers are ordinal and "
        "have no difference of means."
    ]
    if len(data.levels_of(tag)) > _MOST_COMPARED_IN_FULL:
        notes.append(
            f"Only {biomarker_label(str(compared['biomarker'].iloc[0])).lower()}, because {tag} has "
            "so many levels; analysis.compare_by_tag gives all biomarkers."
        )
    return table_of(
        frame,
        f"Levels of {tag} compared with {compared['reference'].iloc[0]}",
        numeric=header[2:7],
        notes=notes,
    )


def _comparison_row(row: dict[Any, Any], keys: dict[str, str], *, hide: bool) -> Sequence[str]:
    names = (biomarker_label(row["biomarker"]), str(row["level"]))
    if hide and _has_few(row):
        return (*names, HIDDEN, HIDDEN, HIDDEN, HIDDEN, HIDDEN, "")
    return (
        *names,
        f"{count(row['participants_level'])} vs {count(row['participants_reference'])}",
        with_interval(row["difference"], row["difference_low"], row["difference_high"], 3),
        with_interval(row["effect"], row["effect_low"], row["effect_high"]),
        p_value(row["p"]),
        p_value(row["p_holm"]),
        keys[row["sentence"]],
    )


def _has_few(row: Mapping[Any, Any]) -> bool:
    return any(0 < row[f"participants_{side}"] < FEWEST for side in ("reference", "level"))


def _keys(compared: pd.DataFrame) -> dict[str, str]:
    """Give each way of comparing that occurs a letter."""
    sentences = dict.fromkeys(map(str, compared["sentence"]))
    return {
        sentence: _METHOD_KEYS[place % 26] * (1 + place // 26)
        for place, sentence in enumerate(sentences)
    }


def _how(data: ReportData, compared: pd.DataFrame) -> Bullets:
    keys, rows = _keys(compared), compared.to_dict("records")
    # The sentences of hidden rows say how many participants they have.
    shown = [row for row in rows if not (data.hides_small_cells and _has_few(row))]
    used = {row["sentence"] for row in shown}
    told = tuple(f"{key}: {sentence}" for sentence, key in keys.items() if sentence in used)
    return Bullets(told, look="note")
