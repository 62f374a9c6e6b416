"""A cohort before it is sent: the table of its checks, and an overview of what it contains."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from helios_research._util.files import replaced
from helios_research._util.text import counted
from helios_research.columns import CHECKS, RECORDING_ID, Kind, Verdict
from helios_research.preflight_checks.check import UNREADABLE, Check, CheckCache
from helios_research.preflight_checks.pool import CheckPool, ProgressCallback, progress_callback
from helios_research.preflight_checks.rules import DEFAULT_THRESHOLDS, Thresholds

if TYPE_CHECKING:
    from helios_research.cohort import Cohort


_VERDICTS = pd.CategoricalDtype([verdict.value for verdict in Verdict])
_DTYPES = {
    Kind.TEXT: "str",
    Kind.CATEGORY: "category",
    Kind.NUMBER: "float64",
    Kind.COUNT: "Int64",
    Kind.FLAG: "boolean",
}
_NOT_NAMED = Check(Verdict.FAIL, UNREADABLE, "The row names no recording.")


def preflight(
    cohort: "Cohort",
    *,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    executor: Executor | None = None,
    full_speech: bool = False,
    cache: CheckCache | None = None,
    progress: bool | ProgressCallback = True,
) -> pd.DataFrame:
    """Check every recording of a cohort before anything is sent.

    Parameters
    ----------
    cohort
        The cohort; rows with errors in their other columns are checked, too.
    thresholds
        The limits.
    executor
        Where to check: any ``concurrent.futures.Executor``, such as
        ``dask.distributed.Client(…).get_executor()``. It is not shut down. By default one process
        per core of this machine.
    full_speech
        Count speech to the end of each recording, instead of stopping when there is clearly
        enough. It takes about three times as long, and ``speech_s`` is then the whole amount.
    cache
        Checks made before, which are taken over where nothing was written to the recording.
    progress
        True shows it on standard error; a function is called with the number of recordings done
        and the number of all.

    Returns
    -------
    pandas.DataFrame
        One row per row of the cohort, in its order; the columns are ``columns.CHECKS``.

    Raises
    ------
    HeliosResearchError
        No process for checking can be started. What is wrong with a recording is in its row.
    """
    locations = cohort.fields["recording"]
    wanted = list(dict.fromkeys(locations.dropna()))
    show = progress_callback(progress)
    checks: dict[str, Check] = {}
    with CheckPool(
        thresholds=thresholds, full_speech=full_speech, executor=executor, cache=cache
    ) as pool:
        for location, check in pool.check_many(wanted):
            checks[location] = check
            show(len(checks), len(wanted))
    return check_table(cohort, checks)


def check_table(cohort: "Cohort", checks: Mapping[str, Check]) -> pd.DataFrame:
    """Put checks into a table."""
    ids, locations = cohort.fields[RECORDING_ID.name], cohort.fields["recording"]
    rows = [_NOT_NAMED if pd.isna(location) else checks.get(location) for location in locations]
    table = {RECORDING_ID.name: ids.reset_index(drop=True)}
    for column in CHECKS[1:]:
        dtype = _VERDICTS if column.name == "verdict" else _DTYPES[column.kind]
        values = [getattr(row, column.name) if row is not None else None for row in rows]
        table[column.name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(table)


def write_checks(checks: pd.DataFrame, path: Path) -> None:
    """Write a table of checks to a file: beside it first, and then in its place."""
    with replaced(path) as unfinished:
        if path.suffix.lower() == ".parquet":
            checks.to_parquet(unfinished, index=False)
        else:
            checks.to_csv(unfinished, index=False)


_DAYS_PER_YEAR = 365.2425
_SECONDS_PER_HOUR = 3600

# A level with fewer participants is marked: its findings are uncertain, and a person may be
# recognised in it. Source: the rule of five of many statistics offices.
_FEW_PARTICIPANTS = 5
# Our choice: a younger child hardly speaks for 10 s alone, and one person in ten thousand grows
# older, so a wrong date is likelier.
_PLAUSIBLE_YEARS = (5.0, 105.0)
# Our choice: 24 hours on call and a journey home.
_LONGEST_AWAKE_H = 30.0
# Our choice.
_LONGEST_ASLEEP_H = 16.0
# One request creates the run, one fetches the result, some come too early. Source: simulations of
# our polling take 2.13 to 2.35.
_REQUESTS_PER_RECORDING = 2.3
# Processing of the last recordings. Source: Helios, "seconds to a minute".
_PROCESSING_S = 60.0


@dataclass(frozen=True, slots=True, eq=False)
class Overview:
    """A cohort before it is sent, as tables; ``str(overview)`` writes them as text."""

    totals: pd.DataFrame
    per_participant: pd.DataFrame
    tag_levels: pd.DataFrame
    odd_ages: pd.DataFrame
    odd_sleep: pd.DataFrame
    awake: pd.DataFrame

    def __str__(self) -> str:
        """Write the tables as text."""
        return "\n\n".join(self._paragraphs())

    def _paragraphs(self) -> Iterator[str]:
        width = max(self.totals["measure"].str.len())
        yield "\n".join(
            f"{one.measure:<{width}}  {one.value:>8,} {one.unit}".rstrip()
            for one in self.totals.itertuples()
        )
        if not self.per_participant.empty:
            counts = self.per_participant.itertuples(index=False)
            listed = (f"{number:,} ({counted(people, 'participant')})" for number, people in counts)
            yield f"Recordings per participant: {', '.join(listed)}"
        if not self.tag_levels.empty:
            yield "\n".join(["Per tag level:", *map(_level, self.tag_levels.itertuples())])
        for row in self.awake.to_dict("records"):
            known = counted(int(row["recordings"]), "recording")
            yield (
                f"Hours awake at the recording: {row['least_h']:g} to {row['most_h']:g}, median "
                f"{row['median_h']:g} ({known})"
            )
        for title, table in (
            ("Implausible ages at the recording", self.odd_ages),
            ("Implausible sleep or wakefulness", self.odd_sleep),
        ):
            if not table.empty:
                yield f"{title}:\n{table.to_string(index=False, na_rep='-')}"


def _level(one: Any) -> str:
    level = "not given" if pd.isna(one.level) else one.level
    few = " (few)" if one.is_small else ""
    people = counted(one.participants, "participant")
    return f"  {one.tag} = {level}: {people}, {counted(one.recordings, 'recording')}{few}"


def overview(
    cohort: "Cohort",
    checks: pd.DataFrame | None = None,
    *,
    rate: float | None = None,
    price: float | None = None,
) -> Overview:
    """Describe a cohort; a rate (requests per second) adds the time, the price of one the cost."""
    spans = sleep_spans(cohort)
    return Overview(
        totals=_totals(cohort, checks, rate, price),
        per_participant=_per_participant(cohort),
        tag_levels=_tag_levels(cohort),
        odd_ages=_odd_ages(cohort),
        odd_sleep=_odd_sleep(spans),
        awake=_awake(spans),
    )


def expected_requests(recordings: int) -> int:
    """Estimate how many API requests a number of recordings takes."""
    return round(recordings * _REQUESTS_PER_RECORDING)


def expected_time_s(recordings: int, rate: float) -> float:
    """Estimate how many seconds a number of recordings takes at a rate of requests per second."""
    if recordings == 0:
        return 0.0
    return expected_requests(recordings) / rate + _PROCESSING_S


def sleep_spans(cohort: "Cohort") -> pd.DataFrame:
    """Compute how many hours each speaker had slept and been awake."""
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


def _totals(
    cohort: "Cohort", checks: pd.DataFrame | None, rate: float | None, price: float | None
) -> pd.DataFrame:
    to_send = cohort.is_valid
    rows: list[tuple[str, float, str]] = [
        ("rows", len(cohort), ""),
        ("participants", cohort.fields["user_label"].nunique(), ""),
        ("rows with errors in the table", int((~cohort.is_valid).sum()), ""),
    ]
    if checks is not None:
        to_send = to_send & (checks["verdict"] != Verdict.FAIL.value).to_numpy()
        counts = checks["verdict"].value_counts()
        rows += [(f"recordings: {verdict}", int(counts.get(verdict, 0)), "") for verdict in Verdict]
        rows.append(("audio", round(float(checks["duration_s"].sum()) / _SECONDS_PER_HOUR, 2), "h"))
    recordings = int(to_send.sum())
    rows.append(("recordings to send", recordings, ""))
    rows.append(("expected API requests", expected_requests(recordings), ""))
    if rate is not None:
        minutes = round(expected_time_s(recordings, rate) / 60, 1)
        rows.append((f"expected time at {rate:g} requests/s", minutes, "min"))
    if price is not None:
        rows.append((f"expected cost at {price:g} a recording", round(recordings * price, 2), ""))
    return pd.DataFrame(rows, columns=["measure", "value", "unit"], dtype=object).astype(
        {"measure": "str", "unit": "str"}
    )


def _per_participant(cohort: "Cohort") -> pd.DataFrame:
    recordings = cohort.fields["user_label"].value_counts()
    counts = recordings.value_counts().sort_index()
    return pd.DataFrame({"recordings": counts.index, "participants": counts.to_numpy()})


def _tag_levels(cohort: "Cohort") -> pd.DataFrame:
    columns = ["tag", "level", "participants", "recordings"]
    labels = cohort.fields["user_label"].reset_index(drop=True)
    tables = []
    for tag in cohort.tags:
        levels = cohort.tag_values[tag].reset_index(drop=True)
        groups = labels.groupby(levels, dropna=False)
        counts = groups.agg(participants="nunique", recordings="size").rename_axis("level")
        tables.append(counts.reset_index().assign(tag=tag)[columns])
    table = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    return table.assign(is_small=table["participants"] < _FEW_PARTICIPANTS)


def _odd_ages(cohort: "Cohort") -> pd.DataFrame:
    # Without a time of recording, today is the latest that it can have been.
    recorded = _moments(cohort, "recording_time").fillna(pd.Timestamp.now().normalize())
    age_years = (recorded - _moments(cohort, "date_of_birth")).dt.days / _DAYS_PER_YEAR
    labels = cohort.fields["user_label"].to_numpy()
    table = _keys(cohort).assign(user_label=labels, age_years=age_years.round(1))
    youngest, oldest = _PLAUSIBLE_YEARS
    return table[(age_years < youngest) | (age_years > oldest)]


def _odd_sleep(spans: pd.DataFrame) -> pd.DataFrame:
    awake_h, asleep_h = spans["awake_h"].fillna(0), spans["asleep_h"].fillna(0)
    is_usual = awake_h.between(0, _LONGEST_AWAKE_H) & asleep_h.between(0, _LONGEST_ASLEEP_H)
    return spans[~is_usual].round(1)


def _awake(spans: pd.DataFrame) -> pd.DataFrame:
    known = spans.loc[spans["awake_h"] >= 0, "awake_h"]
    rows = [] if known.empty else [[len(known), *known.quantile([0, 0.5, 1]).round(1)]]
    return pd.DataFrame(rows, columns=["recordings", "least_h", "median_h", "most_h"])
