"""Voice biomarker scores for whole cohorts, from a table of recordings to findings.

The public names are loaded when they are first used, so that ``import helios_research`` costs
next to nothing and loads no plotting, widget, audio or HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from helios_research._version import __version__

if TYPE_CHECKING:
    from helios_research.api.client import Client
    from helios_research.codes import explain
    from helios_research.cohort import Cohort, read_cohort
    from helios_research.demo import demo_cohort
    from helios_research.preflight_checks.rules import Thresholds
    from helios_research.preflight_checks.table import preflight
    from helios_research.pseudonyms import pseudonymize
    from helios_research.report import write_report
    from helios_research.results import export, read_results
    from helios_research.sandbox import Sandbox
    from helios_research.study import Study
    from helios_research.submission import SubmitOptions

_HOMES = {
    "Client": "api.client",
    "Cohort": "cohort",
    "Sandbox": "sandbox",
    "Study": "study",
    "SubmitOptions": "submission",
    "Thresholds": "preflight_checks.rules",
    "demo_cohort": "demo",
    "explain": "codes",
    "export": "results",
    "preflight": "preflight_checks.table",
    "pseudonymize": "pseudonyms",
    "read_cohort": "cohort",
    "read_results": "results",
    "write_report": "report",
}
_MODULES = frozenset({"analysis", "columns", "errors", "plots", "widgets"})

__all__ = [
    "Client",
    "Cohort",
    "Sandbox",
    "Study",
    "SubmitOptions",
    "Thresholds",
    "__version__",
    "analysis",
    "columns",
    "demo_cohort",
    "errors",
    "explain",
    "export",
    "plots",
    "preflight",
    "pseudonymize",
    "read_cohort",
    "read_results",
    "widgets",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"helios_research.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = import_module(f"helios_research.{name}")
    else:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
