"""Why a recording cannot be read, in words; nothing of them shows a secret of its URL."""

import errno
import re
import socket
from http import HTTPStatus

from helios_research.errors import ConfigError, RecordingUnavailableError
from helios_research.network import causes, distrust, system_words

_NOT_CONNECTED = ("is on a network drive that is not connected", "connect it, then submit again")
_REASONS = {
    errno.ELOOP: ("is a symbolic link that leads back to itself", "correct the link"),
    errno.ENAMETOOLONG: ("has a name that is too long for this system", "shorten the name"),
    errno.ESTALE: _NOT_CONNECTED,
    errno.EIO: ("could not be read from its disk", "check the disk or the network drive"),
    errno.ENOTCONN: _NOT_CONNECTED,
}
_PASSING_REASONS = {errno.ESTALE, errno.ENOTCONN}

_GONE_STATUSES = {404, 410}
_REFUSED_STATUSES = {401, 403}
_PASSING_STATUSES = {408, 425, 429}
# What s3fs makes of a service that is overloaded or fails.
_BUSY = {errno.EBUSY, errno.EIO}

_CHECK_NETWORK = "check the network, then submit again"
_TRUST_PROXY = (
    "where a proxy of your institution opens encrypted connections, set SSL_CERT_FILE to the file of "
    "its certificate, then submit again"
)


def unavailable(
    location: str, error: BaseException, *, is_remote: bool
) -> RecordingUnavailableError:
    """Explain an error of reading; the location is without secrets already."""
    found = (_behind_a_server(location, error) if is_remote else None) or _on_a_disk(
        location, error
    )
    if found is not None:
        return found
    if isinstance(error, ImportError):
        return RecordingUnavailableError(
            location,
            f"needs another package ({error})",
            "install it, for s3:// helios-research[s3]",
        )
    # A URL may be in it, in some other spelling, and with a signature.
    words = re.sub(r"\?[^\s'\")]*", "", str(error)) or "no reason given"
    reason = f"cannot be read ({type(error).__name__}: {words})"
    return RecordingUnavailableError(location, reason, "check the location and try again")


def _on_a_disk(location: str, error: BaseException) -> RecordingUnavailableError | None:
    if isinstance(error, FileNotFoundError):
        remedy = "check the path, and the folder that it is relative to"
        return RecordingUnavailableError(location, "does not exist", remedy)
    if isinstance(error, PermissionError):
        remedy = "ask its owner, or check your credentials"
        return RecordingUnavailableError(location, "cannot be opened with your permissions", remedy)
    if isinstance(error, TimeoutError):
        reason = "cannot be read at the moment (its drive did not answer in time)"
        return RecordingUnavailableError(location, reason, _CHECK_NETWORK, may_pass=True)
    if isinstance(error, OSError) and error.errno in _REASONS:
        may_pass = error.errno in _PASSING_REASONS
        return RecordingUnavailableError(location, *_REASONS[error.errno], may_pass=may_pass)
    return None


def _behind_a_server(location: str, error: BaseException) -> RecordingUnavailableError | None:
    """Explain what a server answered, or that it did not; None where it was something else."""
    # Takes a moment, and only a remote recording needs it.
    from aiohttp import ClientHttpProxyError, ClientResponseError

    if isinstance(error, ConfigError):
        reason = "cannot be read at the moment"
        return RecordingUnavailableError(location, reason, str(error).rstrip("."), may_pass=True)
    # fsspec says of every failure that the file does not exist; what happened is behind that.
    for cause in causes(error):
        if isinstance(cause, ClientResponseError):
            by_proxy = isinstance(cause, ClientHttpProxyError)
            return _answered(location, cause.status, by_proxy=by_proxy)
    doubt = distrust(error)
    if doubt is not None:
        return _not_now(location, f"its server does not prove who it is: {doubt}", _TRUST_PROXY)
    return next(filter(None, (_without_answer(location, cause) for cause in causes(error))), None)


def _without_answer(location: str, cause: BaseException) -> RecordingUnavailableError | None:
    from aiohttp import ClientConnectionError, ClientPayloadError

    if isinstance(cause, TimeoutError):
        return _not_now(location, "its server did not answer in time", _CHECK_NETWORK)
    broken = (ConnectionError, socket.gaierror, ClientConnectionError, ClientPayloadError)
    if isinstance(cause, broken):
        words = system_words(cause)
        said = f"no connection to its server{': ' if words else ''}{words}"
        return _not_now(location, said, _CHECK_NETWORK)
    if isinstance(cause, OSError) and cause.errno in _BUSY:
        return _not_now(location, "its server is overloaded or fails", "submit again later")
    return None


def _not_now(location: str, what: str, remedy: str) -> RecordingUnavailableError:
    reason = f"cannot be read at the moment ({what})"
    return RecordingUnavailableError(location, reason, remedy, may_pass=True)


def _answered(location: str, status: int, *, by_proxy: bool) -> RecordingUnavailableError:
    phrase = f", {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else ""
    said = f"HTTP {status}{phrase}"
    if by_proxy or status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        remedy = "check HTTPS_PROXY and HTTP_PROXY, then submit again"
        return _not_now(location, f"the proxy does not let it through: {said}", remedy)
    if status in _GONE_STATUSES:
        return RecordingUnavailableError(location, f"does not exist ({said})", "check its address")
    if status in _REFUSED_STATUSES:
        reason = f"is not given out by its server ({said})"
        remedy = "renew its link, which may have expired, or check your credentials"
        return RecordingUnavailableError(location, reason, remedy)
    if status in _PASSING_STATUSES or status >= 500:
        return _not_now(location, f"its server answered {said}", "submit again later")
    reason = f"cannot be read (its server answered {said})"
    return RecordingUnavailableError(location, reason, "check its address")
