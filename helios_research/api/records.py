"""What travels between this package and Helios, in Helios' own form (camelCase) and in ours.

Requests are strict: a field that Helios does not have, or a value that cannot be right, is an
error here and now. Answers are lenient: an unknown field, status or error code is kept, a field
of the wrong type is left out, and only an answer without an id or a status is no answer.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from operator import itemgetter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import from_json

from helios_research.columns import BIOMARKERS

MAX_LABEL_CHARACTERS = 50
MAX_TAGS = 20

CREATED = "CREATED"
RUNNING = "RUNNING"
COMPLETE_OK = "COMPLETE_OK"
COMPLETE_ERROR = "COMPLETE_ERROR"

_USER_FIELDS = ("user_label", "date_of_birth", "birth_sex")


def _iso_date(value: object) -> object:
    """Read ISO text only: pydantic itself would also take a number, as seconds since 1970."""
    return date.fromisoformat(value) if isinstance(value, str) else value


def _iso_local_time(value: object) -> object:
    if isinstance(value, str):
        if len(value) <= len("2026-01-31"):
            message = "a date alone is not a date and time"
            raise ValueError(message)
        return datetime.fromisoformat(value)
    return value


def _without_zone(moment: datetime) -> datetime:
    if moment.tzinfo is not None:
        message = "the time must be local, without a time zone"
        raise ValueError(message)
    return moment


def _in_utc(moment: datetime) -> datetime:
    """Read a moment without a zone as UTC, which is what servers mean by it."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_Text = Annotated[str, Field(min_length=1, strict=True)]
_IsoDate = Annotated[date, BeforeValidator(_iso_date)]
_LocalTime = Annotated[datetime, BeforeValidator(_iso_local_time), AfterValidator(_without_zone)]
_Moment = Annotated[datetime, AfterValidator(_in_utc)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class RunRequest(BaseModel):
    """Everything that is sent about one recording, apart from its audio.

    Attributes
    ----------
    user_label
        Pseudonym of the speaker, 1 to 50 characters.
    date_of_birth
        Date of birth; 01 for an unknown day or month.
    birth_sex
        Sex at birth.
    language
        BCP 47 tag; Helios has the last word on which it serves.
    accent
        The speaker's accent, where it differs from the language's own.
    recording_time, sleep_time, wake_time
        Local date and time, without a zone.
    tags
        Names and values of at most 20 tags.

    Notes
    -----
    Whether Helios deletes the data afterwards is no part of it: that is said when the run is
    created, and asking for it another time is no change of the recording's metadata.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    user_label: Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARACTERS, strict=True)]
    date_of_birth: _IsoDate = Field(repr=False)
    birth_sex: Literal["MALE", "FEMALE", "INTERSEX", "UNKNOWN"] = Field(repr=False)
    language: _Text
    accent: _Text | None = None
    recording_time: _LocalTime | None = None
    sleep_time: _LocalTime | None = None
    wake_time: _LocalTime | None = None
    tags: dict[_Text, Annotated[str, Field(strict=True)]] = Field(
        default_factory=dict, max_length=MAX_TAGS
    )

    def to_record(self) -> dict[str, Any]:
        """Lay the metadata out as Helios reads it, to be sent or kept.

        Returns
        -------
        dict
            JSON-ready; what was not given is left out rather than sent as null.
        """
        given = self.model_dump(mode="json", exclude_none=True, exclude={"tags"})
        user = {to_camel(name): given.pop(name) for name in _USER_FIELDS}
        record = {"user": user} | {to_camel(name): value for name, value in given.items()}
        if self.tags:
            record["tags"] = [{"name": name, "value": value} for name, value in self.tags.items()]
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read what `to_record` gave.

        Parameters
        ----------
        record
            The metadata in Helios' form, as kept in a ledger.

        Returns
        -------
        RunRequest
            The same request.
        """
        wire = {name: value for name, value in record.items() if name not in ("user", "tags")}
        values = {to_snake(name): value for name, value in (wire | record["user"]).items()}
        tags = {tag["name"]: tag["value"] for tag in record.get("tags", ())}
        return cls.model_validate(values | {"tags": tags})

    def digest(self) -> str:
        """Identify the request by its content.

        Returns
        -------
        str
            SHA-256 of the record as canonical JSON (sorted keys, tags sorted by name), as 64
            hexadecimal digits: equal metadata, equal digest, whatever order it was given in.
        """
        record = self.to_record()
        if "tags" in record:
            record["tags"].sort(key=itemgetter("name"))
        text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, other: Self) -> dict[str, tuple[str | None, str | None]]:
        """Compare with another request, column by column.

        Parameters
        ----------
        other
            The request to compare with.

        Returns
        -------
        dict
            For each manifest column that differs, its value here and in `other`;
            None where it is not given. Tags appear under their own names.
        """
        mine, theirs = self._by_column(), other._by_column()
        columns = dict.fromkeys((*mine, *theirs))
        return {
            column: (mine.get(column), theirs.get(column))
            for column in columns
            if mine.get(column) != theirs.get(column)
        }

    def describe_difference(self, other: Self) -> str:
        """Word what has changed from this request to another.

        Parameters
        ----------
        other
            The later request.

        Returns
        -------
        str
            Such as ``date_of_birth was 1990-01-01 and is now 1991-01-01``; empty if equal.
        """
        return "; ".join(
            f"{column} was {_worded(before)} and is now {_worded(after)}"
            for column, (before, after) in self.differences(other).items()
        )

    def _by_column(self) -> dict[str, str]:
        given = self.model_dump(mode="json", exclude_none=True, exclude={"tags"})
        return {name: str(value) for name, value in given.items()} | self.tags


