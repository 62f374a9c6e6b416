"""Reading what earlier checks found out about recordings."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic_core import from_json

from helios_research.ledger.connection import ROWS_IN_A_BLOCK, Connected
from helios_research.ledger.damage import making_sense
from helios_research.ledger.storage import storage_errors


class CheckReader(Connected):
    """The part of a ledger that knows recordings by their locations.

    Opened with the path of the ledger's file.
    """

    def cached_checks(self, settings: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Read what earlier checks found out about recordings, in constant memory."""
        for place, stamp, facts in self._checks(settings, "facts"):
            yield place, stamp, self._read(facts)

    def cached_fact(self, settings: str, path: str) -> Iterator[tuple[str, str, Any]]:
        """Read one of the facts about each recording, in constant memory and without the rest."""
        return self._checks(settings, "facts ->> ?", path)

    def checks_at(
        self, settings: str, locations: Iterable[str]
    ) -> dict[str, tuple[str, dict[str, Any]]]:
        """Read what earlier checks found out about some recordings."""
        found = self._checks_at(settings, "facts", locations)
        # Once around all of them: around each it would take as long as reading them.
        with storage_errors(self._path), making_sense():
            return {place: (stamp, from_json(facts)) for place, stamp, facts in found}

    def fact_at(self, settings: str, path: str, locations: Iterable[str]) -> dict[str, Any]:
        """Read one of the facts about some recordings, without the rest."""
        found = self._checks_at(settings, "facts ->> ?", locations, path)
        return {place: fact for place, _, fact in found}

    def _read(self, facts: str) -> dict[str, Any]:
        with storage_errors(self._path), making_sense():
            found: dict[str, Any] = from_json(facts)
            return found

    def _checks_at(
        self, settings: str, what: str, locations: Iterable[str], *values: str
    ) -> Iterator[tuple[str, str, Any]]:
        places = [os.fsencode(location) for location in locations]
        for first in range(0, len(places), ROWS_IN_A_BLOCK):
            block = places[first : first + ROWS_IN_A_BLOCK]
            marks = ",".join("?" * len(block))
            query = (
                f"SELECT location, stamp, {what} FROM checks "  # noqa: S608 - words of ours
                f"WHERE settings = ? AND location IN ({marks})"
            )
            with self._connected() as connection:
                rows = connection.execute(query, (*values, settings, *block)).fetchall()
            for place, stamp, value in rows:
                yield os.fsdecode(place), stamp, value

    def _checks(self, settings: str, what: str, *values: str) -> Iterator[tuple[str, str, Any]]:
        last = b""
        query = (
            f"SELECT location, stamp, {what} FROM checks WHERE settings = ? AND location > ? "  # noqa: S608 - words of ours
            "ORDER BY location LIMIT ?"
        )
        while True:
            with self._connected() as connection:
                rows = connection.execute(
                    query, (*values, settings, last, ROWS_IN_A_BLOCK)
                ).fetchall()
            if not rows:
                return
            for place, stamp, value in rows:
                yield os.fsdecode(place), stamp, value
            last = rows[-1][0]
