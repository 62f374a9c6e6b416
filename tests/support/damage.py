"""Damage to a ledger as a failing disk does it: behind the back of the database."""

import sqlite3
from contextlib import closing
from pathlib import Path


def damage(database: Path, statement: str, *values: object) -> None:
    """Change rows of a ledger, and leave their checksums as they are."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        triggers = connection.execute(query).fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement, values)
        for _, sql in triggers:
            connection.execute(sql)
