"""The table of checks: one row for each row of the cohort."""

from collections.abc import Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from helios_research._util.files import replaced
from helios_research.columns import CHECKS, RECORDING_ID, Kind, Verdict
from helios_research.preflight_checks.check import UNREADABLE, Check, CheckCache
from helios_research.preflight_checks.pool import CheckPool, ShowCount, chosen
from helios_research.preflight_checks.rules import DEFAULT_THRESHOLDS, Thresholds

if TYPE_CHECKING:
    import pandas as pd

    from helios_research.cohort import Cohort


_NOT_NAMED = Check(Verdict.FAIL, UNREADABLE, "The row names no recording.")


def preflight(
    cohort: "Cohort",
    *,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    executor: Executor | None = None,
    full_speech: bool = False,
    cache: CheckCache | None = None,
    progress: bool | ShowCount = True,
) -> "pd.DataFrame":
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
    show = chosen(progress)
    checks: dict[str, Check] = {}
    with CheckPool(
        thresholds=thresholds, full_speech=full_speech, executor=executor, cache=cache
    ) as pool:
        for location, check in pool.check_many(wanted):
            checks[location] = check
            show(len(checks), len(wanted))
    return check_table(cohort, checks)


def check_table(cohort: "Cohort", checks: Mapping[str, Check]) -> "pd.DataFrame":
    """Put checks into a table."""
    # Imported here because the worker processes need no tables, and it costs each half a second.
    import pandas as pd

    ids, locations = cohort.fields[RECORDING_ID.name], cohort.fields["recording"]
    rows = [_NOT_NAMED if pd.isna(location) else checks.get(location) for location in locations]
    table = {RECORDING_ID.name: ids.reset_index(drop=True)}
    for column in CHECKS[1:]:
        values = [getattr(row, column.name) if row is not None else None for row in rows]
        table[column.name] = pd.Series(values, dtype=_dtype(column.name, column.kind))
    return pd.DataFrame(table)


def write_checks(checks: "pd.DataFrame", path: Path) -> None:
    """Write a table of checks to a file: beside it first, and then in its place."""
    with replaced(path) as unfinished:
        if path.suffix.lower() == ".parquet":
            checks.to_parquet(unfinished, index=False)
        else:
            checks.to_csv(unfinished, index=False)


def _dtype(name: str, kind: Kind) -> "pd.CategoricalDtype | str":
    import pandas as pd

    if name == "verdict":
        return pd.CategoricalDtype([verdict.value for verdict in Verdict])
    storage = {
        Kind.TEXT: "str",
        Kind.CATEGORY: "category",
        Kind.NUMBER: "float64",
        Kind.COUNT: "Int64",
        Kind.FLAG: "boolean",
    }
    return storage[kind]
