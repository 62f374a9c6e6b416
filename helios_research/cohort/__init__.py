"""Cohorts: tables of recordings, read as they are and checked before anything is sent."""

from helios_research.cohort.issues import CohortIssues
from helios_research.cohort.table import (
    Cohort,
    Table,
    cohort_of,
    duplicate_audio_issues,
    read_cohort,
)

__all__ = ["Cohort", "CohortIssues", "Table", "cohort_of", "duplicate_audio_issues", "read_cohort"]