def _worded(value: str | None) -> str:
    return "not given" if value is None else value or "empty"


class _Answer(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        coerce_numbers_to_str=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """Read an answer, leaving out what does not fit.

        Parameters
        ----------
        raw
            The answer's JSON object.

        Returns
        -------
        Self
            The record; a field whose value is of the wrong type is as if it were missing.

        Raises
        ------
        pydantic.ValidationError
            A field without which the answer means nothing is missing or of the wrong type.
        """
        try:
            return cls.model_validate(raw)
        except ValidationError as problem:
            wrong = [error["loc"] for error in problem.errors(include_url=False)]
        return cls.model_validate(_pruned(raw, wrong))


def _pruned(value: Any, places: Iterable[tuple[int | str, ...]]) -> Any:
    """Copy JSON with null at each of the given places, and lists without their null members."""
    here = [place for place in places if place]
    if not here:
        return None
    if isinstance(value, Mapping):
        below = {key: [place[1:] for place in here if place[0] == key] for key in value}
        return {
            key: _pruned(item, below[key]) if below[key] else item for key, item in value.items()
        }
    if isinstance(value, list):
        items = ((index, [p[1:] for p in here if p[0] == index]) for index in range(len(value)))
        pruned = (_pruned(value[index], below) if below else value[index] for index, below in items)
        return [item for item in pruned if item is not None]
    return None


class Account(_Answer):
    """Which account the key belongs to."""

    id: _Text
    features: tuple[str, ...] | None = ()


class CreatedRun(_Answer):
    """A model run that waits for its recording.

    Attributes
    ----------
    id
        Helios' id of the run: letters, digits, ``-`` and ``_``, so that it is safe in a path.
    recording_upload_url
        Pre-signed URL for the recording, valid for 1 hour. A secret while it lives, therefore
        not in the repr.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    recording_upload_url: str = Field(min_length=1, repr=False)


class Score(_Answer):
    """One score of one section."""

    value: _Finite | None = None


class Section(_Answer):
    """One scored stretch of a recording; a score that Helios did not give is None."""

    start_secs: _Finite | None = None
    finish_secs: _Finite | None = None
    transcript: str | None = Field(default=None, repr=False)
    mental_strain: Score | None = None
    distress: Score | None = None
    stress: Score | None = None
    exhaustion: Score | None = None
    sleep_propensity: Score | None = None
    low_self_esteem: Score | None = None
    uniform_distress: Score | None = None
    uniform_stress: Score | None = None
    uniform_exhaustion: Score | None = None
    uniform_sleep_propensity: Score | None = None
    uniform_low_self_esteem: Score | None = None

    def scores(self) -> dict[str, float | None]:
        """Give the scores by the names that `columns.BIOMARKERS` has for them.

        Returns
        -------
        dict
            One entry per biomarker, None where Helios gave none.
        """
        values = self.__dict__
        return {
            name: None if (score := values[name]) is None else score.value for name in _SCORE_NAMES
        }

    def flat(self) -> dict[str, Any]:
        """Give the section as one flat mapping.

        Returns
        -------
        dict
            ``start_secs``, ``finish_secs``, ``transcript`` and one entry per biomarker.
        """
        return {
            "start_secs": self.start_secs,
            "finish_secs": self.finish_secs,
            "transcript": self.transcript,
        } | self.scores()


_SCORE_NAMES = tuple(marker.name for marker in BIOMARKERS)
_NO_SECTION: dict[str, Any] = Section().flat()


class Results(_Answer):
    """The scored sections; today always one, which spans the recording."""

    sections: tuple[Section, ...] | None = ()


class ModelRun(_Answer):
    """How things stand with a model run.

    Attributes
    ----------
    id
        Helios' id of the run.
    status
        ``CREATED``, ``RUNNING``, ``COMPLETE_OK``, ``COMPLETE_ERROR``, or a status that did not
        exist when this was written.
    user_label
        Pseudonym that the run was created with.
    delete_data
        Whether everything is deleted 12 hours after completion.
    created_at, run_at, completed_at
        UTC; None where Helios gave none.
    error_code, error_reason
        Of a run that ended in an error; the code is kept as text, known or not.
    warnings
        Reasons to treat the scores with caution.
    results
        The scores of a run that is complete.
    """

    id: _Text
    status: _Text
    user_label: str | None = None
    delete_data: bool | None = None
    created_at: _Moment | None = None
    run_at: _Moment | None = None
    completed_at: _Moment | None = None
    error_code: str | None = None
    error_reason: str | None = None
    warnings: tuple[str, ...] | None = ()
    results: Results | None = None

    @property
    def sections(self) -> tuple[Section, ...]:
        """The scored sections; none unless the run is complete."""
        return (self.results.sections or ()) if self.results else ()

    @property
    def is_complete(self) -> bool:
        """Whether Helios is done with it, with scores or with an error."""
        return self.status in (COMPLETE_OK, COMPLETE_ERROR)

    def flat(self) -> dict[str, Any]:
        """Give the run as a flat row.

        Returns
        -------
        dict
            ``model_run_id``, ``status``, the times, ``error_code``, ``error_reason``,
            ``warnings`` (list), ``n_sections``, and of a single section its bounds, transcript
            and scores; with several these are None and ``sections`` lists them.
        """
        sections = self.sections
        return {
            "model_run_id": self.id,
            "status": self.status,
            "created_at": self.created_at,
            "run_at": self.run_at,
            "completed_at": self.completed_at,
            "error_code": self.error_code,
            "error_reason": self.error_reason,
            "warnings": list(self.warnings or ()),
            "n_sections": len(sections),
            "sections": [section.flat() for section in sections] if len(sections) > 1 else None,
        } | (sections[0].flat() if len(sections) == 1 else _NO_SECTION)


def flatten_answer(raw: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
    """Turn the raw answer about a model run into a flat row.

    Parameters
    ----------
    raw
        The answer as JSON text or as the object read from it.

    Returns
    -------
    dict
        See `ModelRun.flat`.
    """
    return ModelRun.read(from_json(raw) if isinstance(raw, str | bytes) else raw).flat()


def without_transcripts(raw: Any) -> Any:
    """Copy a raw answer without what the participant said.

    Parameters
    ----------
    raw
        JSON as Helios sent it.

    Returns
    -------
    Any
        The same without any field, at any depth, that has ``transcript`` in its name: a field
        that Helios may add one day is taken out too.
    """
    if isinstance(raw, Mapping):
        return {
            key: without_transcripts(value)
            for key, value in raw.items()
            if "transcript" not in key.lower()
        }
    if isinstance(raw, list):
        return [without_transcripts(item) for item in raw]
    return raw
