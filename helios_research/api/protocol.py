"""Helios' protocol without the network: which request to make, and what an answer means.

Every answer is classified here and nowhere else, the ones that never came too. Reading an answer
never raises: whatever a server, a proxy or a login page sends is a `Success` or a `Failure`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pydantic import ValidationError
from pydantic_core import from_json

from helios_research._util.text import composed
from helios_research.api.models import (
    Account,
    ApiResult,
    CreatedRun,
    InvitedRun,
    ModelRun,
    RunRequest,
)
from helios_research.api.transport import (
    MAX_RESPONSE_BYTES,
    Failure,
    FailureKind,
    Response,
    Result,
    Success,
)
from helios_research.codes import ANSWER_MIXED_UP, TIMED_OUT, UNREACHABLE, UNREADABLE_ANSWER
from helios_research.errors import PROXY_EXAMPLE
from helios_research.network import NO_TLS, Proxy, is_loopback

ACCOUNT_PATH = "/v1/account"
RUNS_PATH = "/v1/models/mental-wellness"
ACTIVITY_PATH = "/v1/models/mental-wellness-activity"
LINK_FIELD = "activityUrl"
"""Where an invitation's link is. This name could not be verified: without it, the one link counts."""
KEY_HEADER = "x-api-key"

# Of the statuses below only 401, 404 and 422 are documented for Helios; the others are read as
# RFC 9110 and 6585 mean them. 403 is also how an AWS gateway answers a key or an address that it does
# not know, and 402 the answer to an account without credit.
_COULD_NOT_ANSWER = (FailureKind.RETRY, "Helios could not answer.")
_UNPAID = "Helios asks for payment: the account has no credit for more runs. Ask thymia."
_MEANINGS = {
    **dict.fromkeys((401, 403), (FailureKind.ACCOUNT, "Helios refuses the API key.")),
    402: (FailureKind.REFUSED, _UNPAID),
    **dict.fromkeys((408, 425), _COULD_NOT_ANSWER),
    429: (FailureKind.RATE_LIMITED, "Helios asks to slow down."),
}
_ROW_STATUSES = frozenset({400, 409, 413, 422})
_GONE_STATUSES = frozenset({404, 410})

# Such a gateway says "Too Many Requests" of a pace, and this of a quota that does not come back soon.
_QUOTA = re.compile(r"limit exceeded\W*|.*\bquota\b.*", re.IGNORECASE)

# Object storage: 403 AccessDenied "Request has expired" once the URL has, 400 ExpiredToken where it was
# signed with credentials that have. A new run brings a new URL, and helps in no other case.
_EXPIRED_UPLOAD = re.compile(rb"ExpiredToken|has expired", re.IGNORECASE)
# These refuse the way in which an upload is made, whichever recording it is (something on the way takes
# the length away, or the address takes no uploads), this recording, or an upload that no repetition
# and no other run mends.
_REFUSED_UPLOAD_STATUSES = frozenset({405, 407, 411, 501})
_REFUSED_RECORDING_STATUSES = frozenset({413, 415})
_LASTING_UPLOAD_STATUSES = frozenset({401, 403, 404, 410, 412, 413, 415})
_TOO_LARGE_CODE = "EntityTooLarge"
_CLOCK_CODE = "RequestTimeTooSkewed"
_UPLOAD_WORDS = {
    _TOO_LARGE_CODE: "The recording is larger than the upload host takes",
    "SignatureDoesNotMatch": "The upload host does not recognize its own upload URL: something on the "
    "way, such as a proxy, changes uploads",
    "PreconditionFailed": "The upload host sets a condition that no upload of a recording meets",
    "RequestTimeout": "The bytes of the recording came too slowly for the upload host",
}

R = TypeVar("R", bound=ApiResult)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request to the API, all but the key."""

    method: str
    path: str
    content: bytes | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Header fields; ``identity`` so that no small answer unpacks into a huge one."""
        body = {} if self.content is None else {"Content-Type": "application/json"}
        asked = {"Accept": "application/json", "Accept-Encoding": "identity"}
        return asked | {"Cache-Control": "no-cache"} | body


