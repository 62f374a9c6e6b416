"""A cohort before it is sent: the table of its checks, and an overview of what it contains."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from helios_research._util.files import replaced
from helios_research._util.text import counted
from helios_research.columns import CHECKS, DTYPES, RECORDING_ID, Verdict
from helios_research.preflight_checks.check import UNREADABLE, Check, CheckCache
from helios_research.preflight_checks.pool import CheckPool, ProgressCallback, progress_callback
from helios_research.preflight_checks.rules import DEFAULT_THRESHOLDS, Thresholds

if TYPE_CHECKING:
    from helios_research.cohort import Cohort


_VERDICTS = pd.CategoricalDtype([verdict.value for verdict in Verdict])
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
        dtype = _VERDICTS if column.name == "verdict" else DTYPES[column.kind]
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
_TIMES = ["date_of_birth", "sleep_time", "wake_time", "recording_time"]

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


def overview(
    cohort: "Cohort", checks: pd.DataFrame, *, rate: float, price: float | None = None
) -> str:
    """Describe a cohort and what is expected at a rate (requests per second) and price of one."""
    counts = cohort.fields["user_label"].value_counts().value_counts().sort_index()
    listed = (f"{number:,} ({counted(people, 'participant')})" for number, people in counts.items())
    paragraphs = [
        _totals(cohort, checks, rate, price),
        f"Recordings per participant: {', '.join(listed)}" if len(counts) else "",
        _tag_levels(cohort),
        *_times(cohort),
    ]
    return "\n\n".join(filter(None, paragraphs))


def expected_requests(recordings: int) -> int:
    """Estimate how many API requests a number of recordings takes."""
    return round(recordings * _REQUESTS_PER_RECORDING)


def expected_time_s(recordings: int, rate: float) -> float:
    """Estimate how many seconds a number of recordings takes at a rate of requests per second."""
    if recordings == 0:
        return 0.0
    return expected_requests(recordings) / rate + _PROCESSING_S


def _totals(cohort: "Cohort", checks: pd.DataFrame, rate: float, price: float | None) -> str:
    counts, hours = checks["verdict"].value_counts(), checks["duration_s"].sum() / _SECONDS_PER_HOUR
    is_refused = (checks["verdict"] == Verdict.FAIL.value).to_numpy()
    recordings = int((cohort.is_valid & ~is_refused).sum())
    minutes = round(expected_time_s(recordings, rate) / 60, 1)
    rows: list[tuple[str, float, str]] = [
        ("rows", len(cohort), ""),
        ("participants", cohort.fields["user_label"].nunique(), ""),
        ("rows with errors in the table", int((~cohort.is_valid).sum()), ""),
        *((f"recordings: {verdict}", int(counts.get(verdict, 0)), "") for verdict in Verdict),
        ("audio", round(float(hours), 2), "h"),
        ("recordings to send", recordings, ""),
        ("expected API requests", expected_requests(recordings), ""),
        (f"expected time at {rate:g} requests/s", minutes, "min"),
    ]
    if price is not None:
        rows.append((f"expected cost at {price:g} a recording", round(recordings * price, 2), ""))
    width = max(len(what) for what, _, _ in rows)
    return "\n".join(f"{what:<{width}}  {value:>8,} {unit}".rstrip() for what, value, unit in rows)


def _tag_levels(cohort: "Cohort") -> str:
    labels = cohort.fields["user_label"].reset_index(drop=True)
    lines = []
    for tag in cohort.tags:
        groups = labels.groupby(cohort.tag_values[tag].reset_index(drop=True), dropna=False)
        for level, people, recordings in groups.agg(["nunique", "size"]).itertuples(name=None):
            named = "not given" if pd.isna(level) else level
            few = " (few)" if people < _FEW_PARTICIPANTS else ""
            numbers = f"{counted(people, 'participant')}, {counted(recordings, 'recording')}"
            lines.append(f"  {tag} = {named}: {numbers}{few}")
    return "\n".join(["Per tag level:", *lines]) if lines else ""


def _times(cohort: "Cohort") -> Iterator[str]:
    """Write how long speakers had been awake, and list ages and times that cannot be right."""
    born, asleep, woke, recorded = (
        pd.to_datetime(values.reset_index(drop=True), format="ISO8601", errors="coerce")
        for _, values in cohort.fields[_TIMES].items()
    )
    awake_h = (recorded - woke).dt.total_seconds() / _SECONDS_PER_HOUR
    asleep_h = (woke - asleep).dt.total_seconds() / _SECONDS_PER_HOUR
    if len(known := awake_h[awake_h >= 0]):
        least_h, median_h, most_h = known.quantile([0, 0.5, 1]).round(1)
        yield (
            f"Hours awake at the recording: {least_h:g} to {most_h:g}, median {median_h:g} "
            f"({counted(len(known), 'recording')})"
        )
    # Without a time of recording, today is the latest that it can have been.
    years = (recorded.fillna(pd.Timestamp.now().normalize()) - born).dt.days / _DAYS_PER_YEAR
    is_usual = awake_h.fillna(0).between(0, _LONGEST_AWAKE_H)
    is_usual &= asleep_h.fillna(0).between(0, _LONGEST_ASLEEP_H)
    keys = cohort.fields[[RECORDING_ID.name, "user_label"]].reset_index(drop=True)
    keys.insert(0, "row", cohort.row_numbers.to_numpy())
    spans = keys.drop(columns="user_label").assign(awake_h=awake_h, asleep_h=asleep_h)
    is_odd = years.notna() & ~years.between(*_PLAUSIBLE_YEARS)
    for title, table in (
        ("Implausible ages at the recording", keys.assign(age_years=years.round(1))[is_odd]),
        ("Implausible sleep or wakefulness", spans[~is_usual].round(1)),
    ):
        if not table.empty:
            yield f"{title}:\n{table.to_string(index=False, na_rep='-')}"
