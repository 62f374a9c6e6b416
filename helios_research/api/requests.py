"""What is sent to Helios about a recording, in its own form (camelCase) and in ours.

Requests are strict: a field that Helios does not have, or a value that cannot be right, is an
error here and now.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from operator import itemgetter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import to_json

MAX_LABEL_CHARACTERS = 50
MAX_TAGS = 20

_USER_FIELDS = ("user_label", "date_of_birth", "birth_sex")


# ISO text only: pydantic itself would also take a number, as seconds since 1970. The messages do
# not repeat the value, which says something about a participant.


def _iso_date(value: Any) -> date:
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        message = "not a date in ISO 8601"
        raise ValueError(message) from None


def _iso_local_time(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        # Python takes a date alone for midnight; nobody said midnight.
        date_alone = len(value) <= len("2026-01-31")
        return datetime.fromisoformat("" if date_alone else value)
    except (TypeError, ValueError):
        message = "not a date and time in ISO 8601"
        raise ValueError(message) from None


def _without_zone(moment: datetime) -> datetime:
    if moment.tzinfo is not None:
        message = "the time must be local, without a time zone"
        raise ValueError(message)
    return moment


Text = Annotated[str, Field(min_length=1, strict=True)]
_IsoDate = Annotated[date, BeforeValidator(_iso_date)]
_LocalTime = Annotated[datetime, BeforeValidator(_iso_local_time), AfterValidator(_without_zone)]


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
    language: Text
    accent: Text | None = None
    recording_time: _LocalTime | None = None
    sleep_time: _LocalTime | None = None
    wake_time: _LocalTime | None = None
    tags: dict[Text, Annotated[str, Field(strict=True)]] = Field(
        default_factory=dict, max_length=MAX_TAGS
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

    def digest(self) -> str:
        """Identify the request by its content."""
        return digest_of(self.canonical())

    def differences(self, other: Self) -> dict[str, tuple[str | None, str | None]]:
        """Compare with another request, column by column."""
        mine, theirs = self._by_column(), other._by_column()
        columns = dict.fromkeys((*mine, *theirs))
        return {
            column: (mine.get(column), theirs.get(column))
            for column in columns
            if mine.get(column) != theirs.get(column)
        }

    def describe_difference(self, other: Self) -> str:
        """Word what has changed from this request to another."""
        return "; ".join(
            f"{column} was {_worded(before)} and is now {_worded(after)}"
            for column, (before, after) in self.differences(other).items()
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


def user_label_in(record: Mapping[str, Any]) -> str:
    """Tell whose recording a request is about, without validating all of it."""
    return str(record["user"][_WIRE_NAMES["user_label"]])


def digest_of(canonical: str) -> str:
    """Identify a request by its canonical text."""
    return hashlib.sha256(canonical.encode()).hexdigest()


def _worded(value: str | None) -> str:
    return "not given" if value is None else value or "empty"
