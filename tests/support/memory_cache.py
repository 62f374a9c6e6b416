"""Checks kept for as long as the process lives, where there is no study to keep them."""

from collections.abc import Mapping

from helios_research.preflight_checks.check import Check


class MemoryCache:
    """A cache of checks in a dictionary."""

    def __init__(self) -> None:
        self._checks: dict[str, dict[str, Check]] = {}

    def load(self, rules: str) -> dict[str, Check]:
        """Load all checks that were made by these rules."""
        return dict(self._checks.get(rules, {}))

    def store(self, rules: str, checks: Mapping[str, Check]) -> None:
        """Keep checks, in place of those of the same locations and rules."""
        self._checks.setdefault(rules, {}).update(checks)
