"""The SQLite ledger of a study: what was done, what was answered, and what may be done next."""

from helios_research.ledger.attempts import Attempt, Changes, NewAttempt, Setting, State, Transition
from helios_research.ledger.reader import LedgerReader
from helios_research.ledger.store import Ledger
from helios_research.ledger.withdrawals import Removal, Withdrawn

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
]