def account_request() -> ApiRequest:
    """Build the request for the account, the cheapest that proves a key."""
    return ApiRequest("GET", ACCOUNT_PATH)


def create_request(
    request: RunRequest, *, delete_data: bool = False, path: str = RUNS_PATH
) -> ApiRequest:
    """Build the request that creates a model run; by ``ACTIVITY_PATH``, one to invite to."""
    body = request.to_record() | ({"deleteData": True} if delete_data else {})
    return ApiRequest("POST", path, json.dumps(body, ensure_ascii=False).encode())


def fetch_request(run_id: str) -> ApiRequest:
    """Build the request for how things stand with a model run."""
    escaped = quote(run_id, safe="")
    # Dots alone would lead to another path.
    return ApiRequest("GET", f"{RUNS_PATH}/{escaped if run_id.strip('.') else '%2E' * len(run_id)}")


def read_account(response: Response) -> Result[Account]:
    """Read the answer to `account_request`."""
    result = _read(response, Account)
    body = response.body.strip()
    broke_off = body[:1] == b"{" and body[-1:] != b"}"
    if isinstance(result, Failure) and result.code == UNREADABLE_ANSWER and not broke_off:
        return _not_helios(response, response.description)
    return result


def read_created(response: Response, request: RunRequest, base_url: str) -> Result[CreatedRun]:
    """Read the answer to `create_request`."""
    result = _read_new(response, request, CreatedRun)
    if isinstance(result, Failure):
        return result
    problem = upload_url_problem(result.value.recording_upload_url, base_url)
    if problem is not None:
        return _not_helios(response, f"its upload URL {problem}")
    raw = {name: value for name, value in result.raw.items() if name != "recordingUploadUrl"}
    return replace(result, raw=raw)


def read_invited(response: Response, request: RunRequest, base_url: str) -> Result[InvitedRun]:
    """Read the answer to `create_request` by ``ACTIVITY_PATH``; its link is a secret."""
    result = _read_new(response, request, InvitedRun)
    if isinstance(result, Failure):
        return result
    raw: dict[str, Any] = {}
    links: dict[str, str] = {}
    for name, value in result.raw.items():
        is_link = isinstance(value, str) and upload_url_problem(value, base_url) is None
        (links if is_link else raw)[name] = value
    link = links.get(LINK_FIELD) or (next(iter(links.values())) if len(links) == 1 else None)
    if link is None:
        reason = (
            f"Helios created the run {result.value.id} to invite a participant to, and its answer has "
            f"{'several links' if links else 'no link'} (it has {', '.join(result.raw)}). Report this "
            "sentence to thymia, and to the makers of helios_research."
        )
        return Failure(FailureKind.REFUSED, UNREADABLE_ANSWER, reason, status=response.status)
    return replace(result, value=result.value.model_copy(update={"link": link}), raw=raw)


def read_run(response: Response, run_id: str, user_label: str) -> Result[ModelRun]:
    """Read the answer to `fetch_request`; one about another run or participant is not believed."""
    if response.status in _GONE_STATUSES and not response.is_of_gateway:
        return _failure(FailureKind.GONE, response, "Helios does not have this model run.")
    result = _read(response, ModelRun, others=FailureKind.RETRY)
    if isinstance(result, Failure):
        return result
    if result.value.id != run_id and result.value.id.lower() != _uuid(run_id):
        return mixed_up("another model run", response.status)
    if _names_another(result.raw, user_label):
        return mixed_up("another participant", response.status)
    return result


def _uuid(run_id: str) -> str | None:
    """Write an id as UUIDs are, whose letters have no case; None where it is no UUID."""
    lowered = run_id.lower()
    return lowered if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lowered) else None


def _names_another(raw: Mapping[str, Any], user_label: str) -> bool:
    """Whether an answer says that it is about another participant; one without a name does not."""
    named = raw.get("userLabel")
    return named is not None and composed(str(named)) != composed(user_label)


