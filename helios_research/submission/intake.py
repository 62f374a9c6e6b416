"""Which recordings are taken up, in which order, each with its bytes identified and checked.

Checks run ahead of the uploads, so that the preflight never holds a submission up.
"""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from itertools import islice

from helios_research.api.uploads import FALLBACK_MEDIA_TYPE
from helios_research.checks import Check
from helios_research.codes import HeliosCode
from helios_research.columns import Outcome, Verdict
from helios_research.ledger import Attempt, State
from helios_research.submission.asks import Job, Row
from helios_research.submission.standing import Standing

AHEAD = 64
"""Recordings that are checked before their turn: enough to keep every core busy."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A recording to be taken up, and how its row stood until now."""

    job: Job
    before: Outcome


@dataclass(frozen=True, slots=True)
class Ended:
    """A row that comes to its end without being sent, and how it stood until now."""

    outcome: Outcome
    before: Outcome


@dataclass(frozen=True, slots=True)
class Survey:
    """What can be said of all recordings at once, before any of them is checked.

    Attributes
    ----------
    hashes
        SHA-256 by location, of recordings to which nothing was written since they were last read.
    conflicts
        Positions of rows whose audio also stands in another row with other metadata.
    """

    hashes: Mapping[str, str] = field(default_factory=dict)
    conflicts: Collection[int] = ()


@dataclass(slots=True)
class Intake:
    """Goes through the rows of a cohort.

    Attributes
    ----------
    rows, standings
        The rows, and how things stand with each.
    check
        Finds out what a recording is; from memory, where nothing was written to it since.
    survey
        Looks at all recordings at once.
    preflight
        Whether recordings that Helios would refuse are left out.
    resend_changed
        Whether recordings whose metadata changed are taken up again.
    """

    rows: Sequence[Row]
    standings: Sequence[Standing]
    check: Callable[[str], Awaitable[Check]]
    survey: Callable[[], Awaitable[Survey]]
    preflight: bool
    resend_changed: bool
    _claims: dict[str, str] = field(default_factory=dict)
    _surveyed: Survey = field(default_factory=Survey)

    async def items(self) -> AsyncIterator[Taken | Ended]:
        """Yield what is to be done, row by row.

        Yields
        ------
        Taken or Ended
            First the runs that are under way, those that Helios will delete before all others;
            then the rest in the cohort's order.
        """
        self._claim_what_was_sent()
        for standing, row in self._under_way():
            if standing.attempt is not None:
                yield Taken(_job_of(row, standing.attempt), standing.outcome)
        self._surveyed = await self.survey()
        async for row, standing, check in self._checked_ahead():
            item = self._decide(row, standing, check)
            if item is not None:
                yield item

    def _claim_what_was_sent(self) -> None:
        """Keep audio that was sent for one row from being sent for another."""
        for row, standing in zip(self.rows, self.standings, strict=True):
            attempt = standing.attempt
            if attempt is not None and attempt.state is not State.ABANDONED:
                self._claims.setdefault(attempt.sha256, row.digest or "")

    async def _checked_ahead(self) -> AsyncIterator[tuple[Row, Standing, Check]]:
        others = self._others()
        ahead: dict[asyncio.Task[Check], tuple[Row, Standing]] = {}
        try:
            while True:
                for row, standing in islice(others, AHEAD - len(ahead)):
                    ahead[asyncio.create_task(self._checked(row))] = row, standing
                if not ahead:
                    return
                # Whichever is ready goes first, so that one slow file holds up no other.
                ready, _ = await asyncio.wait(ahead, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in ahead if task in ready]:
                    row, standing = ahead.pop(task)
                    yield row, standing, task.result()
        finally:
            for task in ahead:
                task.cancel()

    def _under_way(self) -> list[tuple[Standing, Row]]:
        open_rows = [
            (standing, row)
            for row, standing in zip(self.rows, self.standings, strict=True)
            if _is_open(standing) and (row.digest is not None or _has_audio(standing))
        ]
        # What Helios deletes is gone 12 hours after completion, so it is asked for first.
        return sorted(
            open_rows, key=lambda pair: not (pair[0].attempt and pair[0].attempt.delete_data)
        )

    def _others(self) -> Iterator[tuple[Row, Standing]]:
        for row, standing in zip(self.rows, self.standings, strict=True):
            can_be_sent = row.rejection is None and row.location is not None
            if can_be_sent and not _is_open(standing) and not self._is_settled(row, standing):
                yield row, standing

    def _is_settled(self, row: Row, standing: Standing) -> bool:
        """Tell without another look at the recording that nothing is left to do for it."""
        attempt = standing.attempt
        if attempt is None or self._surveyed.hashes.get(row.location or "") != attempt.sha256:
            return False
        return not self._may_go_again(row, attempt)

    async def _checked(self, row: Row) -> Check:
        return await self.check(row.location or "")

    def _decide(self, row: Row, standing: Standing, check: Check) -> Taken | Ended | None:
        attempt = standing.attempt
        if attempt is not None and check.sha256 is None:
            # The file is gone; how its run ended stays.
            return None
        if attempt is not None and attempt.sha256 == check.sha256:
            again = self._may_go_again(row, attempt)
            return Taken(_job_of(row, attempt), standing.outcome) if again else None
        if check.sha256 is None or row.position in self._surveyed.conflicts:
            return Ended(Outcome.INVALID, standing.outcome)
        if self._claims.setdefault(check.sha256, row.digest or "") != row.digest:
            return Ended(Outcome.INVALID, standing.outcome)
        if self.preflight and check.verdict is Verdict.FAIL:
            return Ended(Outcome.SKIPPED, standing.outcome)
        job = Job(row, check.sha256, check.size_bytes or 0, check.media_type, check.duration_s)
        return Taken(job, standing.outcome)

    def _may_go_again(self, row: Row, attempt: Attempt) -> bool:
        if self.resend_changed and attempt.request_digest != row.digest:
            return True
        # The planner knows how often a run was tried; this only asks it.
        return attempt.state is State.ABANDONED or (
            attempt.state is State.FAILED and attempt.error_code == HeliosCode.INTERNAL
        )


def _is_open(standing: Standing) -> bool:
    return standing.attempt is not None and not standing.attempt.state.is_final


def _has_audio(standing: Standing) -> bool:
    return standing.attempt is not None and standing.attempt.state is State.UPLOADED


def _job_of(row: Row, attempt: Attempt) -> Job:
    media_type = None if attempt.media_type == FALLBACK_MEDIA_TYPE else attempt.media_type
    return Job(row, attempt.sha256, attempt.size_bytes, media_type, attempt.duration_s)
