"""Voice biomarker scores for whole cohorts, from a table of recordings to findings.

The public names are loaded when they are first used, so that ``import helios_research`` costs
next to nothing and loads no plotting, widget, audio or HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from helios_research._version import __version__

if TYPE_CHECKING:
    from helios_research.api.client import Client
    from helios_research.cohort import Cohort, read_cohort
    from helios_research.preflight_checks.rules import Thresholds
    from helios_research.preflight_checks.table import preflight
    from helios_research.pseudonyms import pseudonymize
    from helios_research.sandbox import Sandbox
    from helios_research.study import Study

__all__ = [
    "Client",
    "Cohort",
    "Sandbox",
    "Study",
    "Thresholds",
    "__version__",
    "analysis",
    "plots",
    "preflight",
    "pseudonymize",
    "read_cohort",
    "widgets",
]

_HOMES = {
    "Client": "helios_research.api.client",
    "Cohort": "helios_research.cohort",
    "Sandbox": "helios_research.sandbox",
    "Study": "helios_research.study",
    "Thresholds": "helios_research.preflight_checks",
    "preflight": "helios_research.preflight_checks",
    "pseudonymize": "helios_research.pseudonyms",
    "read_cohort": "helios_research.cohort",
}
_MODULES = frozenset({"analysis", "plots", "widgets"})


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = import_module(f"helios_research.{name}")
    else:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
