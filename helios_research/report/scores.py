"""Scores by each column, with the comparison beside its figure, and change over visits."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis import summarize_by_tag
from helios_research.analysis.comparisons import NOT_ALL_COMPARED
from helios_research.columns import BIOMARKERS_BY_NAME, BUCKET_LEVELS, Outcome
from helios_research.plots import COLUMN, score_over_time, scores_by_tag
from helios_research.report import blocks
from helios_research.report.blocks import SAY, Block, Text, count, p_value, with_interval
from helios_research.report.data import ALL, CHANGE, MOST_COMPARED_IN_FULL, STILL_IN, ReportData
from helios_research.report.small_cells import HIDDEN, is_few

_SAY = SAY["scores"]
_TIME = "recording_time"
_LEVELS_IN_WORDS = 6
_MOST_COLOURS = 4
_SIZES = ("difference (95 % interval)", "effect", "size (95 % interval)")


# --- figures --------------------------------------------------------------------------------------


def score_picture(data: ReportData, by: str, biomarker: str) -> blocks.Picture:
    """Draw a biomarker over visits or the time of recording, by arm; or at each level of a column."""
    draw: partial[Any] = partial(scores_by_tag, tag=by)
    about = data.label(biomarker) if by == ALL else f"{data.label(biomarker)} by {by}"
    if by in (data.repeating, _TIME):
        hue = data.dividing
        hue = hue if hue and data.n_levels(hue) <= _MOST_COLOURS else None
        draw = partial(score_over_time, by=by, hue=hue)
    else:
        rows = summarize_by_tag(data.prepared, by, biomarkers=biomarker).to_dict("records")
        words = [
            _in_words(row)
            for row in rows
            if not row["bucketed"] or row["score"] == max(BUCKET_LEVELS)
        ]
        about = f"{about}. {'; '.join(words[:_LEVELS_IN_WORDS])}"
    look = {"labels": data.settings.labels, "caption": False, "style": COLUMN}
    drawn = partial(draw, data.prepared, biomarkers=biomarker, **look)
    return blocks.picture_of(drawn, alt=f"{about}.")


def _in_words(row: Mapping[Any, Any]) -> str:
    if row["bucketed"]:
        return f"{row['level']}: {blocks.percent(row['proportion'])} of scores at the highest level"
    return f"{row['level']}: mean {with_interval(row['mean'], row['mean_low'], row['mean_high'])}"


def _figures(data: ReportData, by: str) -> list[Block]:
    """Draw all biomarkers over time and by the main column, by others only the primary outcome."""
    if not data.biomarkers:
        return [Text(SAY["figures"]["none"])]
    is_main = by in (data.repeating, _TIME, ALL, data.main)
    chosen = data.biomarkers if is_main else [data.primary]
    drawn = [own for own in chosen if (by, own) != (data.opening, data.primary)]
    made: list[Block] = []
    if len(drawn) < len(chosen):
        made.append(Text(SAY["figures"]["opening"]))
    if drawn:
        ordinal = any(BIOMARKERS_BY_NAME[own].bucketed for own in drawn)
        title = "Scores" if by == ALL else f"Scores by {by}"
        title = f"{title}. {SAY['figures']['ordinal']}" if ordinal else title
        pictures = [score_picture(data, by, own) for own in drawn]
        made.append(blocks.pictures_of(pictures, title, elsewhere=data.left))
    return made


# --- comparisons ----------------------------------------------------------------------------------


def scores(data: ReportData) -> Sequence[Block]:
    """Show the scores at each level of each column, and compare the levels."""
    if not data.n_with(Outcome.SCORED):
        return [Text(_SAY["none"])]
    if not data.by:
        return [*_figures(data, ALL), Text(_SAY["no_column"])]
    made: list[Block] = []
    for name in data.by:
        made.append(Text(f"By {name}", look="heading"))
        if name == data.repeating:
            made.append(Text(_SAY["see_time"].format(column=name)))
            continue
        found = data.compared[name]
        table = Text(found) if isinstance(found, str) else _comparison(data, name, found)
        made += [*_figures(data, name), table]
    return made


def _comparison(data: ReportData, name: str, compared: pd.DataFrame) -> Block:
    levels = compared["level"].unique()
    level = str(levels[0]) if len(levels) == 1 else "other levels"
    about = {"column": name, "level": level, "reference": compared["reference"].iloc[0]}
    notes = [_SAY["n"].format(**about)]
    shown = compared
    other = data.compare(name, other_way=True) if data.warned.any() else ""
    if isinstance(other, pd.DataFrame):
        which = "with" if data.settings.warned == "drop" else "without"
        at = int((compared["biomarker"] == data.primary).cumsum().argmax()) + 1
        other = other.assign(role=f"{which} warned", p_holm=float("nan"))
        shown = pd.concat([compared[:at], other, compared[at:]], ignore_index=True)
        warned = counted(int(data.warned.sum()), "scored recording")
        notes.append(_SAY[f"warned_{data.settings.warned}"].format(warned=warned))
    if data.n_levels(name) > MOST_COMPARED_IN_FULL:
        primary = data.label(data.primary).lower()
        about |= {"primary": primary, "most": MOST_COMPARED_IN_FULL}
        notes.append(_SAY["primary_only"].format(**about))
    names = {"level": name} if len(levels) > 1 else {}
    return _table(data, shown, names, _SAY["compared"].format(**about), [*notes, *_holm(compared)])


def _table(
    data: ReportData, shown: pd.DataFrame, names: dict[str, str], caption: str, notes: Sequence[str]
) -> Block:
    """Write comparisons; ``names`` are the columns that name what is compared, and their headers."""
    if shown["p"].isna().all():
        return Text(" ".join(shown["sentence"].unique()))
    few = shown[["participants_reference", "participants_level"]].apply(is_few).any(axis=1)
    rows = shown.assign(hidden=few & data.settings.hide_small_cells).to_dict("records")
    header = ["biomarker", *names.values(), "n", *_SIZES, "p", "p (Holm)", "role"]
    cells = [
        [
            data.label(row["biomarker"]),
            *(blocks.unbroken(row[name]) for name in names),
            *_numbers(row),
        ]
        for row in rows
    ]
    frame = pd.DataFrame(cells, columns=header)
    # Each biomarker's label is written once, before its levels.
    frame["biomarker"] = frame["biomarker"].mask(frame["biomarker"].duplicated(), " ")
    why = dict.fromkeys(row["sentence"] for row in rows if not row["test"] and not row["hidden"])
    return blocks.table_of(frame, caption, [*notes, *why])


def _holm(found: pd.DataFrame) -> list[str]:
    """Say over how many tests p-values are corrected, shown or not."""
    counts = found["role"][found["p_holm"].notna()].value_counts()
    tests = blocks.listed(counted(n, f"{role} test") for role, n in counts.items())
    return [_SAY["holm"].format(tests=tests)] if len(counts) else []


def _numbers(row: Mapping[Any, Any]) -> list[str]:
    role = row["role"] or "outside"
    if row["hidden"]:
        return [*[HIDDEN] * 6, role]
    against = f" vs. {count(row['participants_reference'])}" if row["reference"] else ""
    return [
        f"{count(row['participants_level'])}{against}",
        with_interval(row["difference"], row["difference_low"], row["difference_high"], 3),
        blocks.unbroken(row["effect_name"]),
        with_interval(row["effect"], row["effect_low"], row["effect_high"]),
        p_value(row["p"]),
        p_value(row["p_holm"]),
        role,
    ]


def cautions(data: ReportData) -> list[str]:
    """List what to be careful about in the comparisons."""
    tables = {**data.compared, "change": data.found.get(CHANGE, "")}
    if not data.n_with(Outcome.SCORED):
        return []
    return [
        # The report's tables have notes in place of the column that the sentence refers to.
        _SAY["not_all"].format(column=name)
        if warning.startswith(NOT_ALL_COMPARED)
        else f"{name}: {warning}"
        for name, found in tables.items()
        for warning in data.warnings_of(found)
    ]


# --- over time ------------------------------------------------------------------------------------


def over_time(data: ReportData) -> Sequence[Block]:
    """Show who is still in the study at each visit, and how scores change."""
    each = data.table["user_label"][data.prepared.counts].value_counts()
    several = int((each > 1).sum())
    if not several:
        return [Text(_SAY["once"])]
    by = data.repeating or (_TIME if (data.prepared.recorded > float("-inf")).any() else None)
    if by is None:
        return [Text(_SAY["no_order"])]
    tables: list[Block] = []
    for name, write in ((STILL_IN, _still_in), (CHANGE, _changes)):
        if (found := data.found.get(name)) is not None:
            tables.append(Text(found) if isinstance(found, str) else write(data, found))
    about = Text(_SAY["repeated"].format(people=f"{several:,}", median=each.median()))
    return [about, *tables[:1], *_figures(data, by), *tables[1:]]


def _still_in(data: ReportData, found: pd.DataFrame) -> Block:
    numbers = found[["still_in", "recorded", "scored"]]
    few = numbers.apply(is_few).any(axis=1) & data.settings.hide_small_cells
    enrolled = found.groupby("by")["participants"].transform("max").map(count)
    cells = numbers.map(count).agg(" / ".join, axis=1).mask(few, HIDDEN)
    shown = found.assign(cells=cells, arm=found["by"] + " (n = " + enrolled + ")")
    wide = shown.pivot_table("cells", "level", "arm", "first", sort=False, observed=True)
    frame = wide.rename_axis(None, axis=1).rename_axis(data.repeating).reset_index()
    notes = [_SAY["still_in"], data.left]
    caption = f"{STILL_IN}, by {data.repeating}"
    return blocks.table_of(frame, caption, notes)


def _changes(data: ReportData, found: pd.DataFrame) -> Block:
    # The whole course of the primary outcome; of others the trend, or the only change there is.
    contrast = found["contrast"].iloc[-1]
    is_primary, last = found["biomarker"] == data.primary, found["contrast"] == contrast
    shown = pd.concat([found[is_primary], found[~is_primary & last]])
    names, level = {"contrast": "contrast"}, str(found["level"].iloc[0])
    if len(found["level"].unique()) > 1:
        names["level"], level = str(data.dividing), "other levels"
    against = found["reference"].iloc[0] or "no change"
    caption = _SAY["changed"].format(over=data.repeating, level=level, reference=against)
    notes = [_SAY["n_change"]]
    notes += [] if last.all() else [_SAY["trend_only"].format(contrast=contrast)]
    return _table(data, shown, names, caption, [*notes, *_holm(found)])
