"""The request to Helios that each row of a cohort makes, or why it makes none."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd
from pydantic import ValidationError

from helios_research.api.models import RunRequest, digest_of
from helios_research.api.transport import FALLBACK_MEDIA_TYPE
from helios_research.codes import WITHDRAWN
from helios_research.cohort import Cohort
from helios_research.columns import Verdict
from helios_research.ledger import Attempt, NewAttempt, Withdrawn
from helios_research.preflight_checks.check import Check

_SPEAKER = ("user_label", "date_of_birth", "birth_sex", "language")
_OPTIONAL = ("accent", "recording_time", "sleep_time", "wake_time")

ROWS_IN_A_PART = 5_000
"""Rows whose cells are Python objects at a time: some 10 MB, whatever the cohort's size."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a row cannot be sent as it is."""

    error_code: str
    error_reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the cohort, as the submission sees it.

    Attributes
    ----------
    position
        Place in the cohort, from 0.
    recording_id
        The researcher's key.
    location
        Absolute path or URL of the recording; None where the manifest has none.
    request_text
        The request as canonical JSON, which takes a tenth of a request's memory; None where the
        row's metadata make no valid request.
    digest
        Fingerprint of the request; with the audio's SHA-256 it identifies a recording.
    rejection
        Why the row cannot be sent; None where it can.
    """

    position: int
    recording_id: str
    location: str | None
    request_text: str | None
    digest: str | None
    rejection: Rejection | None

    @property
    def request(self) -> RunRequest | None:
        """The request to Helios; None where the row makes none."""
        if self.request_text is None:
            return None
        return RunRequest.from_record(json.loads(self.request_text))


@dataclass(frozen=True, slots=True)
class Job:
    """One recording that may be sent: its identity, its bytes and its request."""

    row: Row
    sha256: str
    size_bytes: int
    media_type: str | None
    duration_s: float | None

    @property
    def request(self) -> RunRequest:
        """The request to Helios."""
        request = self.row.request
        if request is None:
            message = f"row {self.row.position} has no request"
            raise ValueError(message)
        return request

    @property
    def digest(self) -> str:
        """Fingerprint of the request; empty where the row makes none."""
        return self.row.digest or ""

    @property
    def location(self) -> str:
        """Absolute path or URL of the recording."""
        return self.row.location or ""

    @classmethod
    def resumed(cls, row: Row, attempt: Attempt) -> Self:
        """Take up an attempt again, without another look at its file."""
        media_type = None if attempt.media_type == FALLBACK_MEDIA_TYPE else attempt.media_type
        return cls(row, attempt.sha256, attempt.size_bytes, media_type, attempt.duration_s)

    def attempt(self, number: int, *, delete_data: bool, source: str) -> NewAttempt:
        """Describe the recording's n-th attempt for the ledger."""
        return NewAttempt(
            sha256=self.sha256,
            request_digest=self.digest,
            request=self.request.to_record(),
            number=number,
            media_type=self.media_type or FALLBACK_MEDIA_TYPE,
            size_bytes=self.size_bytes,
            duration_s=self.duration_s,
            delete_data=delete_data,
            source=source,
        )


class RowRequests:
    """The rows of a cohort as requests, each made when it is needed.

    Rows of participants who have withdrawn are rejected; nothing looks for their recordings.
    """

    def __init__(self, cohort: Cohort, withdrawn: Withdrawn | None = None) -> None:
        self._fields = cohort.fields
        self._tags = cohort.tag_values
        rejections = cohort.rejections()[["error_code", "error_reason"]]
        self._rejected = {
            position: Rejection(code, reason) for position, code, reason in rejections.itertuples()
        }
        labels = self._fields["user_label"].dropna().unique() if withdrawn else ()
        self._gone = {label for label in labels if withdrawn and withdrawn.has_label(label)}

    def at(self, positions: Sequence[int]) -> list[Row]:
        """Make some rows."""
        fields, tags = self._fields.iloc[list(positions)], self._tags.iloc[list(positions)]
        return [
            _row(position, values, tagged, self._rejection(position, values.get("user_label")))
            for position, values, tagged in zip(
                positions, _records(fields), _records(tags), strict=True
            )
        ]

    def locations(self, positions: range) -> list[str | None]:
        """Read where the recordings of some rows are, without the rest of the rows."""
        fields = self._fields.iloc[positions.start : positions.stop]
        places = fields["recording"].astype(object)
        return places.where(places.notna() & ~fields["user_label"].isin(self._gone), None).tolist()

    def _rejection(self, position: int, label: str | None) -> Rejection | None:
        if label in self._gone:
            return Rejection(WITHDRAWN, _WITHDRAWN_LABEL.format(label=label))
        return self._rejected.get(position)


def rows_of(cohort: Cohort, withdrawn: Withdrawn | None = None) -> list[Row]:
    """Turn a cohort into requests, row by row."""
    requests = RowRequests(cohort, withdrawn)
    return [row for part in parts(len(cohort)) for row in requests.at(part)]


def parts(total: int, size: int = ROWS_IN_A_PART) -> Iterator[range]:
    """Divide the positions of a cohort's rows into parts; an empty cohort is one empty part."""
    for first in range(0, max(1, total), size):
        yield range(first, min(first + size, total))


def _records(frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Give each row as a mapping without its empty cells."""
    names = list(frame.columns)
    if not names:
        return iter([{} for _ in range(len(frame))])
    columns = [frame[name].astype(object).where(frame[name].notna(), None) for name in names]
    return (
        {name: value for name, value in zip(names, row, strict=True) if value is not None}
        for row in zip(*columns, strict=True)
    )


def _row(
    position: int, fields: dict[str, Any], tags: dict[str, str], rejection: Rejection | None
) -> Row:
    text = None
    # A row that only lacks its file still has a request, by which earlier scores are found.
    if rejection is None or rejection.error_code == "INVALID_RECORDING":
        try:
            text = RunRequest.model_validate(
                {name: fields[name] for name in (*_SPEAKER, *_OPTIONAL) if name in fields}
                | {"tags": tags}
            ).canonical()
        except ValidationError as error:
            rejection = rejection or _unsendable(error)
    return Row(
        position,
        fields.get("recording_id", ""),
        None if rejection and rejection.error_code == WITHDRAWN else fields.get("recording"),
        text,
        None if text is None else digest_of(text),
        rejection,
    )


def _unsendable(error: ValidationError) -> Rejection:
    first = error.errors(include_url=False, include_input=False)[0]
    column = str(first["loc"][0]) if first["loc"] else "row"
    return Rejection(
        f"INVALID_{column.upper()}",
        f"{column} cannot be sent to Helios: {first['msg']}. Correct it and submit again.",
    )


_WITHDRAWN_LABEL = (
    "The participant {label!r} has withdrawn from this study, so nothing of this row was sent. "
    "Remove the row from the manifest; if it was a mistake, study.readmit({label!r}) takes it back."
)
_WITHDRAWN_AUDIO = (
    "This recording is of a participant who has withdrawn from this study, so it was not sent. "
    "Remove the row from the manifest; if the withdrawal was a mistake, take it back with "
    "study.readmit(…) and the label that was withdrawn."
)


def unless_withdrawn(check: Check, withdrawn: Withdrawn) -> Check:
    """Keep of a withdrawn recording's check only that it is withdrawn."""
    if not withdrawn.has_audio(check.sha256):
        return check
    return Check(Verdict.FAIL, WITHDRAWN, _WITHDRAWN_AUDIO)
