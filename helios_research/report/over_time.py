"""Scores of participants who were recorded more than once."""

import pandas as pd

from helios_research.analysis import Baseline
from helios_research.columns import Outcome
from helios_research.plots import COLUMN, score_over_time
from helios_research.report.blocks import Picture, Pictures, Section, Text
from helios_research.report.pictures import picture_of
from helios_research.report.subject import Subject
from helios_research.report.wording import NO_FIGURES, biomarker_label
from helios_research.wording import counted

_TIME = "recording_time"
_MOST_COLOURS = 4
# A baseline of the first three recordings says something of those that follow.
_ENOUGH_FOR_A_BASELINE = 5


def over_time(subject: Subject) -> Section:
    """Show how scores change over visits or dates."""
    title = "Over time"
    scored = subject.table[subject.table["outcome"] == Outcome.SCORED.value]
    each = scored["user_label"].value_counts()
    again = int((each > 1).sum())
    if not again:
        sentence = "No participant has scores of more than one recording."
        return Section("time", title, (Text(sentence),))
    if not subject.biomarkers:
        return Section("time", title, (Text(NO_FIGURES),))
    by = subject.repeating_tag or _time_of(scored)
    if by is None:
        sentence = (
            "There is no tag such as a visit, and no recording_time, to put recordings in order."
        )
        return Section("time", title, (Text(sentence),))
    sentence = (
        f"{counted(again, 'participant')} {'has' if again == 1 else 'have'} scores of several "
        f"recordings, {each.median():g} in the median. They are shown by {by}."
    )
    usual = Baseline(order=by) if each.median() >= _ENOUGH_FOR_A_BASELINE else None
    drawn = tuple(_picture(subject, name, by, usual) for name in subject.biomarkers)
    return Section("time", title, (Text(sentence), Pictures(drawn)))


def _time_of(scored: pd.DataFrame) -> str | None:
    return _TIME if _TIME in scored.columns and scored[_TIME].notna().any() else None


def _picture(subject: Subject, name: str, by: str, usual: Baseline | None) -> Picture:
    colour = subject.dividing_tag
    if colour is not None and (colour == by or len(subject.levels_of(colour)) > _MOST_COLOURS):
        colour = None
    groups = f", separately for each {colour}" if colour else ""
    label = biomarker_label(name)
    return picture_of(
        lambda: score_over_time(
            subject.table, name, by=by, colour=colour, usual=usual, style=COLUMN
        ),
        alt=f"{label} of each participant by {by}{groups}, with the mean and its 95 % interval, or "
        "for a bucketed biomarker the share of recordings at each level.",
        caption=f"{label} by {by}",
    )
