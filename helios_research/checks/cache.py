"""Checks that were made before, so that a second check is instant."""

from collections.abc import Mapping
from typing import Protocol

from helios_research.checks.check import Check


class CheckCache(Protocol):
    """Where checks are kept between sessions; a study keeps them in its ledger.

    ``rules`` is a key that changes with the thresholds, with ``full_speech`` and with the versions
    of this package that measure otherwise. Whether a kept check still holds is decided by those
    who load it, from its stamp and its hash.
    """

    def load(self, rules: str) -> Mapping[str, Check]:
        """Load all checks that were made by these rules."""

    def store(self, rules: str, checks: Mapping[str, Check]) -> None:
        """Keep checks, in place of what was kept for the same locations and rules.

        It may be called from any thread, but only from one at a time.
        """


class MemoryCache:
    """Keeps checks for as long as the process lives, for work without a study."""

    def __init__(self) -> None:
        self._checks: dict[str, dict[str, Check]] = {}

    def load(self, rules: str) -> dict[str, Check]:
        """Load all checks that were made by these rules."""
        return dict(self._checks.get(rules, {}))

    def store(self, rules: str, checks: Mapping[str, Check]) -> None:
        """Keep checks, in place of what was kept for the same locations and rules."""
        self._checks.setdefault(rules, {}).update(checks)
