"""What a cohort looks like before it is sent, as tables to print or to look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from helios_research._util.text import counted
from helios_research.columns import RECORDING_ID, Verdict

if TYPE_CHECKING:
    from helios_research.cohort import Cohort


_DAYS_PER_YEAR = 365.2425
_SECONDS_PER_HOUR = 3600

_Measure = tuple[str, float, str]


@dataclass(frozen=True, slots=True)
class OverviewLimits:
    """What is marked in an overview."""

    small_cell: int = 5
    youngest_years: float = 5.0
    oldest_years: float = 105.0
    longest_awake_h: float = 30.0
    longest_asleep_h: float = 16.0
    requests_per_recording: float = 2.3
    processing_s: float = 60.0


DEFAULT_OVERVIEW_LIMITS = OverviewLimits()


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """Tables about a cohort, each ready to be printed."""

    totals: pd.DataFrame
    per_participant: pd.DataFrame
    tag_levels: pd.DataFrame
    odd_ages: pd.DataFrame
    odd_sleep: pd.DataFrame
    awake: pd.DataFrame

    def __str__(self) -> str:
        """Word the tables for a person to read."""
        return "\n\n".join(filter(None, map("\n".join, self._paragraphs())))

    def _paragraphs(self) -> Iterator[list[str]]:
        width = max(self.totals["measure"].str.len())
        yield [
            f"{measure:<{width}}  {value:>8,} {unit}".rstrip()
            for measure, value, unit in self.totals.itertuples(index=False)
        ]
        counts = self.per_participant.itertuples(index=False)
        told = ", ".join(
            f"{recordings:,} ({counted(people, 'participant')})" for recordings, people in counts
        )
        yield [f"Recordings per participant: {told}"] if told else []
        yield self._levels()
        for least, median, most, known in self.awake[
            ["least_h", "median_h", "most_h", "recordings"]
        ].itertuples(index=False):
            yield [
                f"Hours awake at the recording: {least:g} to {most:g}, median {median:g} "
                f"({counted(int(known), 'recording')})"
            ]
        yield _titled("Implausible ages at the recording", self.odd_ages)
        yield _titled("Implausible sleep or wakefulness", self.odd_sleep)

    def _levels(self) -> list[str]:
        lines = [
            f"  {tag} = {'not given' if pd.isna(level) else level}: "
            f"{counted(participants, 'participant')}, {counted(recordings, 'recording')}"
            f"{' (few)' if is_small else ''}"
            for tag, level, participants, recordings, is_small in self.tag_levels.itertuples(
                index=False
            )
        ]
        return ["Per tag level:", *lines] if lines else []


def _titled(title: str, table: pd.DataFrame) -> list[str]:
    if table.empty:
        return []
    return [f"{title}:", table.to_string(index=False, na_rep="-")]


def overview(
    cohort: "Cohort",
    checks: pd.DataFrame | None = None,
    *,
    rate: float | None = None,
    limits: OverviewLimits = DEFAULT_OVERVIEW_LIMITS,
) -> Overview:
    """Look at a cohort as a whole."""
    spans = sleep_spans(cohort)
    return Overview(
        totals=_totals([*_holdings(cohort, checks), *_effort(cohort, checks, rate, limits)]),
        per_participant=_per_participant(cohort),
        tag_levels=_tag_levels(cohort, limits),
        odd_ages=_odd_ages(cohort, limits),
        odd_sleep=_odd_sleep(spans, limits),
        awake=_awake(spans),
    )


def expected_requests(recordings: int, limits: OverviewLimits = DEFAULT_OVERVIEW_LIMITS) -> int:
    """Say how many API requests a number of recordings takes."""
    return round(recordings * limits.requests_per_recording)


def expected_time_s(
    recordings: int, rate: float, limits: OverviewLimits = DEFAULT_OVERVIEW_LIMITS
) -> float:
    """Say how long a number of recordings takes where requests are what limits."""
    if recordings == 0:
        return 0.0
    return expected_requests(recordings, limits) / rate + limits.processing_s


def sleep_spans(cohort: "Cohort") -> pd.DataFrame:
    """Say how long each speaker had slept and been awake."""
    asleep, woke, recorded = (
        _moments(cohort, name) for name in ("sleep_time", "wake_time", "recording_time")
    )
    return _keys(cohort).assign(
        awake_h=(recorded - woke).dt.total_seconds() / _SECONDS_PER_HOUR,
        asleep_h=(woke - asleep).dt.total_seconds() / _SECONDS_PER_HOUR,
    )


def _keys(cohort: "Cohort") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": cohort.row_numbers.to_numpy(),
            RECORDING_ID.name: cohort.fields[RECORDING_ID.name].to_numpy(),
        }
    )


def _moments(cohort: "Cohort", name: str) -> pd.Series:
    return pd.to_datetime(
        cohort.fields[name].reset_index(drop=True), format="ISO8601", errors="coerce"
    )


def _to_send(cohort: "Cohort", checks: pd.DataFrame | None) -> pd.Series:
    valid = pd.Series(cohort.is_valid)
    if checks is None:
        return valid
    return valid & (checks["verdict"] != Verdict.FAIL.value).to_numpy()


def _holdings(cohort: "Cohort", checks: pd.DataFrame | None) -> list[_Measure]:
    rows: list[_Measure] = [
        ("rows", len(cohort), ""),
        ("participants", cohort.fields["user_label"].nunique(), ""),
        ("rows with errors in the table", int((~cohort.is_valid).sum()), ""),
    ]
    if checks is not None:
        counts = checks["verdict"].value_counts()
        rows += [(f"recordings: {verdict}", int(counts.get(verdict, 0)), "") for verdict in Verdict]
        rows.append(("audio", round(float(checks["duration_s"].sum()) / _SECONDS_PER_HOUR, 2), "h"))
    return rows


def _effort(
    cohort: "Cohort",
    checks: pd.DataFrame | None,
    rate: float | None,
    limits: OverviewLimits,
) -> list[_Measure]:
    recordings = int(_to_send(cohort, checks).sum())
    rows: list[_Measure] = [
        ("recordings to send", recordings, ""),
        ("expected API requests", expected_requests(recordings, limits), ""),
    ]
    if rate is not None:
        minutes = round(expected_time_s(recordings, rate, limits) / 60, 1)
        rows.append((f"expected time at {rate:g} requests/s", minutes, "min"))
    return rows


def _totals(rows: list[_Measure]) -> pd.DataFrame:
    measures, values, units = zip(*rows, strict=True)
    return pd.DataFrame(
        {"measure": measures, "value": pd.Series(values, dtype=object), "unit": units}
    )


def _per_participant(cohort: "Cohort") -> pd.DataFrame:
    recordings = cohort.fields["user_label"].value_counts()
    counts = recordings.value_counts().sort_index()
    return pd.DataFrame({"recordings": counts.index, "participants": counts.to_numpy()})


def _tag_levels(cohort: "Cohort", limits: OverviewLimits) -> pd.DataFrame:
    columns = ["tag", "level", "participants", "recordings", "is_small"]
    labels = cohort.fields["user_label"].reset_index(drop=True)
    tables = [pd.DataFrame({"tag": [], "level": [], "participants": [], "recordings": []})]
    for tag in cohort.tags:
        levels = cohort.tag_values[tag].reset_index(drop=True)
        groups = labels.groupby(levels, dropna=False)
        counts = groups.agg(participants="nunique", recordings="size").rename_axis("level")
        tables.append(counts.reset_index().assign(tag=tag))
    table = pd.concat(tables[1:] or tables, ignore_index=True)
    return table.assign(is_small=table["participants"] < limits.small_cell)[columns]


def _odd_ages(cohort: "Cohort", limits: OverviewLimits) -> pd.DataFrame:
    # Without a time of recording, today is the latest that it can have been.
    recorded = _moments(cohort, "recording_time").fillna(pd.Timestamp.now().normalize())
    age_years = (recorded - _moments(cohort, "date_of_birth")).dt.days / _DAYS_PER_YEAR
    labels = cohort.fields["user_label"].to_numpy()
    table = _keys(cohort).assign(user_label=labels, age_years=age_years.round(1))
    return table[(age_years < limits.youngest_years) | (age_years > limits.oldest_years)]


def _odd_sleep(spans: pd.DataFrame, limits: OverviewLimits) -> pd.DataFrame:
    awake_h, asleep_h = spans["awake_h"], spans["asleep_h"]
    is_odd = (
        (awake_h < 0)
        | (awake_h > limits.longest_awake_h)
        | (asleep_h < 0)
        | (asleep_h > limits.longest_asleep_h)
    )
    return spans[is_odd].round(1)


def _awake(spans: pd.DataFrame) -> pd.DataFrame:
    known = spans.loc[spans["awake_h"] >= 0, "awake_h"]
    if known.empty:
        return pd.DataFrame(columns=["recordings", "least_h", "median_h", "most_h"])
    values = [len(known), *known.quantile([0, 0.5, 1]).round(1)]
    return pd.DataFrame([values], columns=["recordings", "least_h", "median_h", "most_h"])
