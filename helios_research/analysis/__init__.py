"""From results to findings: every function takes the results and gives a tidy table.

``attrs["method"]`` of each table describes what was done, ``attrs["warnings"]`` what to be careful
about, ``attrs["sources"]`` where scores come from, and ``attrs["source_note"]`` states where they
are synthetic.
"""

from helios_research.analysis.agreement import agreement, reliability
from helios_research.analysis.attrition import attrition
from helios_research.analysis.baseline import baseline
from helios_research.analysis.change import compare_change
from helios_research.analysis.comparisons import compare_by_tag
from helios_research.analysis.flow import exclude, flow
from helios_research.analysis.frames import model_frame
from helios_research.analysis.missingness import missingness_by_tag
from helios_research.analysis.summaries import summarize_by_tag
from helios_research.analysis.table_one import format_table_one, table_one

__all__ = [
    "agreement",
    "attrition",
    "baseline",
    "compare_by_tag",
    "compare_change",
    "exclude",
    "flow",
    "format_table_one",
    "missingness_by_tag",
    "model_frame",
    "reliability",
    "summarize_by_tag",
    "table_one",
]
