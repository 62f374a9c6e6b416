"""What is sent to Helios and what it answers, in its own form (camelCase) and in ours."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import cache
from operator import itemgetter
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import from_json, to_json

from helios_research.columns import BIOMARKERS, BUCKET_LEVELS, LONGEST_LABEL, MOST_TAGS

_USER_FIELDS = ("user_label", "date_of_birth", "birth_sex")


# ISO text only: pydantic itself would also take a number, as seconds since 1970. The messages do
# not repeat the value, which says something about a participant.


def _iso_date(value: Any) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError("not a date in ISO 8601") from None


def _iso_local_time(value: Any) -> datetime:
    try:
        # Python takes a date alone for midnight, which the researcher did not write.
        text = str(value) if isinstance(value, datetime) or len(value) > len("2026-01-31") else ""
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError("not a date and time in ISO 8601") from None
    if moment.tzinfo is not None:
        raise ValueError("the time must be local, without a time zone")
    return moment


Text = Annotated[str, Field(min_length=1, strict=True)]
_IsoDate = Annotated[date, BeforeValidator(_iso_date)]
_LocalTime = Annotated[datetime, BeforeValidator(_iso_local_time)]


class RunRequest(BaseModel):
    """Everything that is sent about one recording, except its audio.

    Times are local, without a zone. Whether Helios deletes the data afterwards is not a part of
    it, so asking for that another time does not change the recording's metadata.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    user_label: Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL, strict=True)]
    date_of_birth: _IsoDate = Field(repr=False)
    birth_sex: Literal["MALE", "FEMALE", "INTERSEX", "UNKNOWN"] = Field(repr=False)
    language: Text
    accent: Text | None = None
    recording_time: _LocalTime | None = None
    sleep_time: _LocalTime | None = None
    wake_time: _LocalTime | None = None
    tags: dict[Text, Annotated[str, Field(strict=True)]] = Field(
        default_factory=dict, max_length=MOST_TAGS
    )

    def to_record(self) -> dict[str, Any]:
        """Lay the metadata out as Helios reads it, to be sent or kept."""
        given = self.model_dump(mode="json", exclude_none=True, exclude={"tags"})
        user = {_WIRE_NAMES[name]: given.pop(name) for name in _USER_FIELDS}
        record = {"user": user} | {_WIRE_NAMES[name]: value for name, value in given.items()}
        if self.tags:
            record["tags"] = [{"name": name, "value": value} for name, value in self.tags.items()]
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read what `to_record` gave."""
        wire = {name: value for name, value in record.items() if name not in ("user", "tags")}
        values = {to_snake(name): value for name, value in (wire | record["user"]).items()}
        tags = {tag["name"]: tag["value"] for tag in record.get("tags", ())}
        return cls.model_validate(values | {"tags": tags})

    def canonical(self) -> str:
        """Write the request as text."""
        given = self.__dict__
        user = {wire: given[name] for name, wire in _CANONICAL_USER}
        tags = [{"name": name, "value": self.tags[name]} for name in sorted(self.tags)]
        laid_out = given | {"user": user, "tags": tags or None}
        # Laid out in order at once: a cohort of 100,000 rows spends a third of its preparation here.
        return to_json(
            {wire: laid_out[name] for name, wire in _CANONICAL if laid_out[name] is not None}
        ).decode()

    @classmethod
    def write_field(cls, name: str, value: str) -> str | None:
        """Write one field as `canonical` does; None where it cannot have this value."""
        try:
            written = to_json(_validator(name).validate_python(value)).decode()
        except ValidationError:
            return None
        return f'"{_WIRE_NAMES[name]}":{written}'

    def describe_difference(self, other: Self) -> str:
        """Word what has changed from this request to another."""
        mine, theirs = self._by_column(), other._by_column()
        return "; ".join(
            f"{column} was {_format(mine.get(column))} and is now {_format(theirs.get(column))}"
            for column in dict.fromkeys((*mine, *theirs))
            if mine.get(column) != theirs.get(column)
        )

    def _by_column(self) -> dict[str, str]:
        given = self.model_dump(mode="json", exclude_none=True, exclude={"tags"})
        return {name: str(value) for name, value in given.items()} | self.tags


# Worked out once: a cohort of 100,000 rows would spend half of its time on it otherwise.
_WIRE_NAMES = {name: to_camel(name) for name in RunRequest.model_fields}
_CANONICAL_USER = sorted(((n, _WIRE_NAMES[n]) for n in _USER_FIELDS), key=itemgetter(1))
_CANONICAL = sorted(
    [*((n, w) for n, w in _WIRE_NAMES.items() if n not in _USER_FIELDS), ("user", "user")],
    key=itemgetter(1),
)
CANONICAL_ORDER = tuple(name for name, _ in _CANONICAL)
"""The fields in the order of `RunRequest.canonical`, those of ``CANONICAL_USER`` as ``user``."""
CANONICAL_USER = tuple(name for name, _ in _CANONICAL_USER)


@cache
def _validator(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(RunRequest.model_fields[name].rebuild_annotation())


def user_label_in(record: Mapping[str, Any]) -> str:
    """Read whose recording a request is about, without validating all of it."""
    return str(record["user"][_WIRE_NAMES["user_label"]])


def digest_of(canonical: str) -> str:
    """Identify a request by its canonical text."""
    return hashlib.sha256(canonical.encode()).hexdigest()


def _format(value: str | None) -> str:
    return "not given" if value is None else value or "empty"


CREATED = "CREATED"
RUNNING = "RUNNING"
COMPLETE_OK = "COMPLETE_OK"
COMPLETE_ERROR = "COMPLETE_ERROR"
STATUSES = frozenset({CREATED, RUNNING, COMPLETE_OK, COMPLETE_ERROR})
"""The statuses that Helios documents; others may come."""


def _in_utc(moment: datetime) -> datetime:
    """Read a moment without a zone as UTC, which is what servers mean by it."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # at the very edge of the calendar, where only nonsense is
        raise ValueError("no date and time in UTC") from None


