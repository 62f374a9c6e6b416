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
from helios_research.codes import DUPLICATE_AUDIO
from helios_research.columns import Outcome
from helios_research.ledger import Attempt
from helios_research.submission.asks import Job, Rejection, Row
from helios_research.submission.standing import Next, Rules, Standing, judge

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
    """What can be said of all recordings at once, before any of them is checked."""

    hashes: Mapping[str, str] = field(default_factory=dict)
    conflicts: Collection[int] = ()
    outdated: Collection[int] = ()


@dataclass(slots=True)
class Intake:
    """Goes through the rows of a cohort."""

    rows: Sequence[Row]
    standings: Sequence[Standing]
    history: Callable[[str], Sequence[Attempt]]
    check: Callable[[str], Awaitable[Check]]
    survey: Callable[[], Awaitable[Survey]]
    rules: Rules
    _claims: dict[str, str] = field(default_factory=dict)
    _surveyed: Survey = field(default_factory=Survey)

    async def items(self) -> AsyncIterator[Taken | Ended]:
        """Yield what is to be done, row by row."""
        self._claim_what_was_sent()
        for row, standing, attempt in self._under_way():
            yield Taken(_job_of(row, attempt), standing.outcome)
        self._surveyed = await self.survey()
        async for row, standing, check in self._checked_ahead():
            item = self._decide(row, standing, check)
            if item is not None:
                yield item

    def _claim_what_was_sent(self) -> None:
        """Keep audio that was sent for one row from being sent for another."""
        for row, standing in zip(self.rows, self.standings, strict=True):
            # What changed while it was being sent never was.
            if standing.sha256 is not None and standing.outcome is not Outcome.INVALID:
                self._claims.setdefault(standing.sha256, row.digest or "")

    def _under_way(self) -> list[tuple[Row, Standing, Attempt]]:
        found = [
            (row, standing, attempt)
            for row, standing in zip(self.rows, self.standings, strict=True)
            if standing.next is Next.GO_ON
            for attempt in self.history(standing.sha256 or "")
            if attempt.attempt_id == standing.attempt_id
        ]
        # What Helios deletes is gone 12 hours after completion, so it is asked for first.
        return sorted(found, key=lambda item: not item[2].delete_data)

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

    def _others(self) -> Iterator[tuple[Row, Standing]]:
        """Give the rows whose recordings have to be looked at.

        Of those that cannot be sent, it is those whose audio keeps another row from being sent, or
        no longer does: the results have to know of it, too.
        """
        looked_at = {*self._surveyed.conflicts, *self._surveyed.outdated}
        for row, standing in zip(self.rows, self.standings, strict=True):
            counts = row.rejection is None or row.position in looked_at
            if row.location and counts and not self._is_settled(row, standing):
                yield row, standing

    def _is_settled(self, row: Row, standing: Standing) -> bool:
        """Tell without another look at the recording that nothing is left to begin for it."""
        if standing.next is Next.GO_ON:
            return True
        if standing.next is Next.SEND or standing.sha256 is None:
            return False
        return self._surveyed.hashes.get(row.location or "") == standing.sha256

    async def _checked(self, row: Row) -> Check:
        return await self.check(row.location or "")

    def _decide(self, row: Row, standing: Standing, check: Check) -> Taken | Ended | None:
        if check.sha256 is None:
            return self._without_file(row, standing)
        attempts = self.history(check.sha256)
        seen = judge(row, check, attempts, self._conflict(row, check.sha256), self.rules)
        if seen.next is Next.NOTHING:
            return Ended(seen.outcome, standing.outcome)
        job = Job(row, check.sha256, check.size_bytes or 0, check.media_type, check.duration_s)
        return Taken(job, standing.outcome)

    def _without_file(self, row: Row, standing: Standing) -> Taken | Ended | None:
        """How a run ended stays, though its file is gone; one that waits for the file will say."""
        for attempt in self.history(standing.sha256 or ""):
            if attempt.attempt_id == standing.attempt_id and not attempt.state.is_final:
                return Taken(_job_of(row, attempt), standing.outcome)
        return None if standing.sha256 else Ended(Outcome.INVALID, standing.outcome)

    def _conflict(self, row: Row, sha256: str) -> Rejection | None:
        """Keep the same audio from being sent for two rows that say different things of it."""
        is_claimed = self._claims.setdefault(sha256, row.digest or "") != row.digest
        if is_claimed or row.position in self._surveyed.conflicts:
            return Rejection(DUPLICATE_AUDIO, "The same audio stands in another row.")
        return None


def _job_of(row: Row, attempt: Attempt) -> Job:
    media_type = None if attempt.media_type == FALLBACK_MEDIA_TYPE else attempt.media_type
    return Job(row, attempt.sha256, attempt.size_bytes, media_type, attempt.duration_s)
