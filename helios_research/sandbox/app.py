"""The API: what Helios accepts, and how it answers.

Written from the API's contract alone and on purpose without the client's own models, so that a
mistake there cannot be mirrored here. Refusals have the shape of FastAPI's.
"""

import hashlib
import hmac
import json
import math
import re
import uuid
from datetime import UTC, datetime
from email.utils import format_datetime
from math import sqrt
from statistics import NormalDist, fmean
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
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from helios_research.sandbox.core import (
    Assessment,
    Core,
    Run,
    RunCreated,
    RunState,
    note_disconnect,
)

RUNS_PATH = "/v1/models/mental-wellness"
ACTIVITY_PATH = "/v1/models/mental-wellness-activity"
LINK_LIFETIME_S = 60 * 24 * 3600.0
"""How long a link to an activity is valid, in seconds; how long at Helios is not documented."""
MAX_BODY_BYTES = 1024**2
MAX_TAGS = 20
LANGUAGE = r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_LOCAL_TIME = _DATE + r"T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,6})?)?"


def _iso(pattern: str, what: str) -> AfterValidator:
    def checked(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"not an ISO 8601 {what}")
        datetime.fromisoformat(text)
        return text

    return AfterValidator(checked)


class _Wire(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, alias_generator=to_camel)


class Speaker(_Wire):
    """The speaker of a recording."""

    user_label: str = Field(min_length=1, max_length=50)
    date_of_birth: Annotated[str, _iso(_DATE, "date such as 1990-01-31")]
    birth_sex: Literal["MALE", "FEMALE", "INTERSEX", "UNKNOWN"]


class Tag(_Wire):
    """A name and its value."""

    name: str = Field(min_length=1)
    value: str


def _unique_names(tags: list[Tag]) -> list[Tag]:
    if len({tag.name for tag in tags}) < len(tags):
        raise ValueError("tag names must be unique within a run")
    return tags


LocalTime = Annotated[
    str, _iso(_LOCAL_TIME, "date and time without a time zone, such as 2026-01-31T07:30:00")
]


class ModelRunRequest(_Wire):
    """The body of a request for a model run."""

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
    """Read the body of a request for a model run, or list what is wrong with it."""
    media_type = content_type.partition(";")[0].strip().lower()
    if not re.fullmatch(r"application/([^/]+[+])?json", media_type):
        return [_refusal("body", "Input should be a valid dictionary", "model_attributes_type")]
    try:
        return ModelRunRequest.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
    # Of invalid JSON the input would be the whole body, as bytes that may not even be text.
    return [
        {**problem, "loc": ("body", *problem["loc"])}
        | ({"input": {}} if problem["type"] == "json_invalid" else {})
        for problem in found
    ]


def _refusal(where: str, message: str, kind: str) -> dict[str, Any]:
    return {"type": kind, "loc": (where,), "msg": message, "input": None}


