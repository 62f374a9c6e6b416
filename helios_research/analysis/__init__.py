"""From results to findings: every function takes the results and gives a tidy table."""

from helios_research.analysis.bootstrap import Bootstrap
from helios_research.analysis.comparisons import Comparison, compare_by_tag
from helios_research.analysis.summaries import summarize_by_tag

__all__ = ["Bootstrap", "Comparison", "compare_by_tag", "summarize_by_tag"]
