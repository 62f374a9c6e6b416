"""What Helios will say of each recording, found out before anything is sent.

``overview`` is loaded when it is first used: it needs pandas, which every process that checks
recordings would otherwise load too, in half a second and 50 MB each.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from helios_research.preflight_checks.check import (
    UNREADABLE,
    Check,
    CheckCache,
    MemoryCache,
    check_recording,
    rules_key,
    unchecked,
)
from helios_research.preflight_checks.pool import CheckPool
from helios_research.preflight_checks.rules import (
    ACCEPTED_FORMATS,
    DEFAULT_THRESHOLDS,
    Judgement,
    Thresholds,
    judge,
)
from helios_research.preflight_checks.table import check_table, preflight, write_checks

if TYPE_CHECKING:
    from helios_research.preflight_checks.summary import Overview, OverviewLimits, overview


__all__ = [
    "ACCEPTED_FORMATS",
    "DEFAULT_THRESHOLDS",
    "UNREADABLE",
    "Check",
    "CheckCache",
    "CheckPool",
    "Judgement",
    "MemoryCache",
    "Overview",
    "OverviewLimits",
    "Thresholds",
    "check_recording",
    "check_table",
    "judge",
    "overview",
    "preflight",
    "rules_key",
    "unchecked",
    "write_checks",
]

_NEED_PANDAS = frozenset({"Overview", "OverviewLimits", "overview"})


def __getattr__(name: str) -> Any:
    if name not in _NEED_PANDAS:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module("helios_research.preflight_checks.summary"), name)
    globals()[name] = value
    return value
