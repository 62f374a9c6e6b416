"""What Helios answers, in its own form (camelCase) and in ours.

Answers are lenient: an unknown field, status or error code is kept, a value of the wrong type is
left out, and only an answer without an id or a status is no answer.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from helios_research.api.requests import RunRequest, Text
from helios_research.columns import BIOMARKERS

__all__ = [
    "COMPLETE_ERROR",
    "COMPLETE_OK",
    "CREATED",
    "RUNNING",
    "Account",
    "CreatedRun",
    "ModelRun",
    "Results",
    "RunRequest",
    "Section",
    "WireAnswer",
    "flatten_answer",
    "without_transcripts",
]

CREATED = "CREATED"
RUNNING = "RUNNING"
COMPLETE_OK = "COMPLETE_OK"
COMPLETE_ERROR = "COMPLETE_ERROR"


def _in_utc(moment: datetime) -> datetime:
    """Read a moment without a zone as UTC, which is what servers mean by it."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # at the very edge of the calendar, where only nonsense is
        message = "no date and time in UTC"
        raise ValueError(message) from None


_Moment = Annotated[datetime, AfterValidator(_in_utc)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]


class WireAnswer(BaseModel):
    """Base of the answers; reads what fits and leaves out what does not."""

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
            wrong = [error["loc"] for error in problem.errors(include_url=False)]
        return cls.model_validate(_pruned(raw, wrong))


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


class Account(WireAnswer):
    """Which account the key belongs to."""

    id: Text
    features: tuple[str, ...] | None = ()


class CreatedRun(WireAnswer):
    """A model run that waits for its recording."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    recording_upload_url: str = Field(min_length=1, repr=False)


# A score is an object with its value in it; taken out by pydantic, since eleven small records
# for each section would take longer than all the rest of an answer.
def _score(name: str) -> Any:
    return Field(default=None, validation_alias=AliasPath(to_camel(name), "value"))


class Section(WireAnswer):
    """One scored stretch of a recording; a score that Helios did not give is None."""

    # A score under its own name would be one without its object around it.
    model_config = ConfigDict(validate_by_name=False)

    start_secs: _Finite | None = None
    finish_secs: _Finite | None = None
    transcript: str | None = Field(default=None, repr=False)
    mental_strain: _Finite | None = _score("mental_strain")
    distress: _Finite | None = _score("distress")
    stress: _Finite | None = _score("stress")
    exhaustion: _Finite | None = _score("exhaustion")
    sleep_propensity: _Finite | None = _score("sleep_propensity")
    low_self_esteem: _Finite | None = _score("low_self_esteem")
    uniform_distress: _Finite | None = _score("uniform_distress")
    uniform_stress: _Finite | None = _score("uniform_stress")
    uniform_exhaustion: _Finite | None = _score("uniform_exhaustion")
    uniform_sleep_propensity: _Finite | None = _score("uniform_sleep_propensity")
    uniform_low_self_esteem: _Finite | None = _score("uniform_low_self_esteem")

    def scores(self) -> dict[str, float | None]:
        """Give the scores by the names that `columns.BIOMARKERS` has for them."""
        return {marker.name: getattr(self, marker.name) for marker in BIOMARKERS}

    def flat(self) -> dict[str, Any]:
        """Give the section as one flat mapping."""
        return dict(self.__dict__)


_NO_SECTION: dict[str, Any] = Section().flat()


class Results(WireAnswer):
    """The scored sections; today always one, which spans the recording."""

    sections: tuple[Section, ...] | None = ()


class ModelRun(WireAnswer):
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

    id: Text
    status: Text
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
        """Give the run as a flat row."""
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
