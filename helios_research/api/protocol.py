"""Helios' protocol without the network: which request to make, and what an answer means.

Every answer is classified here and nowhere else, the ones that never came too. Reading an answer
never raises: whatever a server, a proxy or a login page sends is a `Success` or a `Failure`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_snake
from pydantic_core import from_json

from helios_research.api.answers import Answer, Failure, FailureKind, Success
from helios_research.api.records import Account, CreatedRun, ModelRun, RunRequest
from helios_research.codes import RECORDING_CHANGED, TIMED_OUT, UNREACHABLE, UNREADABLE_ANSWER
from helios_research.config import is_loopback

__all__ = ["Answer", "Failure", "FailureKind", "Success"]

ACCOUNT_PATH = "/v1/account"
RUNS_PATH = "/v1/models/mental-wellness"
KEY_HEADER = "x-api-key"

# An answer with one section is about 1 kB, and a transcript of 3 minutes a few kB more.
MAX_ANSWER_BYTES = 16 * 1024 * 1024

# A wrong date or a hostile number must not put a study to sleep; what is still refused after this
# wait says so again.
MAX_RETRY_AFTER_S = 120.0

_ACCOUNT_STATUSES = frozenset({401, 402, 403})
_ROW_STATUSES = frozenset({400, 409, 413, 422})
_GONE_STATUSES = frozenset({404, 410})
_PASSING_STATUSES = frozenset({408, 425})
_EXPIRED_UPLOAD_STATUSES = frozenset({401, 403, 404, 410})
_EXPIRED_UPLOAD_CODES = frozenset({"ExpiredToken", "AccessDenied"})
# These refuse the way in which an upload is made, whichever recording it is: something on the
# way takes the length away, or the address takes no uploads.
_REFUSED_UPLOAD_STATUSES = frozenset({405, 407, 411, 501})
_WORDS_OF_SERVER = 200

V = TypeVar("V", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the API, all but the key."""

    method: str
    path: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came, before anyone has understood it.

    Attributes
    ----------
    status
        HTTP status.
    headers
        Header fields, names in lower case.
    body
        At most `MAX_ANSWER_BYTES`; not in the repr, since it may hold an upload URL.
    is_whole
        False where the answer was longer than that.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    is_whole: bool = True


class Trouble(Enum):
    """Why no answer came."""

    TIMED_OUT = "no complete answer came in time"
    UNREACHABLE = "no connection could be made"
    BROKEN_OFF = "the connection broke off before the answer was complete"
    UNTRUSTED = "the server does not prove who it is"
    PROXY = "the proxy refuses to pass the request on"


# --- requests -----------------------------------------------------------------------------------


def account_call() -> Call:
    """Build the request for the account, the cheapest that proves a key.

    Returns
    -------
    Call
        The request.
    """
    return Call("GET", ACCOUNT_PATH)


def create_call(request: RunRequest, *, delete_data: bool = False) -> Call:
    """Build the request that creates a model run.

    Parameters
    ----------
    request
        The recording's metadata.
    delete_data
        Whether Helios deletes everything 12 hours after completion.

    Returns
    -------
    Call
        The request.
    """
    body = request.to_record() | ({"deleteData": True} if delete_data else {})
    return Call("POST", RUNS_PATH, json.dumps(body, ensure_ascii=False).encode())


def fetch_call(run_id: str) -> Call:
    """Build the request for how things stand with a model run.

    Parameters
    ----------
    run_id
        Helios' id of the run.

    Returns
    -------
    Call
        The request.
    """
    return Call("GET", f"{RUNS_PATH}/{quote(run_id, safe='')}")


# --- answers of the API -------------------------------------------------------------------------


def read_account(reply: Reply, now: datetime) -> Answer[Account]:
    """Read the answer to `account_call`.

    Parameters
    ----------
    reply
        The answer.
    now
        This moment, for a ``Retry-After`` that is a date.

    Returns
    -------
    Answer
        The account. An answer that is none says that this is not Helios, since nothing has yet
        spoken for it.
    """
    refusal = _refusal(reply, now)
    if refusal is not None:
        return refusal
    answer = _read(reply, Account)
    if isinstance(answer, Failure):
        return _not_helios(reply, _what_came(reply))
    return answer


