"""The request to Helios that each row of a cohort makes, or why it makes none."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Self

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError
from pydantic_core import to_json

from helios_research.api.models import CANONICAL_ORDER, CANONICAL_USER, RunRequest, digest_of
from helios_research.api.transport import FALLBACK_MEDIA_TYPE
from helios_research.codes import LEFT_OUT, WITHDRAWN
from helios_research.cohort import Cohort
from helios_research.cohort.reading import read_table
from helios_research.columns import BORDERLINE, LEAVE_OUT, SEND, Verdict
from helios_research.errors import ConfigError
from helios_research.ledger import (
    Attempt,
    Ledger,
    LedgerReader,
    NewAttempt,
    Withdrawn,
    invitation_to,
)
from helios_research.preflight_checks.check import Check

_SPEAKER = ("user_label", "date_of_birth", "birth_sex", "language")
_NO_RECORDING = "INVALID_RECORDING"
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
    """One row of the cohort, at its ``position`` from 0, as the submission sees it.

    ``location`` is an absolute path or a URL, None where the manifest has none. ``request_text`` is
    canonical JSON, which takes a tenth of a request's memory, and ``digest`` its fingerprint, which
    identifies a recording together with the audio's SHA-256; None where the row's metadata make no
    valid request. ``rejection`` is why the row cannot be sent, None where it can.
    """

    position: int
    recording_id: str
    location: str | None
    request_text: str | None
    digest: str | None
    rejection: Rejection | None

    @property
    def may_be_invited(self) -> bool:
        """Whether the row lacks its recording and nothing else."""
        lacks = self.rejection is not None and self.rejection.error_code == _NO_RECORDING
        return lacks and self.location is None and self.request_text is not None

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
        if (request := self.row.request) is None:
            raise ValueError(f"row {self.row.position} has no request")
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
    def invited(cls, row: Row) -> Self:
        """Describe the recording that a participant is invited to make."""
        return cls(row, invitation_to(row.recording_id), 0, None, None)

    @classmethod
    def resumed(cls, row: Row, attempt: Attempt) -> Self:
        """Take up an attempt again, without another look at its file."""
        size, media_type = attempt.size_bytes, attempt.media_type
        return cls(row, attempt.sha256, size, media_type, attempt.duration_s)

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
    """The rows of a cohort as requests, made when needed; those of who has withdrawn are rejected."""

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
        fields = self._fields.iloc[list(positions)]
        ids, places = fields["recording_id"].fillna("").tolist(), _cells(fields["recording"])
        rows = []
        for position, recording_id, place, (text, rejection) in zip(
            positions, ids, places, self._requests(positions), strict=True
        ):
            # Nothing looks for the recordings of participants who have withdrawn.
            location = None if rejection and rejection.error_code == WITHDRAWN else place
            digest = None if text is None else digest_of(text)
            rows.append(Row(position, recording_id, location, text, digest, rejection))
        return rows

    def digests(self) -> pa.ChunkedArray:
        """Give the digest of every row; null where it makes no request."""
        digests = (
            [None if text is None else digest_of(text) for text, _ in self._requests(part)]
            for part in parts(len(self._fields))
        )
        return pa.chunked_array([pa.array(part, pa.string()) for part in digests])

    def _requests(self, positions: Sequence[int]) -> Iterator[tuple[str | None, Rejection | None]]:
        """Write the request of each row, or give why it makes none."""
        fields, tags = self._fields.iloc[list(positions)], self._tags.iloc[list(positions)]
        texts, labels = _canonical_texts(fields, tags), _cells(fields["user_label"])
        for place, (position, label) in enumerate(zip(positions, labels, strict=True)):
            text, rejection = texts[place], self._rejection(position, label)
            # A row that only lacks its file still has a request, by which earlier scores are found.
            if rejection is not None and rejection.error_code != _NO_RECORDING:
                text = None
            elif text is None:
                text, problem = _validated(fields.iloc[place], tags.iloc[place])
                rejection = rejection or problem
            yield text, rejection

    def locations(self) -> Iterator[str | None]:
        """Give where each row's recording is."""
        places = self._fields["recording"].mask(self._fields["user_label"].isin(self._gone))
        for part in parts(len(places)):
            yield from _cells(places.iloc[part.start : part.stop])

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


def _cells(values: "pd.Series[str]") -> list[str | None]:
    return values.astype(object).where(values.notna(), None).tolist()


