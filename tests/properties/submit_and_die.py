"""Submits studies in processes of their own, each killed at a chosen entry into its ledger.

Reads one job per line of JSON, and answers each with how its process ended. A fork of a process
that has everything imported costs milliseconds, so thousands of real SIGKILLs are affordable.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import wraps
from typing import Any

import helios_research as hr
from helios_research.api.client import Client
from helios_research.errors import ServiceError
from helios_research.ledger import Ledger
from helios_research.submission import (
    Clock,
    engine,
    rate_limiter,
    recording_task,
    retrying_client,
    run_poller,
)

UNREACHED, UNREACHABLE = 0, 3


class ShiftedClock(Clock):
    """The machine's clock, some time ahead."""

    def __init__(self, ahead_s: float) -> None:
        super().__init__()
        self._ahead = timedelta(seconds=ahead_s)

    def now(self) -> Any:
        return super().now() + self._ahead


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(entry: int, *, before: bool) -> None:
    """Count what is written into the ledger, and end this process at one of the entries."""
    written = 0

    def counting(write: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        @wraps(write)
        async def counted(*arguments: Any, **changes: Any) -> Any:
            nonlocal written
            written += 1
            is_last = written == entry
            if is_last and before:
                die()
            kept = await write(*arguments, **changes)
            if is_last:
                die()
            return kept

        return counted

    Ledger.begin = counting(Ledger.begin)  # type: ignore[method-assign]  # of this process alone
    Ledger.advance = counting(Ledger.advance)  # type: ignore[method-assign]


def submit(job: dict[str, Any]) -> int:
    run_poller.CONFIRM_AFTER_S = job["confirm_after_s"]
    run_poller.SETTLING_S = 5 * job["confirm_after_s"]
    recording_task.AFTER_INTERNAL_S = (job["confirm_after_s"],)
    rate_limiter.FIRST_PAUSE_S = job["confirm_after_s"]
    engine._FIRST_CALL = retrying_client.RetryPolicy(job["options"]["patience"])
    die_at(job["entry"], before=job["before"])
    study = hr.Study(
        job["study"],
        client=Client(api_key=job["api_key"], base_url=job["base_url"]),
        clock=ShiftedClock(job["ahead_s"]),
    )
    try:
        study.submit(hr.Cohort.load(job["cohort"]), progress=False, **job["options"])
    except ServiceError:
        return UNREACHABLE
    return UNREACHED


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            # Whatever happens, this copy of the process must not go on with the next line.
            status = 1
            try:
                status = submit(json.loads(line))
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(ended)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
