"""How things stand with every row of a cohort: derived from the ledger, never kept beside it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from helios_research.api.requests import RunRequest
from helios_research.checks import UNREADABLE, Check
from helios_research.codes import DUPLICATE_AUDIO, METADATA_CHANGED, RECORDING_CHANGED, WITHDRAWN
from helios_research.cohort import Cohort, duplicate_audio_issues
from helios_research.columns import Outcome, Severity, Verdict
from helios_research.ledger import Attempt, State
from helios_research.submission.asks import Rejection, Row
from helios_research.submission.plan import governing_attempt

_OUTCOMES = {
    State.SCORED: Outcome.SCORED,
    State.FAILED: Outcome.FAILED,
    State.REJECTED: Outcome.REJECTED,
    State.LOST: Outcome.LOST,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand with one row.

    Attributes
    ----------
    outcome
        Where the row is.
    attempt
        The attempt that decides it, if any.
    runs
        Model runs created for the recording.
    error_code, error_reason
        What is wrong, or what a pending row waits for.
    """

    outcome: Outcome
    attempt: Attempt | None = None
    runs: int = 0
    error_code: str | None = None
    error_reason: str | None = None


def outcome_of(attempt: Attempt) -> Outcome:
    """Tell what an attempt makes of its recording.

    Parameters
    ----------
    attempt
        The attempt that decides.

    Returns
    -------
    Outcome
        Final where the attempt is; ``invalid`` where the file changed under it.
    """
    if attempt.state is State.ABANDONED and attempt.error_code == RECORDING_CHANGED:
        return Outcome.INVALID
    return _OUTCOMES.get(attempt.state, Outcome.PENDING)


def standings(
    cohort: Cohort,
    rows: Sequence[Row],
    checks: Mapping[str, Check],
    attempts: Iterable[Attempt],
) -> list[Standing]:
    """Work out how things stand with every row.

    Parameters
    ----------
    cohort
        The cohort.
    rows
        Its rows as requests, as `rows_of` gives them.
    checks
        What was last seen of each recording, by location.
    attempts
        All attempts in the ledger.

    Returns
    -------
    list of Standing
        One per row, in the cohort's order.
    """
    history = defaultdict[str, list[Attempt]](list)
    for attempt in attempts:
        history[attempt.sha256].append(attempt)
    seen = [checks.get(row.location) if row.location else None for row in rows]
    duplicates = duplicate_rejections(cohort, [check.sha256 if check else None for check in seen])
    claimed = {(check.sha256, row.digest) for row, check in zip(rows, seen, strict=True) if check}
    return [
        _standing(
            row,
            check,
            [
                attempt
                for attempt in history.get(check.sha256 or "", ())
                if attempt.request_digest == row.digest
                or (attempt.sha256, attempt.request_digest) not in claimed
            ]
            if check
            else [],
            duplicates.get(row.position),
        )
        for row, check in zip(rows, seen, strict=True)
    ]


def duplicate_rejections(cohort: Cohort, sha256: Sequence[str | None]) -> dict[int, Rejection]:
    """Find rows whose audio also stands in another row with other metadata.

    Parameters
    ----------
    cohort
        The cohort.
    sha256
        SHA-256 of each row's recording, where it is known.

    Returns
    -------
    dict of int to Rejection
        By position, why such a row is not sent.
    """
    issues = duplicate_audio_issues(cohort, pd.Series(list(sha256), dtype="str"))
    errors = issues[issues["severity"] == Severity.ERROR]
    position_of = {number: position for position, number in enumerate(cohort.row_numbers)}
    return {
        position_of[number]: Rejection(DUPLICATE_AUDIO, f"{problem} {remedy}")
        for number, problem, remedy in zip(
            errors["row"], errors["problem"], errors["remedy"], strict=True
        )
    }


def _standing(
    row: Row, check: Check | None, history: Sequence[Attempt], duplicate: Rejection | None
) -> Standing:
    runs = sum(attempt.model_run_id is not None for attempt in history)
    attempt = governing_attempt(row.digest or "", history)
    is_mine = attempt is not None and attempt.request_digest == row.digest
    if attempt is not None and (is_mine or duplicate is None):
        return _from_attempt(row, attempt, runs)
    rejection = row.rejection or duplicate
    if rejection is not None:
        return Standing(
            Outcome.INVALID,
            runs=runs,
            error_code=rejection.error_code,
            error_reason=rejection.error_reason,
        )
    if history and outcome_of(history[-1]) is Outcome.INVALID:
        return _from_attempt(row, history[-1], runs)
    if check is not None and check.predicted_error_code in {UNREADABLE, WITHDRAWN}:
        return Standing(
            Outcome.INVALID,
            runs=runs,
            error_code=check.predicted_error_code,
            error_reason=check.reason,
        )
    if check is not None and check.verdict is Verdict.FAIL:
        return Standing(
            Outcome.SKIPPED,
            runs=runs,
            error_code=check.predicted_error_code,
            error_reason=f"Not sent. {check.reason}",
        )
    # Why its last run was given up, where one was.
    last = history[-1] if history else None
    return Standing(
        Outcome.PENDING,
        runs=runs,
        error_code=last.error_code if last else None,
        error_reason=last.error_reason if last else None,
    )


def _from_attempt(row: Row, attempt: Attempt, runs: int) -> Standing:
    code, reason = attempt.error_code, attempt.error_reason
    wanted = row.request if attempt.request_digest != row.digest else None
    if attempt.request_digest != row.digest and row.digest is None and row.rejection is not None:
        # What was paid for stays; that the row cannot be sent any more is said beside it.
        code = row.rejection.error_code
        reason = f"{row.rejection.error_reason} The row was sent before it was changed."
    if wanted is not None:
        changes = RunRequest.from_record(attempt.request).describe_difference(wanted)
        code = code or METADATA_CHANGED
        reason = " ".join(
            filter(None, [reason, f"Since it was sent, the manifest has changed: {changes}."])
        )
    return Standing(outcome_of(attempt), attempt, runs, code, reason)