def read_created(
    reply: Reply, now: datetime, request: RunRequest, base_url: str
) -> Answer[CreatedRun]:
    """Read the answer to `create_call`.

    Parameters
    ----------
    reply
        The answer.
    now
        This moment.
    request
        What was asked, to name the tags that were not accepted.
    base_url
        Where it was asked, since it decides which upload URLs are safe.

    Returns
    -------
    Answer
        The run and its upload URL. The URL is not in `Success.raw`, which may be kept.
    """
    if reply.status in _ROW_STATUSES:
        return _rejected(reply, request)
    refusal = _refusal(reply, now)
    if refusal is not None:
        return refusal
    answer = _read(reply, CreatedRun)
    if isinstance(answer, Failure):
        return answer
    problem = upload_url_problem(answer.value.recording_upload_url, base_url)
    if problem is not None:
        return _not_helios(reply, f"its upload URL {problem}")
    raw = {name: value for name, value in answer.raw.items() if name != "recordingUploadUrl"}
    return Success(answer.value, raw, reply.status)


def read_run(reply: Reply, now: datetime, run_id: str) -> Answer[ModelRun]:
    """Read the answer to `fetch_call`.

    Parameters
    ----------
    reply
        The answer.
    now
        This moment.
    run_id
        The run that was asked for: an answer about another one, as a cache on the way may give,
        is not believed.

    Returns
    -------
    Answer
        The state of the run.
    """
    if reply.status in _GONE_STATUSES and not _looks_like_html(reply):
        return _failure(FailureKind.GONE, reply, "Helios does not have this model run any more.")
    refusal = _refusal(reply, now, others=FailureKind.RETRY)
    if refusal is not None:
        return refusal
    answer = _read(reply, ModelRun)
    if isinstance(answer, Success) and answer.value.id.lower() != run_id.lower():
        return _unreadable(reply, "the answer is about another model run")
    return answer


def _refusal(
    reply: Reply, now: datetime, *, others: FailureKind = FailureKind.NOT_HELIOS
) -> Failure | None:
    """Classify a status that means the same wherever the API gives it; None for success."""
    status = reply.status
    if 200 <= status < 300:
        return None
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _failure(FailureKind.RATE_LIMITED, reply, "Helios asks to slow down.", now)
    if status in _PASSING_STATUSES or status >= 500:
        return _failure(FailureKind.RETRY, reply, "Helios could not answer.", now)
    if status in _ACCOUNT_STATUSES:
        return _failure(FailureKind.ACCOUNT, reply, "Helios refuses the API key.")
    if 300 <= status < 400:
        return _not_helios(reply, f"it redirects to {_redirect_target(reply)}")
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED or others is FailureKind.NOT_HELIOS:
        return _not_helios(reply, _what_came(reply))
    return _failure(others, reply, "Helios gave an answer that it does not document.", now)


def _read(reply: Reply, record: type[V]) -> Answer[V]:
    if not reply.is_whole:
        return _unreadable(reply, f"it is longer than {MAX_ANSWER_BYTES // 2**20} MB")
    try:
        raw = from_json(reply.body)
    except ValueError:
        return _unreadable(reply, _what_came(reply))
    if not isinstance(raw, dict):
        return _unreadable(reply, "it is JSON but not an object")
    try:
        return Success(record.read(raw), raw, reply.status)  # type: ignore[attr-defined]
    except ValidationError as problem:
        missing = ", ".join(str(error["loc"][0]) for error in problem.errors() if error["loc"])
        return _unreadable(reply, f"it says nothing usable about: {missing}")


def _rejected(reply: Reply, request: RunRequest) -> Failure:
    columns = _columns_of(reply, tuple(request.tags))
    if columns:
        listed = "; ".join(f"{column}: {message}" for column, message in columns.items())
        reason = f"Helios did not accept {listed}."
    else:
        reason = f"Helios did not accept the request.{_words(reply)}"
    return _failure(FailureKind.ROW, reply, reason, columns=columns)