def _canonical_texts(fields: pd.DataFrame, tags: pd.DataFrame) -> list[str | None]:
    """Write the requests of many rows as `RunRequest.canonical` does; None where there is none.

    Each different value is written once: most columns of a large cohort have few.
    """
    pieces = {
        name: _written(fields[name], partial(RunRequest.write_field, name), default=default)
        for names, default in ((_SPEAKER, None), (_OPTIONAL, ""))
        for name in names
    }
    pieces["user"] = _within(',"user":{', [pieces.pop(name) for name in CANONICAL_USER], "}")
    tagged = [
        _written(tags[name], partial(_tag, name), default="") for name in sorted(map(str, tags))
    ]
    if tagged:
        pieces["tags"] = _within(',"tags":[', tagged, "]")
    whole = _within("{", [pieces[name] for name in CANONICAL_ORDER if name in pieces], "}")
    texts: list[str | None] = whole.to_pylist()
    return texts


def _tag(name: str, value: str) -> str:
    return to_json({"name": name, "value": value}).decode()


def _written(
    values: "pd.Series[str]", write: Callable[[str], str | None], *, default: str | None
) -> pa.Array:
    """Write each different value once, after a comma; null where it cannot be written."""
    codes, different = values.factorize()
    texts = [text and f",{text}" for text in map(write, different)]
    is_missing = codes < 0
    found = pa.array(texts, pa.string()).take(pa.array(codes, mask=is_missing))
    return pc.if_else(is_missing, pa.scalar(default, pa.string()), found)


def _within(begin: str, pieces: Sequence[pa.Array], end: str) -> pa.Array:
    """Put what each row has between two ends, without its first comma; nothing where it has nothing."""
    joined = pc.binary_join_element_wise(*pieces, "")
    whole = pc.binary_join_element_wise(begin, pc.utf8_slice_codeunits(joined, 1), end, "")
    return pc.if_else(pc.equal(joined, ""), "", whole)


def _validated(
    fields: "pd.Series[str]", tags: "pd.Series[str]"
) -> tuple[str | None, Rejection | None]:
    """Write one request, or word what is wrong with it."""
    given = fields[[*_SPEAKER, *_OPTIONAL]].dropna().to_dict()
    try:
        request = RunRequest.model_validate(given | {"tags": tags.dropna().to_dict()})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        column = str(first["loc"][0]) if first["loc"] else "row"
        reason = f"{column} cannot be sent to Helios: {first['msg']}. Correct it and submit again."
        return None, Rejection(f"INVALID_{column.upper()}", reason)
    return request.canonical(), None


# --- what keeps a recording back: a withdrawal, or the researcher's verdict --------------------------

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


VerdictTable = pd.DataFrame | str | PathLike[str]
"""The table of `Study.borderline` with verdicts, or the path of a file of it."""

_VERDICT = "verdict"
_LEFT_OUT = "You left it out after listening to it."


class Verdicts:
    """The verdicts that a study remembers."""

    def __init__(self, ledger: LedgerReader) -> None:
        found = ledger.all_checks(_VERDICT, "$.verdict")
        self._known = {sha256: verdict for _, sha256, verdict in found}

    def applied(self, check: Check) -> Check:
        """Let the researcher's verdict on a recording count more than the preflight's."""
        verdict = self._known.get(check.sha256 or "")
        if verdict == LEAVE_OUT:
            fail = Verdict.FAIL
            return replace(check, verdict=fail, predicted_error_code=LEFT_OUT, reason=_LEFT_OUT)
        return replace(check, verdict=Verdict.WARN) if verdict == SEND else check


def remember_verdicts(ledger: Ledger, seen: Mapping[str, Check], verdicts: VerdictTable) -> None:
    """Keep the verdicts that are filled in, or none where one cannot be used."""
    if not isinstance(verdicts, pd.DataFrame):
        wanted = [column.name for column in BORDERLINE]
        path = Path(verdicts).expanduser()
        verdicts = read_table(path, sheet=None, expected=wanted).frame
    if not {"sha256", "verdict"} <= {*verdicts.columns}:
        raise ConfigError.verdicts("the table lacks the column sha256 or verdict")
    # By location, so that a withdrawal removes them with the checks.
    places = defaultdict[str, list[str]](list)
    for location, check in seen.items():
        places[check.sha256 or ""].append(location)
    kept = []
    for sha256, verdict in verdicts[["sha256", "verdict"]].dropna().itertuples(index=False):
        said = str(verdict).strip().lower()
        if said not in {SEND, LEAVE_OUT, ""}:
            raise ConfigError.verdicts(f"{verdict!r} is not a verdict")
        if said and sha256 not in places:
            raise ConfigError.verdicts(f"no checked recording has the SHA-256 {sha256}")
        kept += [(place, sha256, {"verdict": said}) for place in places[sha256] if said]
    ledger.store_checks(_VERDICT, kept)
