"""What a report is about: the results under their labels, the settings, and every analysis."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from helios_research import analysis
from helios_research.analysis.levels import NOT_GIVEN
from helios_research.analysis.prepared import Flags, PreparedResults, has_warning, prepare
from helios_research.columns import BIOMARKERS, BIOMARKERS_BY_NAME, Outcome
from helios_research.errors import ResultsError, UnknownColumnError
from helios_research.report.small_cells import pool_small_levels
from helios_research.results.codebook import NEVER_LISTED
from helios_research.results.files import read_footer

# One form of each construct has figures; the others are in the comparison tables.
_ONE_PER_CONSTRUCT = ("mental_strain", *(one.name for one in BIOMARKERS if one.bucketed))
_MOST_COLUMNS = 8
_DEMOGRAPHICS = ("birth_sex", "language")
# Its values are brought to the words of Helios, which labels are not.
_OTHER_NAMES = {"birth_sex": "sex at birth"}
# Levels that a column may have for all biomarkers to be compared; beyond, only the primary outcome.
MOST_COMPARED_IN_FULL = 6

ALL = "all recordings"
"""A column with the same value everywhere, where there is none to show scores by."""
PARTICIPANTS, FLOW, MISSING = "Participants", "From the manifest to scores", "Missing scores"
STILL_IN, CHANGE = "Participants still in the study", "Change"

Warned = Literal["keep", "drop"]
_OTHER_WAY: Mapping[Warned, Warned] = {"keep": "drop", "drop": "keep"}
Found = pd.DataFrame | str
"""An analysis, or the sentence that says why there is none."""


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """The settings of ``write_report``, which describes them."""

    by: str | Sequence[str] | None = None
    primary: str | None = None
    family: Sequence[str] | None = None
    reference: str | None = None
    order: Sequence[str] | None = None
    title: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    biomarkers: Sequence[str] | None = None
    provenance: Mapping[str, Any] | None = None
    hide_small_cells: bool = False
    expected: int | pd.DataFrame | None = None
    warned: Warned = "keep"


@dataclass(frozen=True, eq=False)
class ReportData:
    """What a report is about.

    ``by`` has the grouping columns as they are shown and as the results name them. ``dividing``
    is the first that divides participants (the arm), ``repeating`` the first that runs with time
    through their recordings (the visit). ``given`` are the results before labels and pools,
    ``notes`` sentences about columns that are pooled or left out.
    """

    prepared: PreparedResults
    given: pd.DataFrame
    by: Mapping[str, str]
    dividing: str | None
    repeating: str | None
    biomarkers: Sequence[str]
    primary: str
    provenance: Mapping[str, Any]
    settings: ReportSettings
    notes: Sequence[str]

    @property
    def table(self) -> pd.DataFrame:
        """The results, one row per recording."""
        return self.prepared.frame

    def n_with(self, outcome: Outcome) -> int:
        """Count the recordings with an outcome."""
        return int((self.table["outcome"] == outcome.value).sum())

    def n_levels(self, name: str) -> int:
        """Count the levels of a column, without those that are not given."""
        return sum(label != NOT_GIVEN for label in self.prepared.levels[name].labels)

    def label(self, biomarker: str) -> str:
        """Give the text to show for a biomarker."""
        return self.settings.labels.get(biomarker, BIOMARKERS_BY_NAME[biomarker].label)

    def column(self, name: str) -> "pd.Series[Any]":
        """Give a column, or an empty one where the results lack it."""
        return self.table.get(name, pd.Series(None, index=self.table.index, dtype="object"))

    @cached_property
    def warned(self) -> Flags:
        """Which scored recordings have a warning of Helios."""
        return has_warning(self.table) & (self.table["outcome"] == Outcome.SCORED).to_numpy(bool)

    def warnings_of(self, found: Found) -> list[str]:
        """List the warnings of an analysis, but for those of all of them, which are given once."""
        given = [] if isinstance(found, str) else found.attrs["warnings"]
        return [text for text in given if text not in self.prepared.notes]

    @property
    def left(self) -> str:
        """The sentences that say who left the study over visits."""
        return " ".join(self.warnings_of(self.found.get(STILL_IN, "")))

    # --- analyses ---------------------------------------------------------------------------------

    @cached_property
    def found(self) -> dict[str, Found]:
        """Every analysis but the comparisons of levels, by the name of what it is about."""
        results, arm, over = self.prepared, self.dividing, self.repeating
        family = self.settings.family
        expected: dict[str, Any] = {"by": arm, "expected": self.settings.expected}
        demographics = [name for name in _DEMOGRAPHICS if name in self.table.columns]
        grouping = [*self.by, *(name for name in demographics if name not in self.by.values())]
        # Uniform forms would say the same again.
        named = dict.fromkeys([self.primary, *(family or _ONE_PER_CONSTRUCT)])
        tested: dict[str, Any] = {"biomarkers": [name for name in named if name in results.names]}
        tested |= {"primary": self.primary, "family": family}
        found = {
            PARTICIPANTS: _attempt(analysis.table_one, results, arm or ALL),
            FLOW: _attempt(analysis.flow, results, **expected),
        }
        if grouping:
            found[MISSING] = _attempt(analysis.missingness_by_tag, results, grouping, also=())
        if over is not None:
            found[STILL_IN] = _attempt(analysis.attrition, results, over, **expected)
            found[CHANGE] = _attempt(analysis.compare_change, results, arm, over=over, **tested)
        return found

    @cached_property
    def compared(self) -> dict[str, Found]:
        """The comparison of the levels of each column, but for visits."""
        return {name: self.compare(name) for name in self.by if name != self.repeating}

    def compare(self, name: str, *, other_way: bool = False) -> Found:
        """Compare levels; or only the primary outcome, with warned scores treated the other way."""
        in_full = not other_way and self.n_levels(name) <= MOST_COMPARED_IN_FULL
        warned = self.settings.warned
        return _attempt(
            analysis.compare_by_tag,
            replace(self.prepared, warned="keep"),
            name,
            biomarkers=None if in_full else self.primary,
            primary=self.primary,
            family=self.settings.family if in_full else None,
            warned=_OTHER_WAY[warned] if other_way else warned,
        )

    @cached_property
    def main(self) -> str:
        """The first column by which the primary outcome was tested, else the first; "" for none."""
        for name, found in self.compared.items():
            if not isinstance(found, str) and found["p"][found["biomarker"] == self.primary].any():
                return name
        return next(iter(self.compared), "")

    @property
    def opening(self) -> str:
        """The column (or ``ALL``) whose figure of the primary outcome opens the report."""
        if self.repeating and isinstance(self.found[CHANGE], pd.DataFrame):
            return self.repeating
        return self.main or ALL


def _attempt(analyse: Callable[..., pd.DataFrame], *given: Any, **settings: Any) -> Found:
    try:
        return analyse(*given, **settings)
    except ResultsError as error:
        return str(error)


# --- reading --------------------------------------------------------------------------------------


def report_data(results: pd.DataFrame | str | PathLike[str], **settings: Any) -> ReportData:
    """Read and check what a report is about, name its columns and levels, and pool small groups."""
    chosen = ReportSettings(**settings)
    given = prepare(results, biomarkers=(), warned=chosen.warned)
    known = {} if isinstance(results, pd.DataFrame) else read_footer(Path(results))
    known |= chosen.provenance or {}
    asked = known.get("tags") or () if chosen.by is None else chosen.by
    kept, notes = _usable(given, [asked] if isinstance(asked, str) else dict.fromkeys(asked))
    given = prepare(given, kept, order=chosen.order)
    roles = _roles(given, kept)
    table, by = _as_shown(given, kept, roles[1], chosen)
    if chosen.hide_small_cells:
        demographics = [name for name in _DEMOGRAPHICS if name in table.columns]
        table, pooled = pool_small_levels(table, [*by.values(), *demographics])
        notes += pooled
    if isinstance(chosen.expected, pd.DataFrame):
        chosen = replace(chosen, expected=_schedule(chosen.expected, by, chosen.labels))
    if not given.sources and known.get("source"):
        table = table.assign(source=known["source"])
    names = [one.name for one in BIOMARKERS if one.name in table.columns]
    prepared = prepare(table, [*by.values(), ALL], biomarkers=names, warned=chosen.warned)
    levels = {
        shown: replace(prepared.levels[shown], ordered_by=given.levels[name].ordered_by)
        for name, shown in by.items()
    }
    dividing, repeating = (by.get(str(role)) for role in roles)
    shown_by = {shown: name for name, shown in by.items()}
    prepared = replace(prepared, levels=prepared.levels | levels)
    about = dividing, repeating, *_outcomes(prepared, chosen), known, chosen, notes
    return ReportData(prepared, given.frame, shown_by, *about)


def _outcomes(prepared: PreparedResults, chosen: ReportSettings) -> tuple[list[str], str]:
    """Choose the biomarkers with figures and the primary outcome, empty where there is none."""
    names = prepared.names
    if chosen.primary is not None and chosen.primary not in names:
        raise UnknownColumnError(chosen.primary, names, what="biomarkers")
    primary = chosen.primary or next(iter(names), "")
    if chosen.biomarkers is not None:
        return prepare(prepared, biomarkers=chosen.biomarkers).names, primary
    return [name for name in _ONE_PER_CONSTRUCT if name in names], primary


def _usable(given: PreparedResults, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Choose the columns to show results by; a sentence for each that has too many levels."""
    kept, notes = [], []
    for name in names:
        if name in NEVER_LISTED:
            message = f"{name!r} would name participants in the report: leave it out of by."
            raise ResultsError(message)
        try:
            prepare(given, [name])
            kept.append(name)
        except UnknownColumnError:
            raise
        except ResultsError as error:
            notes.append(str(error))
    return kept, notes


