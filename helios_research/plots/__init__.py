"""From results to figures: every function takes the results and returns matplotlib Axes.

Each figure says how many recordings and participants are in it and why others are not, and that
scores are synthetic where they are. Sizes come from a style: ``COLUMN`` and ``PAGE`` for one and
both columns of a paper, ``SLIDE`` for a slide.
"""

from helios_research.plots.by_tag import scores_by_tag
from helios_research.plots.correlations import biomarker_correlations
from helios_research.plots.flow import flow_diagram
from helios_research.plots.looks import COLUMN, PAGE, SLIDE, Style
from helios_research.plots.over_time import score_over_time, scores_by_hours_awake
from helios_research.plots.rows import outcomes_by_tag

__all__ = [
    "COLUMN",
    "PAGE",
    "SLIDE",
    "Style",
    "biomarker_correlations",
    "flow_diagram",
    "outcomes_by_tag",
    "score_over_time",
    "scores_by_hours_awake",
    "scores_by_tag",
]
