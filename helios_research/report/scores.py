"""Scores by tag, comparisons between the levels of each tag, and scores over time."""

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis import compare_by_tag, summarize_by_tag
from helios_research.analysis.comparisons import NOT_ALL_COMPARED
from helios_research.columns import BIOMARKERS_BY_NAME, BUCKET_LEVELS, Outcome
from helios_research.errors import ResultsError
from helios_research.plots import COLUMN, score_over_time, scores_by_tag
from helios_research.report.blocks import (
    Block,
    Bullets,
    Heading,
    Picture,
    Pictures,
    Text,
    count,
    p_value,
    percent,
    picture_of,
    table_of,
    with_interval,
)
from helios_research.report.data import HIDDEN, ReportData, is_few

_NO_FIGURES = "This report was made without figures of scores."
_NO_ORDER = "There is no tag such as a visit, and no recording_time, to put recordings in order."
_NO_SCORES = "No recording has scores yet."
_ALL = "recordings"
_LEVELS_IN_WORDS = 6
# Enough for the description of a figure.
_RESAMPLES = 1000
# Levels that a tag may have for all biomarkers to be compared; beyond, the table has only one.
_MOST_COMPARED_IN_FULL = 6
_MOST_COMPARED = 40
# With more recordings, a mixed model takes minutes.
_MOST_MODELLED = 20_000
_ESTIMATES = ("difference (95 % interval)", "effect (95 % interval)")
_TIME = "recording_time"
_MOST_COLOURS = 4
_IN_BASELINE = 3
# With fewer recordings, too few follow those of the baseline.
_ENOUGH_FOR_A_BASELINE = 5


# --- scores by tag --------------------------------------------------------------------------------


def scores(data: ReportData) -> Sequence[Block]:
    """Show the scores at each level of each tag."""
    if not data.n_with(Outcome.SCORED):
        return [Text(_NO_SCORES)]
    if not data.biomarkers:
        return [Text(_NO_FIGURES)]
    blocks: list[Block] = [
        Text(
            "Bucketed biomarkers are ordinal: they are shown as the share of recordings at each of "
            "their four levels, and never averaged.",
            look="note",
        )
    ]
    if not data.tags:
        return [*blocks, _pictures(data, data.table.assign(**{_ALL: "all"}), _ALL)]
    for tag in data.tags:
        blocks.append(Heading(f"By {tag}"))
        if tag == data.repeating_tag:
            blocks.append(Text(f"The figures by {tag} are in the section Over time."))
            continue
        try:
            blocks.append(_pictures(data, data.table, tag))
        except ResultsError as error:
            blocks.append(Text(str(error), look="note"))
    return blocks


def _pictures(data: ReportData, table: pd.DataFrame, tag: str) -> Pictures:
    summary = summarize_by_tag(table, tag, biomarkers=list(data.biomarkers))
    return Pictures(tuple(_scores_picture(table, tag, name, summary) for name in data.biomarkers))


def _scores_picture(table: pd.DataFrame, tag: str, name: str, summary: pd.DataFrame) -> Picture:
    part = summary[summary["biomarker"] == name]
    title = _label(name) + ("" if tag == _ALL else f" by {tag}")
    return picture_of(
        lambda: scores_by_tag(table, tag, biomarkers=name, style=COLUMN),
        alt=f"{title}. {_in_words(part, bucketed=BIOMARKERS_BY_NAME[name].bucketed)}",
        caption=title,
    )


def _label(biomarker: str) -> str:
    return BIOMARKERS_BY_NAME[biomarker].label


def _in_words(part: pd.DataFrame, *, bucketed: bool) -> str:
    """Describe the figure for readers who cannot see it."""
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


def comparisons(data: ReportData) -> tuple[Sequence[Block], list[str]]:
    """Compare the levels of each tag; also list the cautions."""
    if not data.n_with(Outcome.SCORED):
        return [Text(_NO_SCORES)], []
    if not data.tags:
        return [Text("There is no tag to compare by.")], []
    blocks: list[Block] = []
    cautions: list[str] = []
    for tag in data.tags:
        blocks.append(Heading(f"By {tag}"))
        try:
            compared = _compare(data, tag)
        except ResultsError as error:
            blocks.append(Text(str(error), look="note"))
            continue
        warnings = [
            # The report's table lacks the column that the sentence refers to; its notes have it.
            f"{NOT_ALL_COMPARED}: see Comparisons for the reasons."
            if warning.startswith(NOT_ALL_COMPARED)
            else warning
            for warning in data.without_flagged_note(compared.attrs["warnings"])
        ]
        cautions += [f"{tag}: {sentence}" for sentence in warnings]
        blocks += _comparison_blocks(data, tag, compared)
        if warnings:
            blocks.append(Bullets(tuple(warnings)))
    return blocks, cautions