def mixed_up(about: str, status: int | None = None) -> Failure:
    """Give the failure for an answer that belongs to another request."""
    reason = f"An answer was about {about}, so it was not used."
    return Failure(FailureKind.RETRY, ANSWER_MIXED_UP, reason, status=status)


def _refusal(response: Response, others: FailureKind) -> Failure | None:
    """Classify a status that means the same wherever the API gives it; None for success."""
    status = response.status
    if 200 <= status < 300:
        return None
    meaning = _meaning_of(response)
    if meaning is not None:
        return _failure(meaning[0], response, meaning[1])
    if 300 <= status < 400:
        return _not_helios(response, f"it redirects to {response.redirects_to}")
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED or others is FailureKind.NOT_HELIOS:
        return _not_helios(response, response.description)
    return _failure(others, response, "Helios gave an answer that it does not document.")


def _meaning_of(response: Response) -> tuple[FailureKind, str] | None:
    if response.status == HTTPStatus.TOO_MANY_REQUESTS and _QUOTA.fullmatch(response.words):
        reason = "The quota of this account is used up. Ask thymia when it is renewed."
        return FailureKind.REFUSED, reason
    if response.status == HTTPStatus.FORBIDDEN and response.is_web_page:
        reason = "A firewall refuses the request: ask those who run it to allow Helios."
        return FailureKind.RETRY, reason
    failed = _COULD_NOT_ANSWER if response.status >= 500 else None
    return _MEANINGS.get(response.status, failed)


def _read(
    response: Response, record: type[R], *, others: FailureKind = FailureKind.NOT_HELIOS
) -> Result[R]:
    refusal = _refusal(response, others)
    if refusal is not None:
        return refusal
    if not response.is_whole:
        return _unreadable(response, f"it is longer than {MAX_RESPONSE_BYTES // 2**20} MB")
    try:
        raw = from_json(response.body)
    except ValueError:
        return _unreadable(response, response.description)
    if not isinstance(raw, dict):
        return _unreadable(response, "it is JSON but not an object")
    try:
        return Success(record.read(raw), raw, response.status, response.used_up_s)
    except ValidationError as problem:
        lacking = ", ".join(str(error["loc"][0]) for error in problem.errors() if error["loc"])
        return _unreadable(response, f"it lacks {lacking}, or has something else in its place")


def _read_new(response: Response, request: RunRequest, record: type[R]) -> Result[R]:
    """Read what every answer to a request for a new run has in common."""
    if response.status in _ROW_STATUSES:
        if response.is_of_gateway:
            return _failure(FailureKind.RETRY, response, "Something refused the request.")
        columns = response.field_messages(tuple(request.tags)).items()
        listed = "; ".join(f"{column}: {message}" for column, message in columns)
        reason = f"Helios did not accept {listed or 'the request'}."
        return _failure(FailureKind.ROW, response, reason)
    result = _read(response, record)
    if isinstance(result, Success) and _names_another(result.raw, request.user_label):
        return mixed_up("another participant", response.status)
    return result


def read_upload(response: Response) -> Result[None]:
    """Read the upload host's answer."""
    status, code = response.status, response.storage_code
    if 200 <= status < 300:
        return Success(None, {}, status)
    said = f" ({code})" if code else ""
    if 300 <= status < 400:
        return _not_helios(response, f"its upload host redirects to {response.redirects_to}")
    if status in _REFUSED_UPLOAD_STATUSES:
        return _not_helios(response, f"its upload host refuses uploads, HTTP {status}{said}")
    if code == _CLOCK_CODE:
        kind, reason = FailureKind.REFUSED, _wrong_clock(response)
    elif _EXPIRED_UPLOAD.search(response.body):
        kind = FailureKind.URL_EXPIRED
        reason = "The upload host says that its upload URL has expired"
    # A page in place of the host's own XML is something on the way that lets no such file through.
    elif code == _TOO_LARGE_CODE or (
        status in _REFUSED_RECORDING_STATUSES and (code or not response.is_web_page)
    ):
        kind, reason = FailureKind.ROW, "The upload host refuses this recording"
    elif status in _LASTING_UPLOAD_STATUSES:
        kind, reason = FailureKind.UPLOAD_REFUSED, "The upload host refuses the recording"
    else:
        kind, reason = FailureKind.RETRY, "The upload host did not take the recording"
    words = f"{_UPLOAD_WORDS.get(code, reason)}{said or f' (HTTP {status})'}."
    return Failure(kind, f"HTTP_{status}", words, response.retry_after_s, status=status)


