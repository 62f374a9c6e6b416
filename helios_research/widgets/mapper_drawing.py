"""What a mapper shows, as HTML: headings, one row's request, and why a row is not sent."""

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from helios_research.cohort import Cohort
from helios_research.widgets.table import table_html

# Issues and request stand beside each other where there is room, each in a place of its own
# height, so that nothing moves when they change.
MAPPER_STYLE = """
<style>
.helios-sample { line-height: 2em; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.helios-pair { display: flex; flex-flow: row wrap; gap: 0 1.5em; overflow: visible; }
.helios-pair > * { flex: 2 1 22em; min-width: 0; overflow: visible; }
.helios-pair > *:first-child { flex: 3 1 34em; }
.helios-pair .helios-scroll { height: 20em; border: 1px solid var(--helios-line);
  border-radius: 4px; box-sizing: border-box; }
.helios-pair .helios-scroll > p { margin: 0.5em 0.6em; }
.helios pre.helios-code { margin: 0; padding: 0.5em 0.8em; background: var(--helios-shade);
  color: var(--helios-ink); overflow: auto; user-select: all; }
.helios h2.helios-heading { margin: 0.9em 0 0.2em; border: 0; padding: 0; font-size: 1em;
  font-weight: 600; color: var(--helios-ink); }
</style>
"""


def heading_html(text: str) -> str:
    """Head a part of the mapper."""
    return f'<h2 class="helios-heading">{escape(text)}</h2>'


def verdict_html(cohort: Cohort, position: int) -> str:
    """Say whether a row would be sent, and why not."""
    if cohort.is_valid[position]:
        return '<p class="helios-status">This and the recording would be sent.</p>'
    # Reasons are worded for a whole cohort at a time.
    alone = cohort.without(np.arange(len(cohort)) != position)
    reason = alone.rejections()["error_reason"].iloc[0]
    return f'<p class="helios-status helios-failed">Not sent. {escape(str(reason))}</p>'


def sent_html(content: str) -> str:
    """Put what would be sent into its place."""
    return (
        '<div class="helios-scroll helios-sent" tabindex="0" role="region" '
        f'aria-label="What would be sent">{content}</div>'
    )


def request_html(request: Mapping[str, Any] | None) -> str:
    """Lay out a request's JSON."""
    if request is None:
        return ""
    rows = pd.DataFrame(_flat(request), columns=["Field", "Value"])
    return table_html(rows, caption="What would be sent")


def _flat(request: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Write a request's JSON as pairs: ``user.birthSex``, ``tags.arm``."""
    pairs: list[tuple[str, str]] = []
    for name, value in request.items():
        if isinstance(value, Mapping):
            pairs += [(f"{name}.{inner}", str(part)) for inner, part in value.items()]
        elif isinstance(value, list):
            pairs += [(f"{name}.{tag['name']}", str(tag["value"])) for tag in value]
        else:
            pairs.append((name, str(value)))
    return pairs
