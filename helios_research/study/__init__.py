"""A study: one folder that holds a cohort, the ledger of what was done, and the results."""

from helios_research.study.reader import COHORT_FILE, RESULTS_FILE, Plan
from helios_research.study.study import Study

__all__ = ["COHORT_FILE", "RESULTS_FILE", "Plan", "Study"]