def _as_shown(
    given: PreparedResults, names: Iterable[str], repeating: str | None, settings: ReportSettings
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Put levels in order and under their labels, the reference first but for visits."""
    table, by = given.frame.assign(**{ALL: "all"}), {}
    labels, first = settings.labels, settings.reference
    found = [name for name in names if name != repeating and first in given.levels[name].labels]
    if first is not None and not found:
        message = f"The reference {first!r} is not a level of {' or '.join(names) or 'any column'}."
        raise ResultsError(message)
    for name in names:
        levels = given.levels[name].reordered([str(first)] if name in found else [])
        texts = [text if text == NOT_GIVEN else labels.get(text, text) for text in levels.labels]
        shown = labels.get(name, _OTHER_NAMES.get(name, name))
        if len({*texts}) < len(texts) or (shown != name and shown in table.columns):
            message = f"The labels give two columns, or two levels of {name!r}, the same text."
            raise ResultsError(message)
        table[shown] = pd.Categorical.from_codes(levels.codes, pd.Index(texts), ordered=True)
        by[name] = shown
    return table, by


def _schedule(
    expected: pd.DataFrame, by: Mapping[str, str], labels: Mapping[str, str]
) -> pd.DataFrame:
    """Put a table of expected recordings under the labels of the results."""
    shown = expected.rename(columns=by)
    columns = [name for name in by.values() if name in shown.columns]
    return shown.assign(**{name: shown[name].astype("str").replace(labels) for name in columns})


def _roles(prepared: PreparedResults, by: Sequence[str]) -> tuple[str | None, str | None]:
    """Find the column that divides participants, and the one that runs with time."""
    known = prepared.people >= 0
    codes = {name: prepared.levels[name].codes[known] for name in by}
    each = pd.DataFrame(codes, index=prepared.people[known]).groupby(level=0)
    # The share of participants who are at several levels.
    several = (each.min() < each.max()).mean()
    few = [name for name in by if 2 <= len(prepared.levels[name]) <= _MOST_COLUMNS]
    divides = (name for name in few if several[name] < 0.5)
    repeats = (name for name in by if several[name] > 0.5 and _runs_with_time(prepared, name))
    return next(divides, None), next(repeats, None)


def _runs_with_time(prepared: PreparedResults, name: str) -> bool:
    """Whether a column runs with time, as a visit does and a prompt does not."""
    levels, when = prepared.levels[name], prepared.recorded
    if np.isnan(when).all():
        return all(any(map(str.isdigit, label)) for label in levels.labels)
    rows = pd.DataFrame({"who": prepared.people, "when": when, "level": levels.codes})
    in_time = rows.sort_values(["who", "when"], kind="stable")
    steps = in_time.groupby("who")["level"].diff().dropna()
    return bool((steps >= 0).mean() > 0.9)
