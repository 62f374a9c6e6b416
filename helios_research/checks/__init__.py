"""What Helios will say of each recording, found out before anything is sent."""

from helios_research.checks.cache import CheckCache, MemoryCache
from helios_research.checks.check import (
    UNREADABLE,
    Check,
    check_recording,
    rules_key,
    unchecked,
)
from helios_research.checks.pool import CheckPool
from helios_research.checks.table import check_table, preflight
from helios_research.checks.thresholds import ACCEPTED_FORMATS, DEFAULT_THRESHOLDS, Thresholds
from helios_research.checks.verdict import Judgement, judge

__all__ = [
    "ACCEPTED_FORMATS",
    "DEFAULT_THRESHOLDS",
    "UNREADABLE",
    "Check",
    "CheckCache",
    "CheckPool",
    "Judgement",
    "MemoryCache",
    "Thresholds",
    "check_recording",
    "check_table",
    "judge",
    "preflight",
    "rules_key",
    "unchecked",
]