# --- answers of the upload host -----------------------------------------------------------------


def read_upload(reply: Reply, now: datetime) -> Answer[None]:
    """Read the upload host's answer.

    Parameters
    ----------
    reply
        The answer.
    now
        This moment.

    Returns
    -------
    Answer
        Success, or a failure. 429 is `FailureKind.RETRY` here, since this host does not count
        towards the API's limit. The host's error code is quoted, its other words are not: they
        may hold the signature.
    """
    status = reply.status
    if 200 <= status < 300:
        return Success(None, {}, status)
    code = _storage_code(reply.body)
    said = f" ({code})" if code else ""
    expired = status in _EXPIRED_UPLOAD_STATUSES or code in _EXPIRED_UPLOAD_CODES
    if expired:
        reason = f"The upload host does not take this upload URL any more{said}."
        return _failure(FailureKind.URL_EXPIRED, reply, reason)
    if 300 <= status < 400:
        where = _redirect_target(reply)
        return _not_helios(reply, f"its upload host redirects to {where}")
    if status in _REFUSED_UPLOAD_STATUSES:
        return _not_helios(reply, f"its upload host refuses uploads{said}")
    if status in {413, 415} or code == "EntityTooLarge":
        return _failure(FailureKind.ROW, reply, f"The upload host refuses this recording{said}.")
    return _failure(FailureKind.RETRY, reply, f"The upload host did not take it{said}.", now)