def _wrong_clock(response: Response) -> str:
    here, there = (
        f"{moment:%Y-%m-%d %H:%M}" for moment in (response.came_at, response.server_time)
    )
    return (
        f"This computer's clock is wrong: it shows {here} UTC, and the upload host's {there} UTC. "
        "Set its date, time and time zone"
    )


def refused_upload_url(url: str, base_url: str) -> Failure | None:
    """Give the failure for an upload URL to which a recording must not be sent."""
    problem = upload_url_problem(url, base_url)
    if problem is None:
        return None
    return Failure(FailureKind.NOT_HELIOS, UNREADABLE_ANSWER, f"its upload URL {problem}")


def upload_url_problem(url: str, base_url: str) -> str | None:
    """Say why a recording must not be sent to an upload URL."""
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


NO_ANSWER = "No complete answer came in time"
NO_CONNECTION = "No connection could be made"
BROKEN_OFF = "The connection broke off before the answer was complete"


def unanswered(what: str, detail: str = "", proxy: Proxy | None = None) -> Failure:
    """Classify a request that got no complete answer: one of the three above."""
    said = f": {detail}" if detail else ""
    through = f" through the proxy {proxy}" if proxy else ""
    code = TIMED_OUT if what == NO_ANSWER else UNREACHABLE
    return Failure(FailureKind.RETRY, code, f"{what}{through}{said}.")


def unanswered_by_proxy(proxy: Proxy, host: str, status: int) -> Failure:
    """Classify a proxy's refusal to connect to a host."""
    kind = FailureKind.NETWORK if 400 <= status < 500 else FailureKind.RETRY
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        words = (
            "asks for a user name and a password (HTTP 407), or does not take those that it gets. Set "
            f"them in its address: {PROXY_EXAMPLE}."
        )
    elif kind is FailureKind.NETWORK:
        words = (
            f"refuses to connect to {host} (HTTP {status}). Ask those who run it, such as your IT "
            f"department, to allow {host}."
        )
    else:
        words = f"could not connect to {host} (HTTP {status})."
    return Failure(kind, UNREACHABLE, f"The proxy {proxy} {words}")


def untrusted(host: str, doubt: str, proxy: Proxy | None = None) -> Failure:
    """Classify a server that does not prove who it is; nothing was sent to it."""
    if proxy is not None and proxy.url.startswith("https:"):
        host = f"{host}, or the proxy {proxy},"
        if doubt == NO_TLS:
            doubt = f"{doubt}: many proxies have to be written with http:// instead of https://"
    reason = (
        f"{host} does not prove who it is ({doubt}), so nothing was sent to it. Where a proxy of your "
        "institution opens encrypted connections, set SSL_CERT_FILE to the file of its certificate; "
        "otherwise something else answers in its place, such as a login page."
    )
    return Failure(FailureKind.NETWORK, UNREACHABLE, reason)


def _failure(kind: FailureKind, response: Response, reason: str) -> Failure:
    quoted = f" It says: {response.words}" if response.words else ""
    wait = response.retry_after_s
    return Failure(kind, f"HTTP_{response.status}", reason + quoted, wait, status=response.status)


def _not_helios(response: Response, what: str) -> Failure:
    return Failure(FailureKind.NOT_HELIOS, f"HTTP_{response.status}", what, status=response.status)


def _unreadable(response: Response, what: str) -> Failure:
    reason = f"An answer came that could not be read: {what}."
    return Failure(FailureKind.RETRY, UNREADABLE_ANSWER, reason, status=response.status)
