"""One HTML file about a study that can be mailed, read on a phone and printed."""

from helios_research.report.writing import write_report

__all__ = ["write_report"]
