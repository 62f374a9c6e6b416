"""Keeping what is of a participant who has withdrawn from being sent, or remembered, again."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from helios_research.checks import Check
from helios_research.codes import WITHDRAWN
from helios_research.columns import Verdict
from helios_research.ledger import Withdrawn
from helios_research.submission.asks import Rejection, Row

_LABEL = (
    "The participant {label!r} has withdrawn from this study, so nothing of this row was sent. "
    "Remove the row from the manifest; if it was a mistake, study.readmit({label!r}) takes it back."
)
_AUDIO = (
    "This recording is of a participant who has withdrawn from this study, so it was not sent. "
    "Remove the row from the manifest; if the withdrawal was a mistake, take it back with "
    "study.readmit(…) and the label that was withdrawn."
)


def without_withdrawn(
    rows: Sequence[Row], labels: Iterable[str | None], withdrawn: Withdrawn
) -> list[Row]:
    """Reject the rows of participants who have withdrawn."""
    if not withdrawn:
        return list(rows)
    labels = list(labels)
    gone = {label for label in set(labels) if isinstance(label, str) and withdrawn.has_label(label)}
    return [
        _rejected(row, str(label)) if label in gone else row
        for row, label in zip(rows, labels, strict=True)
    ]


def _rejected(row: Row, label: str) -> Row:
    why = Rejection(WITHDRAWN, _LABEL.format(label=label))
    return replace(row, location=None, request_text=None, digest=None, rejection=why)


def unless_withdrawn(check: Check, withdrawn: Withdrawn) -> Check:
    """Say of a withdrawn recording only that it is withdrawn."""
    if not withdrawn.has_audio(check.sha256):
        return check
    return Check(Verdict.FAIL, WITHDRAWN, _AUDIO)
