"""Widgets for notebooks: watch a submission, explore results, map a table's columns.

The names are loaded when they are first used, so that one widget does not load what another needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helios_research.widgets.explorer import Explorer
    from helios_research.widgets.mapper import CohortMapper
    from helios_research.widgets.monitor import SubmissionMonitor

__all__ = ["CohortMapper", "Explorer", "SubmissionMonitor"]

_HOMES = {"CohortMapper": "mapper", "Explorer": "explorer", "SubmissionMonitor": "monitor"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
