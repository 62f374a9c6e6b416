"""A connection to a ledger that several threads may read through."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from helios_research.ledger.storage import connect_reader, storage_errors

ROWS_IN_A_BLOCK = 2_000
"""Enough to make reading one block cheap against parsing it, and little enough to hold in memory."""


class Connected:
    """A ledger that is open for reading; its methods are those of `LedgerReader`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = Lock()
        self._is_closed = False
        with storage_errors(path):
            self._connection = connect_reader(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """The study folder, with links resolved."""
        return self._path.parent

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        with self._reading:
            self._is_closed = True
            self._connection.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._reading, storage_errors(self._path):
            if self._is_closed:
                raise ValueError(f"The ledger {self._path} is closed: open the study again.")
            yield self._connection
