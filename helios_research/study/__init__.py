"""A study: one folder that holds a cohort, the ledger of what was done, and the results."""

from helios_research.study.reader import COHORT_FILE, RESULTS_FILE, Plan
from helios_research.study.study import Study
from helios_research.study.withdrawal import Withdrawal

__all__ = ["COHORT_FILE", "RESULTS_FILE", "Plan", "Study", "Withdrawal"]
