"""What each recording is, found out once and remembered in the study's ledger."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from helios_research.checks import Check, CheckPool
from helios_research.checks.check import identified
from helios_research.columns import Verdict
from helios_research.errors import RecordingUnavailableError
from helios_research.ledger import Ledger, LedgerReader
from helios_research.recording import is_remote, stamp_of
from helios_research.submission.withholding import unless_withdrawn

# One entry per location: what was last seen there, by whatever rules.
_LATEST = "latest"
_SHA256 = "$.check.sha256"
_IDENTITY_ONLY = "identity"
_IDENTIFYING_THREADS = 4


class LedgerCache:
    """Keeps checks in a study's ledger, so that a second check is instant."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._withdrawn = ledger.withdrawn()

    def load(self, rules: str) -> dict[str, Check]:
        """Read all checks that were made by certain rules."""
        found = (
            (location, _check_in(facts))
            for location, _, facts in self._ledger.cached_checks(_LATEST)
            if facts.get("rules") == rules
        )
        return {location: check for location, check in found if check is not None}

    def store(self, rules: str, checks: Mapping[str, Check]) -> None:
        """Keep checks in place of what was known of the same locations.

        Blocks until they are on the disk.
        """
        self._ledger.store_checks(
            _LATEST,
            (
                (location, str(check.stamp), {"rules": rules, "check": check.to_dict()})
                for location, found in checks.items()
                for check in [unless_withdrawn(found, self._withdrawn)]
            ),
        )


class Inspector:
    """Tells what a recording is, from memory where nothing was written to it since."""

    def __init__(self, ledger: Ledger, *, preflight: bool) -> None:
        self._ledger = ledger
        self._cache = LedgerCache(ledger)
        self._withdrawn = ledger.withdrawn()
        self._pool = CheckPool(cache=self._cache, store_every=1) if preflight else None
        self._threads = ThreadPoolExecutor(_IDENTIFYING_THREADS, "helios-identify")

    async def check(self, location: str) -> Check:
        """Find out what a recording is, and write it down."""
        return unless_withdrawn(await self._found(location), self._withdrawn)

    async def _found(self, location: str) -> Check:
        loop = asyncio.get_running_loop()
        if self._pool is None:
            return await loop.run_in_executor(self._threads, self._identified, location)
        check = await asyncio.wrap_future(self._pool.check(location))
        if check.can_be_recalled:
            return check
        if check.sha256 is None:
            check = await asyncio.wrap_future(self._pool.identify(location, check))
        return await loop.run_in_executor(self._threads, self._noted, location, check)

    def known_hashes(self) -> dict[str, str]:
        """Give the SHA-256 of local recordings to which nothing was written since."""
        return {
            location: sha256
            for location, stamp, sha256 in self._ledger.cached_fact(_LATEST, _SHA256)
            if sha256 and _is_unchanged(location, stamp)
        }

    async def close(self) -> None:
        """End the processes and threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._pool is not None:
            await asyncio.to_thread(self._pool.close, abandon=True)

    def _identified(self, location: str) -> Check:
        known = self._seen(location)
        if known and _is_unchanged(location, str(known.stamp)):
            return known
        return self._noted(location, identified(location, Check(Verdict.OK, None, "")))

    def _noted(self, location: str, check: Check) -> Check:
        """Write down what the pool does not."""
        # Of a recording that was sent and is gone now, what was seen of it stays: its scores are
        # found by that.
        if check.sha256 is not None or not self._was_sent(location):
            self._cache.store(_IDENTITY_ONLY, {location: check})
        return check

    def _was_sent(self, location: str) -> bool:
        known = self._seen(location)
        return known is not None and bool(self._ledger.attempts_of(known.sha256 or ""))

    def _seen(self, location: str) -> Check | None:
        return seen_at(self._ledger, [location]).get(location)


def seen_at(ledger: LedgerReader, locations: Iterable[str]) -> dict[str, Check]:
    """Read what was last seen of some recordings."""
    found = ledger.checks_at(_LATEST, locations)
    checks = ((location, _check_in(facts)) for location, (_, facts) in found.items())
    return {location: check for location, check in checks if check is not None}


def _check_in(facts: Mapping[str, Any]) -> Check | None:
    """Read a check; None where another version or damage has left none that this one can use."""
    try:
        return Check.from_dict(facts["check"])
    except (LookupError, TypeError, ValueError):
        return None


def hashes_seen(ledger: LedgerReader, locations: Sequence[str | None]) -> list[str | None]:
    """Read the identity of some recordings as they were last seen."""
    found = ledger.fact_at(_LATEST, _SHA256, filter(None, locations))
    return [found.get(location or "") for location in locations]


def all_hashes(ledger: LedgerReader) -> dict[str, str | None]:
    """Read the identity of all recordings at which anybody has looked."""
    return {location: sha256 for location, _, sha256 in ledger.cached_fact(_LATEST, _SHA256)}


def _is_unchanged(location: str, stamp: str) -> bool:
    """Compare the cheap identity of a local recording; a remote one's would cost a request."""
    if is_remote(location):
        return False
    try:
        return stamp == str(stamp_of(location))
    except RecordingUnavailableError:
        return False
