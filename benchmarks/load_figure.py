"""Draw what ``benchmarks/load.py study`` saw: memory, open files and the ledger over a large study.

Run ``python benchmarks/load_figure.py``: reads ``figures/study.csv``, writes ``figures/study.png``.
"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

FIGURES = Path(__file__).parent / "figures"
# Column, what it is, and the colour of its line, which can be distinguished in grey too.
PANELS = (
    ("scored", "Scored", "#1b4965"),
    ("memory_mb", "Memory (MB)", "#a63c06"),
    ("open_files", "Open files", "#5f0f40"),
    ("ledger_mb", "Ledger on disk (MB)", "#31572c"),
)


def draw(samples: pd.DataFrame) -> Figure:
    """Draw each quantity over time, one under the other."""
    figure = Figure(figsize=(7.5, 8.0), layout="constrained", dpi=120)
    rows = figure.subplots(len(PANELS), sharex=True)
    minutes = samples["seconds"] / 60
    for axes, (column, label, colour) in zip(rows, PANELS, strict=True):
        axes.plot(minutes, samples[column], color=colour)
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.yaxis.set_major_formatter("{x:,.0f}")
    rows[-1].set_xlabel("Time since the submission began (minutes)")
    rows[0].set_xlim(left=0)
    rows[0].set_title(f"A study of {samples['scored'].max():,} recordings against a fast sandbox")
    figure.align_ylabels()
    return figure


if __name__ == "__main__":
    draw(pd.read_csv(FIGURES / "study.csv")).savefig(FIGURES / "study.png")