def upload_url_problem(url: str, base_url: str) -> str | None:
    """Say why a recording must not be sent to an upload URL.

    Parameters
    ----------
    url
        The upload URL that came with a model run.
    base_url
        The API's base URL: http is only for an API on this machine with uploads to this machine.

    Returns
    -------
    str or None
        The end of a sentence that begins with "the upload URL"; None where all is well.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if not host or port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        return "is not a URL"
    if "@" in parts.netloc:
        return "holds a password"
    local = is_loopback(host) and is_loopback(urlsplit(base_url).hostname)
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        return "is not https"
    return None


def refused_upload_url(problem: str) -> Failure:
    """Give the failure for an upload URL that `upload_url_problem` has something against.

    Parameters
    ----------
    problem
        What it said.

    Returns
    -------
    Failure
        `FailureKind.NOT_HELIOS`.
    """
    return Failure(FailureKind.NOT_HELIOS, UNREADABLE_ANSWER, f"its upload URL {problem}")


def recording_changed(reason: str) -> Failure:
    """Give the failure for a recording that is not what it was when it was checked.

    Parameters
    ----------
    reason
        What is the matter, as a sentence.

    Returns
    -------
    Failure
        `FailureKind.CHANGED`.
    """
    return Failure(FailureKind.CHANGED, RECORDING_CHANGED, reason)


# --- answers that never came --------------------------------------------------------------------


def unanswered(trouble: Trouble, detail: str = "") -> Failure:
    """Classify a request that got no complete answer.

    Parameters
    ----------
    trouble
        What went wrong.
    detail
        The operating system's or OpenSSL's words for it.

    Returns
    -------
    Failure
        To be tried again; but `FailureKind.NOT_HELIOS` for a server that cannot prove who it is
        and for a proxy that refuses, since trying again changes neither.
    """
    said = f" ({detail})" if detail else ""
    if trouble in (Trouble.UNTRUSTED, Trouble.PROXY):
        return Failure(FailureKind.NOT_HELIOS, UNREACHABLE, f"{trouble.value}{said}")
    code = TIMED_OUT if trouble is Trouble.TIMED_OUT else UNREACHABLE
    return Failure(FailureKind.RETRY, code, f"{trouble.value.capitalize()}{said}.")


# --- the parts ----------------------------------------------------------------------------------


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Read how long a server asks to wait.

    Parameters
    ----------
    headers
        Header fields, names in lower case.
    now
        This moment, used where the server does not say what time it thinks it is.

    Returns
    -------
    float or None
        Seconds, 0 to `MAX_RETRY_AFTER_S`; None where it does not say, or not understandably.

    Notes
    -----
    ``Retry-After`` is a whole number of seconds or a date (RFC 9110, section 10.2.3); decimals
    are sent too. A date is compared with the server's own ``Date``, so that a wrong clock here
    or there does not matter.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        seconds = float(text)
    else:
        moment = _http_date(text)
        if moment is None:
            return None
        seconds = (moment - (_http_date(headers.get("date", "")) or now)).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _failure(
    kind: FailureKind,
    reply: Reply,
    reason: str,
    now: datetime | None = None,
    *,
    columns: dict[str, str] | None = None,
) -> Failure:
    wait = None if now is None else retry_after(reply.headers, now)
    code = f"HTTP_{reply.status}"
    words = "" if columns is not None or "upload host" in reason else _words(reply)
    return Failure(kind, code, f"{reason}{words}", wait, columns or {}, reply.status)


def _not_helios(reply: Reply, what: str) -> Failure:
    return Failure(FailureKind.NOT_HELIOS, f"HTTP_{reply.status}", what, status=reply.status)


def _unreadable(reply: Reply, what: str) -> Failure:
    reason = f"An answer came that could not be read: {what}."
    return Failure(FailureKind.RETRY, UNREADABLE_ANSWER, reason, status=reply.status)


def _what_came(reply: Reply) -> str:
    if _looks_like_html(reply):
        return f"HTTP {reply.status} with a web page"
    if not reply.body:
        return f"HTTP {reply.status} with nothing in it"
    kind = reply.headers.get("content-type", "").partition(";")[0].strip()
    named = f" of type {kind}" if re.fullmatch(r"[\w.+/-]{1,60}", kind) else ""
    return f"HTTP {reply.status} with {len(reply.body)} bytes{named}"


def _looks_like_html(reply: Reply) -> bool:
    declared = reply.headers.get("content-type", "").lower()
    return "html" in declared or reply.body.lstrip()[:1] == b"<"


def _redirect_target(reply: Reply) -> str:
    """Name where a redirect leads, without its path and query, which may hold secrets."""
    try:
        parts = urlsplit(reply.headers.get("location", ""))
        host = parts.hostname
    except ValueError:
        host = None
    return f"{parts.scheme}://{host}" if host and parts.scheme else "another address"


def _storage_code(body: bytes) -> str:
    found = re.search(rb"<Code>([A-Za-z]{1,64})</Code>", body)
    return found.group(1).decode() if found else ""


def _object(reply: Reply) -> dict[str, Any]:
    try:
        found = from_json(reply.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _words(reply: Reply) -> str:
    """Quote what an API's error body says, where it is a sentence."""
    said = _object(reply)
    words = said.get("detail") or said.get("message") or said.get("error")
    if not isinstance(words, str):
        return ""
    line = " ".join(words.split())
    return f" It says: {line[:_WORDS_OF_SERVER]}" if line else ""


def _columns_of(reply: Reply, tags: tuple[str, ...]) -> dict[str, str]:
    """Turn the field messages of a 422 into messages about the manifest's columns."""
    details = _object(reply).get("detail")
    columns: dict[str, str] = {}
    for item in details if isinstance(details, list) else ():
        if not isinstance(item, dict):
            continue
        place, message = item.get("loc"), item.get("msg")
        column = _column_at(place if isinstance(place, list) else [], tags)
        words = " ".join(message.split()) if isinstance(message, str) else "not accepted"
        columns.setdefault(column, words[:_WORDS_OF_SERVER])
    return columns


def _column_at(place: list[Any], tags: tuple[str, ...]) -> str:
    """Name the manifest's column that a place in the request's body stands for."""
    steps = [step for step in place if step not in ("body", "user")]
    if not steps:
        return "the request"
    if steps[0] == "tags":
        index = steps[1] if len(steps) > 1 else None
        known = isinstance(index, int) and 0 <= index < len(tags)
        return tags[index] if known else "tags"  # type: ignore[index]
    return to_snake(str(steps[0]))