def _compare(data: ReportData, tag: str) -> pd.DataFrame:
    n_levels = len(data.levels_of(tag))
    if n_levels > _MOST_COMPARED:
        message = (
            f"{tag} has {n_levels} levels, too many to compare here: call analysis.compare_by_tag "
            "with some of them."
        )
        raise ResultsError(message)
    return compare_by_tag(
        data.table,
        tag,
        biomarkers=data.biomarkers[:1] if n_levels > _MOST_COMPARED_IN_FULL else None,
    )


def _comparison_blocks(data: ReportData, tag: str, compared: pd.DataFrame) -> list[Block]:
    reference = compared["reference"].iloc[0]
    few = compared[["participants_reference", "participants_level"]].apply(is_few).any(axis=1)
    hidden = few & data.hide_small_cells
    # The sentences of hidden rows contain how many participants they have.
    keys = {
        sentence: ascii_lowercase[place % 26] * (1 + place // 26)
        for place, sentence in enumerate(compared["sentence"][~hidden].unique())
    }
    header = ["biomarker", tag, "participants", *_ESTIMATES, "p", "p (Holm)", "how"]
    rows = compared.assign(hidden=hidden).to_dict("records")
    frame = pd.DataFrame([_comparison_row(row, keys) for row in rows], columns=header)
    # Each biomarker's label is written once, before its levels.
    frame["biomarker"] = frame["biomarker"].mask(frame["biomarker"].duplicated(), " ")
    notes = [
        f"The unit is the participant, at the level and at {reference}. p (Holm) is corrected for "
        f"the {int(compared['p'].notna().sum())} tests of this table. Bucketed biomarkers are "
        "ordinal and have no difference of means."
    ]
    if len(data.levels_of(tag)) > _MOST_COMPARED_IN_FULL:
        notes.append(
            f"Only {_label(compared['biomarker'].iloc[0]).lower()}, because {tag} has so many "
            "levels; analysis.compare_by_tag gives all biomarkers."
        )
    caption = f"Levels of {tag} compared with {reference}"
    methods = tuple(f"{key}: {sentence}" for sentence, key in keys.items())
    return [
        table_of(frame, caption, numeric=header[2:7], notes=notes),
        Bullets(methods, look="note"),
    ]


def _comparison_row(row: dict[Any, Any], keys: Mapping[str, str]) -> Sequence[str]:
    names = (_label(row["biomarker"]), str(row["level"]))
    if row["hidden"]:
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


# --- over time ------------------------------------------------------------------------------------


def over_time(data: ReportData) -> Sequence[Block]:
    """Show how scores change over visits or dates."""
    scored = data.table[data.table["outcome"] == Outcome.SCORED.value]
    each = scored["user_label"].value_counts()
    repeated = int((each > 1).sum())
    if not repeated:
        return [Text("No participant has scores of more than one recording.")]
    if not data.biomarkers:
        return [Text(_NO_FIGURES)]
    has_times = _TIME in scored.columns and scored[_TIME].notna().any()
    by = data.repeating_tag or (_TIME if has_times else None)
    if by is None:
        return [Text(_NO_ORDER)]
    sentence = (
        f"{counted(repeated, 'participant')} {'has' if repeated == 1 else 'have'} scores of several "
        f"recordings, {each.median():g} in the median. They are shown by {by}."
    )
    usual = _IN_BASELINE if each.median() >= _ENOUGH_FOR_A_BASELINE else None
    drawn = tuple(_time_picture(data, name, by, usual) for name in data.biomarkers)
    return [Text(sentence), Pictures(drawn)]


def _time_picture(data: ReportData, name: str, by: str, usual: int | None) -> Picture:
    hue = data.dividing_tag
    if hue is not None and (hue == by or len(data.levels_of(hue)) > _MOST_COLOURS):
        hue = None
    groups = f", separately for each {hue}" if hue else ""
    label = _label(name)
    return picture_of(
        lambda: score_over_time(
            data.table, biomarkers=name, by=by, hue=hue, change_from=usual, style=COLUMN
        ),
        alt=f"{label} of each participant by {by}{groups}, with the mean and its 95 % interval, or "
        "for a bucketed biomarker the share of recordings at each level.",
        caption=f"{label} by {by}",
    )