_Moment = Annotated[datetime, AfterValidator(_in_utc)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class ApiResult(BaseModel):
    """Base of what Helios answers; reads what fits and leaves out what does not."""

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
        """Read an answer, leaving out what does not fit."""
        try:
            return cls.model_validate(raw)
        except ValidationError as problem:
            wrong = [_place(error["loc"]) for error in problem.errors(include_url=False)]
        left_out = {"left_out": [str(step) for place in wrong for step in place]}
        return cls.model_validate((_pruned(raw, wrong) or {}) | left_out)


def _place(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Take off what is no place in the answer: behind a value, the types that it does not have."""
    end = location.index("value") + 1 if "value" in location else None
    return location[:end]


def _pruned(value: Any, places: Iterable[tuple[int | str, ...]]) -> Any:
    """Copy JSON with null at each of the given places, and lists without their null members."""
    below: dict[int | str, list[tuple[int | str, ...]]] = {}
    for place in places:
        if not place:
            return None
        below.setdefault(place[0], []).append(place[1:])
    if isinstance(value, dict):
        return {
            key: _pruned(item, below[key]) if key in below else item for key, item in value.items()
        }
    if isinstance(value, list):
        pruned = (
            _pruned(item, below[index]) if index in below else item
            for index, item in enumerate(value)
        )
        return [item for item in pruned if item is not None]
    return None


class Account(ApiResult):
    """Which account the key belongs to."""

    id: Text


LONGEST_RUN_ID = 500

RunId = Annotated[str, Field(min_length=1, max_length=LONGEST_RUN_ID)]
"""Whatever identifies a run: its form is Helios' own business, and a number is taken as text."""


class CreatedRun(ApiResult):
    """A model run that waits for its recording."""

    id: RunId
    recording_upload_url: Text = Field(repr=False)


class InvitedRun(ApiResult):
    """A model run that waits for its participant, who records in the activity behind the link."""

    id: RunId
    link: str = Field(default="", repr=False)


# A score is an object with its value in it; taken out by pydantic, since eleven small records
# for each section would take longer than all the rest of an answer.
def _score(name: str) -> Any:
    return Field(default=None, validation_alias=AliasPath(to_camel(name), "value"))


def _number_in_text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("not a number")  # noqa: TRY004 (for pydantic)
    return value


def _level(value: float) -> float:
    if value not in BUCKET_LEVELS:
        raise ValueError("not one of the four levels")
    return value


# Strict first: true is no score. A number in quotation marks is one all the same.
_From0To1 = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Continuous = Annotated[
    Annotated[_From0To1, Field(strict=True)]
    | Annotated[_From0To1, BeforeValidator(_number_in_text)],
    Field(union_mode="left_to_right"),
]
_Bucketed = Annotated[_Continuous, AfterValidator(_level)]


class ScoredSection(ApiResult):
    """One scored stretch of a recording; a score that Helios did not give is None."""

    # A score under its own name would be one without its object around it.
    model_config = ConfigDict(validate_by_name=False)

    start_secs: _Finite | None = None
    finish_secs: _Finite | None = None
    transcript: str | None = Field(default=None, repr=False)
    mental_strain: _Continuous | None = _score("mental_strain")
    distress: _Bucketed | None = _score("distress")
    stress: _Bucketed | None = _score("stress")
    exhaustion: _Bucketed | None = _score("exhaustion")
    sleep_propensity: _Bucketed | None = _score("sleep_propensity")
    low_self_esteem: _Bucketed | None = _score("low_self_esteem")
    uniform_distress: _Continuous | None = _score("uniform_distress")
    uniform_stress: _Continuous | None = _score("uniform_stress")
    uniform_exhaustion: _Continuous | None = _score("uniform_exhaustion")
    uniform_sleep_propensity: _Continuous | None = _score("uniform_sleep_propensity")
    uniform_low_self_esteem: _Continuous | None = _score("uniform_low_self_esteem")

    @property
    def is_scored(self) -> bool:
        """Whether it has any score."""
        return any(getattr(self, name) is not None for name in _SCORES)

    def flat(self) -> dict[str, Any]:
        """Give the section as one flat mapping."""
        return dict(self.__dict__)


_SCORES = {marker.name: to_camel(marker.name) for marker in BIOMARKERS}
_NO_SECTION: dict[str, Any] = ScoredSection().flat()
WITHOUT_SCORES = _NO_SECTION | {"n_sections": 0, "sections": None}
"""What `ModelRun.flat` gives of a run that has no scores."""


_NOT_FLAT = frozenset({"id", "scored", "left_out"})


class ModelRun(ApiResult):
    """The status of a model run, its times in UTC, and its scores or its error.

    Status and error code are kept as text, as Helios may add new ones. Today the scores are always in
    one section, which spans the recording.
    """

    id: RunId
    status: Text
    created_at: _Moment | None = None
    run_at: _Moment | None = None
    completed_at: _Moment | None = None
    error_code: str | None = None
    error_reason: str | None = None
    warnings: tuple[str, ...] | None = ()
    scored: tuple[ScoredSection, ...] | None = Field(
        default=None, validation_alias=AliasPath("results", "sections")
    )
    left_out: tuple[str, ...] = Field(default=(), repr=False)

    @property
    def sections(self) -> tuple[ScoredSection, ...]:
        """The scored sections; none unless the run is complete."""
        return self.scored or ()

    @property
    def is_complete(self) -> bool:
        """Whether Helios has finished it, with scores or with an error."""
        return self.status in (COMPLETE_OK, COMPLETE_ERROR)

    @property
    def problem(self) -> str | None:
        """Why nothing of a finished run can be used, as the end of a sentence; None where it can."""
        if self.status == COMPLETE_ERROR:
            return None if self.error_code else "it says that the run failed, and not why"
        if self.error_code:
            return f"it has the status {COMPLETE_OK} and the error {self.error_code}"
        if any(section.is_scored for section in self.sections):
            return None
        return self.impossible or "there is no score in it"

    @property
    def impossible(self) -> str | None:
        """Name the scores that were left out since they can be none; None where there are none."""
        names = [name for name, wire in _SCORES.items() if wire in self.left_out]
        return f"no score can be what it has for {', '.join(names)}" if names else None

    def flat(self) -> dict[str, Any]:
        """Give the run as a flat row."""
        sections = [section.flat() for section in self.sections]
        left_out = [f"Left out: {self.impossible}."] if self.impossible else []
        return {
            **{name: value for name, value in self.__dict__.items() if name not in _NOT_FLAT},
            "model_run_id": self.id,
            "warnings": [*(self.warnings or ()), *left_out],
            "n_sections": len(sections),
            "sections": sections if len(sections) > 1 else None,
            **(sections[0] if len(sections) == 1 else _NO_SECTION),
        }


def flatten_result(raw: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
    """Turn the raw answer about a model run into a flat row."""
    if not isinstance(raw, str | bytes):
        return ModelRun.read(raw).flat()
    try:
        # Reading text and checking it in one go is a quarter faster than one after the other.
        return ModelRun.model_validate_json(raw).flat()
    except ValidationError:
        return ModelRun.read(from_json(raw)).flat()


def without_transcripts(raw: Any) -> Any:
    """Copy a raw answer without what the participant said."""
    if isinstance(raw, Mapping):
        return {
            key: without_transcripts(value)
            for key, value in raw.items()
            if "transcript" not in key.lower()
        }
    if isinstance(raw, list):
        return [without_transcripts(item) for item in raw]
    return raw
