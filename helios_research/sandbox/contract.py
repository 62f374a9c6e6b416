"""The body of a request for a model run: what Helios takes, and how it says what it does not.

Written from the API's contract alone and on purpose without the client's own models, so that a
mistake there cannot be mirrored here. Refusals have the shape of FastAPI's.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel

MAX_TAGS = 20
LANGUAGE = r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOCAL_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?"
)


def _calendar_date(text: str) -> str:
    if not _DATE.fullmatch(text):
        raise ValueError("not an ISO 8601 date such as 1990-01-31")
    date.fromisoformat(text)
    return text


def _local_time(text: str) -> str:
    if not _LOCAL_TIME.fullmatch(text):
        raise ValueError(
            "not an ISO 8601 date and time without a time zone, such as 2026-01-31T07:30:00"
        )
    datetime.fromisoformat(text)
    return text


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)


class Speaker(_Wire):
    """Who speaks."""

    user_label: str = Field(min_length=1, max_length=50)
    date_of_birth: Annotated[str, AfterValidator(_calendar_date)]
    birth_sex: Literal["MALE", "FEMALE", "INTERSEX", "UNKNOWN"]


class Tag(_Wire):
    """One name and its value."""

    name: str = Field(min_length=1)
    value: str


def _unique_names(tags: list[Tag]) -> list[Tag]:
    if len({tag.name for tag in tags}) < len(tags):
        raise ValueError("tag names must be unique within a run")
    return tags


LocalTime = Annotated[str, AfterValidator(_local_time)]


class ModelRunRequest(_Wire):
    """What is asked for with one recording."""

    user: Speaker
    language: Annotated[str, StringConstraints(pattern=LANGUAGE)]
    accent: str = ""
    recording_time: LocalTime = ""
    sleep_time: LocalTime = ""
    wake_time: LocalTime = ""
    tags: Annotated[list[Tag], Field(max_length=MAX_TAGS), AfterValidator(_unique_names)] = Field(
        default_factory=list
    )
    delete_data: bool = False
    data_to_delete: list[str] = Field(default_factory=list)


def read_request(body: bytes, content_type: str) -> ModelRunRequest | list[dict[str, Any]]:
    """Read the body of a request for a model run."""
    media_type = content_type.partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/([^/]+[+])?json", media_type):
        return [_refusal("body", "Input should be a valid dictionary", "model_attributes_type")]
    try:
        return ModelRunRequest.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        return [_as_fastapi(dict(problem)) for problem in found]


def not_a_run_id(text: str) -> list[dict[str, Any]]:
    """Say that a path holds no run id."""
    refusal = _refusal("path", "Input should be a valid UUID", "uuid_parsing")
    return [{**refusal, "loc": ("path", "model_run_id"), "input": text}]


def _as_fastapi(problem: dict[str, Any]) -> dict[str, Any]:
    problem["loc"] = ("body", *problem["loc"])
    if problem["type"] == "json_invalid":
        # The input would be the whole body, as bytes that may not even be text.
        problem["input"] = {}
    return problem


def _refusal(where: str, message: str, kind: str) -> dict[str, Any]:
    return {"type": kind, "loc": (where,), "msg": message, "input": None}
