"""The SQLite ledger of a study: what was done, what was answered, and what may be done next."""

from helios_research.ledger.reader import LedgerReader
from helios_research.ledger.records import (
    Attempt,
    Changes,
    NewAttempt,
    Removal,
    Setting,
    State,
    Transition,
    Withdrawn,
    invitation_to,
    is_invitation,
)
from helios_research.ledger.store import Ledger

__all__ = [
    "Attempt",
    "Changes",
    "Ledger",
    "LedgerReader",
    "NewAttempt",
    "Removal",
    "Setting",
    "State",
    "Transition",
    "Withdrawn",
    "invitation_to",
    "is_invitation",
]