def make_api(core: Core) -> ASGIApp:
    """Put the API together."""
    api = Api(core)
    routes = [
        Route("/v1/account", api.account, methods=["GET"]),
        Route(RUNS_PATH, api.create, methods=["POST"]),
        Route(ACTIVITY_PATH, api.create, methods=["POST"]),
        Route(f"{RUNS_PATH}/{{model_run_id}}", api.fetch, methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={ClientDisconnect: note_disconnect})
    return core.wrap(_with_key(app, core), "api")


def _with_key(app: ASGIApp, core: Core) -> ASGIApp:
    """Let requests in that have the key, at the rate and after the delay of the settings."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        wanted = _not_let_in(Request(scope), core) or app
        await core.pause(core.settings.latency_s)
        await wanted(scope, receive, send)

    return answer


def _not_let_in(request: Request, core: Core) -> Response | None:
    given = request.headers.get("x-api-key", "")
    has_key = hmac.compare_digest(given.encode(), core.settings.api_key.encode())
    if core.quota is not None:
        has_key &= request.url.path.startswith("/v1/")
        return _refused_by_gateway(core) if has_key else _of_gateway("Forbidden", 403)
    if not has_key:
        return JSONResponse({"detail": "Missing or unknown API key"}, 401)
    now, style = core.clock(), core.settings.retry_after
    wait_s = core.bucket.wait_s(now)
    if wait_s <= 0:
        return None
    then = datetime.fromtimestamp(math.ceil(now + wait_s), UTC)
    when = str(math.ceil(wait_s)) if style == "seconds" else format_datetime(then, usegmt=True)
    headers = {} if style == "absent" else {"retry-after": when}
    return JSONResponse({"detail": "Too many requests"}, 429, headers)


def _refused_by_gateway(core: Core) -> Response | None:
    core.quota = (core.quota or 0) - 1
    if core.quota < 0:
        return _of_gateway("Limit Exceeded", 429)
    too_fast = core.bucket.wait_s(core.clock()) > 0
    return _of_gateway("Too Many Requests", 429) if too_fast else None


def _of_gateway(message: str, status: int) -> Response:
    return JSONResponse({"message": message}, status)


class Api:
    """Answers each request."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def account(self, request: Request) -> Response:  # noqa: ARG002 (Starlette passes it)
        """Name the account of the key."""
        account = hashlib.sha256(self._core.settings.api_key.encode()).hexdigest()[:12]
        return JSONResponse({"id": f"sandbox-{account}", "features": ["mental-wellness"]})

    async def create(self, request: Request) -> Response:
        """Create a model run: for a recording, or for a participant who records."""
        body = await _read(request)
        if body is None:
            return JSONResponse({"detail": "Request body too large"}, 413)
        wanted = read_request(body, request.headers.get("content-type", ""))
        if isinstance(wanted, list):
            return _unprocessable(wanted)
        core = self._core
        run = core.runs.create(wanted.user.user_label, delete_data=wanted.delete_data)
        core.note(RunCreated(core.now(), run.run_id, json.loads(body)))
        if request.url.path == ACTIVITY_PATH:
            field, path, lifetime_s = "activityUrl", f"/activity/{run.run_id}", LINK_LIFETIME_S
        else:
            field, path, lifetime_s = "recordingUploadUrl", f"/recordings/{run.run_id}", None
        query = core.signer.query(path, core.clock(), lifetime_s)
        return JSONResponse({"id": run.run_id, field: f"{core.upload_url}{path}?{query}"})

    async def fetch(self, request: Request) -> Response:
        """Give the state of a run, and its results."""
        text = request.path_params["model_run_id"]
        try:
            run_id = str(uuid.UUID(text))
        except ValueError:
            refusal = _refusal("path", "Input should be a valid UUID", "uuid_parsing")
            return _unprocessable([refusal | {"loc": ("path", "model_run_id"), "input": text}])
        run = self._core.runs.find(run_id)
        if run is None:
            return JSONResponse({"detail": "Model run not found"}, 404)
        return JSONResponse(self._describe(run))

    def _describe(self, run: Run) -> dict[str, Any]:
        runs = self._core.runs
        state = runs.state(run)
        is_complete = state in (RunState.COMPLETE_OK, RunState.COMPLETE_ERROR)
        assessment = (runs.assessment(run) if is_complete else None) or Assessment()
        sections = _sections(run, assessment, self._core.settings.sections) if is_complete else None
        return {
            "id": run.run_id,
            "createdAt": _moment(run.created_at),
            "status": state,
            "userLabel": run.user_label,
            "deleteData": run.delete_data,
            "runAt": None if state is RunState.CREATED else _moment(run.picked_up_at),
            "completedAt": _moment(runs.completed_at(run)) if is_complete else None,
            "errorCode": assessment.error_code,
            "errorReason": assessment.error_reason,
            "warnings": list(assessment.warnings) or None,
            "results": None if sections is None else {"sections": sections},
            # Not part of Helios' contract: the reader of a raw answer has to know.
            "source": "sandbox",
            "synthetic": True,
        }


def _sections(run: Run, assessment: Assessment, number: int) -> list[dict[str, Any]] | None:
    if assessment.error_code is not None or run.sha256 is None:
        return None
    length_s = assessment.duration_s / number
    found = []
    for position in range(number):
        scores = expected_scores(run.sha256, run.user_label, section=position)
        found.append(
            {
                "startSecs": round(position * length_s, 3),
                "finishSecs": round((position + 1) * length_s, 3),
                "transcript": transcript(run.sha256, length_s),
                **{to_camel(name): {"value": value} for name, value in scores.items()},
            }
        )
    return found


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def _unprocessable(problems: list[dict[str, Any]]) -> Response:
    # The input is echoed as FastAPI does; it may hold numbers that JSON cannot express.
    body = to_json({"detail": problems}, inf_nan_mode="null", fallback=repr)
    return Response(body, 422, media_type="application/json")


async def _read(request: Request) -> bytes | None:
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > MAX_BODY_BYTES:
            return None
    return bytes(body)


# The scores are synthetic: deterministic, plausible in shape, and about no one. A score depends on the
# audio's bytes and on the speaker's label alone: not on tags, demographics, order or time. So an analysis
# that finds a difference between two arms of sandbox results has found chance.
#
# Each dimension is a standard normal latent value made of a part that all dimensions share and a part of
# its own. 70 % of the variance of both lies between participants, 30 % between the recordings of one
# participant. The continuous ("uniform") score is the latent value's normal probability, hence uniform
# from 0 to 1 over a population; the bucketed score is its quarter; mental strain is the mean of the five.
# The proportions are our choice, not properties of Helios.
BETWEEN_PARTICIPANTS = 0.7
SHARED_BY_DIMENSIONS = 0.4
LEVELS = (0.0, 0.33, 0.66, 1.0)
TRANSCRIPT_MARK = "SYNTHETIC TRANSCRIPT"

_DIMENSIONS = ("distress", "stress", "exhaustion", "sleep_propensity", "low_self_esteem")
_STANDARD_NORMAL = NormalDist()


def expected_scores(sha256: str, user_label: str, *, section: int = 0) -> dict[str, float]:
    """Compute the scores, from 0 to 1, that audio (named by its SHA-256) of a speaker gets."""
    shared = _latent("shared", sha256, user_label, section)
    uniform = {}
    for name in _DIMENSIONS:
        own = _latent(name, sha256, user_label, section)
        latent = sqrt(SHARED_BY_DIMENSIONS) * shared + sqrt(1 - SHARED_BY_DIMENSIONS) * own
        uniform[name] = round(_STANDARD_NORMAL.cdf(latent), 4)
    return {
        "mental_strain": round(fmean(uniform.values()), 4),
        **{name: level_of(value) for name, value in uniform.items()},
        **{f"uniform_{name}": value for name, value in uniform.items()},
    }


def level_of(uniform: float) -> float:
    """Give the level of a continuous score: its quarter."""
    return LEVELS[min(int(uniform * len(LEVELS)), len(LEVELS) - 1)]


def transcript(sha256: str, duration_s: float) -> str:
    """Write the text that replaces a transcript."""
    return (
        f"[{TRANSCRIPT_MARK} of audio {sha256[:12]}: {duration_s:.1f} s; "
        "the sandbox does not write down what was said]"
    )


def _latent(dimension: str, sha256: str, user_label: str, section: int) -> float:
    person = _normal("participant", dimension, user_label)
    reading = _normal("recording", dimension, user_label, sha256, str(section))
    return sqrt(BETWEEN_PARTICIPANTS) * person + sqrt(1 - BETWEEN_PARTICIPANTS) * reading


def _normal(*causes: str) -> float:
    digest = hashlib.sha256(json.dumps(causes).encode()).digest()
    # 53 bits fill a float's mantissa; the half keeps clear of 0 and 1, where a normal has no value.
    fraction = ((int.from_bytes(digest[:8]) >> 11) + 0.5) / 2**53
    return _STANDARD_NORMAL.inv_cdf(fraction)
