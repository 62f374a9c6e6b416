"""What a monitor shows, as HTML: the bar, the numbers and the errors."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

import pandas as pd

from helios_research.codes import explain
from helios_research.columns import OUTCOME_LABELS, Outcome
from helios_research.state.status import Progress, duration
from helios_research.widgets.base.table import table_html
from helios_research.widgets.monitor.poller import ErrorGroup

# Okabe and Ito's palette, which people with colour blindness can tell apart; every colour stands
# beside its word.
_COLOURS = {
    Outcome.SCORED: "#009e73",
    Outcome.FAILED: "#d55e00",
    Outcome.REJECTED: "#cc79a7",
    Outcome.INVALID: "#e69f00",
    Outcome.SKIPPED: "#56b4e9",
    Outcome.LOST: "#0072b2",
    Outcome.PENDING: "transparent",
}

MONITOR_STYLE = """
<style>
.helios-bar { display: flex; height: 1.1em; margin: 0.4em 0; border: 1px solid var(--helios-muted);
  border-radius: 3px; overflow: hidden; background: var(--helios-shade); }
.helios-bar span { display: block; height: 100%; transition: width 0.2s linear; }
.helios-tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5em, 1fr));
  gap: 0.2em 1em; margin: 0.4em 0; padding: 0; font-variant-numeric: tabular-nums; }
.helios-tiles.helios-facts { grid-template-columns: repeat(auto-fill, minmax(13em, 1fr)); }
.helios-tiles > div { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.helios-tiles > div > b { font-weight: 600; }
.helios-swatch { display: inline-block; width: 0.75em; height: 0.75em; margin-right: 0.35em;
  border: 1px solid var(--helios-muted); border-radius: 2px; vertical-align: -0.05em; }
.helios-steady { height: 15em; }
.helios-news { display: flex; flex-flow: row wrap; gap: 0 1em; margin: 0.4em 0; }
.helios-late { visibility: hidden; color: var(--helios-error); font-weight: 600;
  animation: helios-late 1ms linear 15s forwards; }
.helios-late.helios-patient { animation-delay: 45s; }
@keyframes helios-late { to { visibility: visible; } }
</style>
"""

_NOT_KNOWN = "—"


def progress_html(progress: Progress, *, still: bool = False) -> str:
    """Draw the bar and the numbers."""
    facts = "" if still else _tiles(_facts(progress), "helios-tiles helios-facts")
    return f"{_bar(progress)}{_outcome_tiles(progress)}{facts}"


def news_html(moment: datetime, *, patient: bool) -> str:
    """Say of which moment the numbers are, and warn by itself when no later ones come.

    The warning is shown by the page after a while, with no word from the kernel, since it is for
    those whose kernel is gone; every piece of news replaces it before that.
    """
    late = "helios-late helios-patient" if patient else "helios-late"
    return (
        f'<div class="helios-news"><span class="helios-muted">As of {moment:%H:%M:%S} UTC</span>'
        f'<span class="{late}">No news since: the kernel behind this is busy or gone.</span></div>'
    )


def _bar(progress: Progress) -> str:
    total = max(1, progress.total)
    parts = "".join(
        f'<span style="width: {100 * count / total:.3f}%; background: {_COLOURS[outcome]}"></span>'
        for outcome, count in _counts(progress)
        if outcome is not Outcome.PENDING
    )
    words = f"{progress.done:,} of {progress.total:,} done"
    return (
        f'<div class="helios-bar" role="progressbar" aria-label="Recordings done" '
        f'aria-valuemin="0" aria-valuemax="{progress.total}" aria-valuenow="{progress.done}" '
        f'aria-valuetext="{words}" title="{words}">{parts}</div>'
    )


def _outcome_tiles(progress: Progress) -> str:
    tiles = [
        (
            f'<span class="helios-swatch" style="background: {_COLOURS[outcome]}" '
            f'aria-hidden="true"></span>{outcome}',
            f"{count:,}",
            str(OUTCOME_LABELS[outcome]),
        )
        for outcome, count in _counts(progress)
    ]
    return _tiles(tiles, "helios-tiles")


def _counts(progress: Progress) -> list[tuple[Outcome, int]]:
    return [(outcome, progress.outcomes.get(outcome, 0)) for outcome in Outcome]


def _facts(progress: Progress) -> list[tuple[str, str, str]]:
    share = f" ({progress.done / progress.total:.0%})" if progress.total else ""
    speed, rate = progress.per_minute, progress.rate
    facts = {
        "Done": f"{progress.done:,} of {progress.total:,}{share}",
        "Under way": f"{progress.in_flight:,}" if progress.in_flight else _NOT_KNOWN,
        "Speed": _NOT_KNOWN if speed is None else f"{speed:,.0f} a minute",
        **_time(progress),
        "Request rate": _NOT_KNOWN if rate is None else f"{rate:.3g} a second",
        "Limited by": progress.limited_by or _NOT_KNOWN,
    }
    return [(name, escape(value), f"{name}: {value}") for name, value in facts.items()]


def _time(progress: Progress) -> dict[str, str]:
    if progress.is_over:
        return {"Took": duration(progress.elapsed_s)}
    left = progress.remaining_s
    is_known = left is not None and progress.done < progress.total
    return {"Time left": f"about {duration(left or 0)}" if is_known else _NOT_KNOWN}


def _tiles(tiles: Iterable[tuple[str, str, str]], classes: str) -> str:
    drawn = "".join(
        f'<div role="listitem" title="{escape(title)}">'
        f'<span class="helios-muted">{name}</span> <b>{value}</b></div>'
        for name, value, title in tiles
    )
    # Not <dl>: JupyterLab has rules of its own for it.
    return f'<div class="{classes}" role="list">{drawn}</div>'


def errors_html(groups: Sequence[ErrorGroup], *, steady: bool = False, still: bool = False) -> str:
    """Draw the errors, each with what to do about it."""
    table = '<p class="helios-muted">No errors.</p>'
    if groups:
        explained = [(group, explain(group.code)) for group in groups]
        rows = pd.DataFrame(
            {
                "Error": [group.code for group in groups],
                "Recordings": [f"{group.count:,}" for group in groups],
                "What it means": [explanation.meaning for _, explanation in explained],
                "What to do": [explanation.remedy for _, explanation in explained],
                "The latest": [group.reason for group in groups],
            }
        )
        if still:
            rows = rows.drop(columns="The latest")
        table = table_html(rows, caption="Errors by code", wrapped=True)
    classes = "helios-scroll helios-steady" if steady else "helios-scroll"
    return (
        f'<div class="{classes}" tabindex="0" role="region" aria-label="Errors by code">'
        f"{table}</div>"
    )
