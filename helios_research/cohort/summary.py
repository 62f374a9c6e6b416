"""A cohort in a few words, for a prompt or a notebook."""

from html import escape

import numpy as np
from numpy.typing import NDArray

from helios_research.cohort.content import Content


def _facts(content: Content, is_valid: NDArray[np.bool_]) -> dict[str, str]:
    warned = (content.findings["severity"] == "warning").sum()
    invalid = int((~is_valid).sum())
    return {
        "recordings": f"{len(is_valid):,}",
        "participants": f"{content.fields['user_label'].nunique():,}",
        "tags": ", ".join(content.layout.tags) or "none",
        "can be sent": f"{int(is_valid.sum()):,}",
        "cannot be sent": f"{invalid:,}",
        "warnings": f"{int(warned):,}",
    }


def as_text(content: Content, is_valid: NDArray[np.bool_]) -> str:
    """Summarise a cohort in one line."""
    facts = _facts(content, is_valid)
    listed = ", ".join(f"{name}: {value}" for name, value in facts.items())
    return f"<Cohort from {_lower_first(content.source)} ({listed})>"


def as_html(content: Content, is_valid: NDArray[np.bool_]) -> str:
    """Summarise a cohort as a small table."""
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>'
        for name, value in _facts(content, is_valid).items()
    )
    hint = "" if content.findings.empty else "<p>What to correct is in <code>.issues</code>.</p>"
    return (
        f"<table><caption>Cohort from {escape(_lower_first(content.source))}</caption><tbody>{rows}</tbody>"
        f"</table>{hint}"
    )


def _lower_first(source: str) -> str:
    """Let "The DataFrame", which begins sentences elsewhere, stand within one."""
    return source.replace("The ", "the ", 1) if source.startswith("The ") else source
