"""Where a recording's bytes are: a local file, or any address that fsspec can open."""

import errno
import hashlib
import io
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast
from urllib.parse import urlsplit, urlunsplit

from helios_research.errors import ConfigError, RecordingUnavailableError
from helios_research.network import Route, causes, distrust, system_words, trusted_certificates

_REMOTE_BLOCK_BYTES = 1_048_576
_IN_MEMORY_BYTES = 8_388_608
_BLOCK_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class Stamp:
    """Size and version of a recording: where both are unchanged, the recording is unchanged."""

    size_bytes: int | None
    version: str

    def __str__(self) -> str:
        size = "" if self.size_bytes is None else str(self.size_bytes)
        return f"{size}:{self.version}"

    @classmethod
    def parse(cls, text: str) -> "Stamp":
        """Read a stamp back from the text that ``str(stamp)`` gave."""
        size, _, version = text.partition(":")
        return cls(int(size) if size else None, version)


def is_remote(location: str) -> bool:
    """Whether a location is a URL and not a path on this machine."""
    return "://" in location


def without_secrets(location: str) -> str:
    """Write a location for a message, without the secrets that a URL may contain."""
    if not is_remote(location):
        return location
    try:
        parts = urlsplit(location)
    except ValueError:
        return location.partition("?")[0]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def stamp_of(location: str) -> Stamp:
    """Look up a recording's size and version, without reading it."""
    with _as_unavailable(location):
        if is_remote(location):
            filesystem, path = _filesystem(location)
            return _remote_stamp(location, filesystem.info(path))
        # For a large study, making paths of all locations takes longer than asking about them.
        return _local_stamp(location, os.stat(location))  # noqa: PTH116


def read_blocks(location: str, size: int = _BLOCK_BYTES) -> Iterator[bytes]:
    """Read a recording block by block, in constant memory."""
    with open_recording(location) as (file, _), _as_unavailable(location):
        while block := file.read(size):
            yield block


@contextmanager
def open_recording(location: str) -> Iterator[tuple[BinaryIO, Stamp]]:
    """Open a recording as a seekable file.

    A remote recording is read in ranges. Where its server cannot serve ranges, a copy is kept while
    it is read: in memory up to 8 MB, beyond that in a temporary file.
    """
    with ExitStack() as stack:
        opener = _open_remote if is_remote(location) else _open_local
        yield opener(location, stack)


def _open_local(location: str, stack: ExitStack) -> tuple[BinaryIO, Stamp]:
    # The status comes first: opening a named pipe would wait for a writer for ever.
    stamp_of(location)
    with _as_unavailable(location):
        file = stack.enter_context(Path(location).open("rb"))  # noqa: SIM115 - the stack closes it
        return file, _local_stamp(location, os.fstat(file.fileno()))


def _open_remote(location: str, stack: ExitStack) -> tuple[BinaryIO, Stamp]:
    with _as_unavailable(location):
        filesystem, path = _filesystem(location)
        info = filesystem.info(path)
        stamp = _remote_stamp(location, info)
        # A web server says that it serves ranges, and then its info is marked "partial".
        in_ranges = "http" not in filesystem.protocol or info.get("partial", False)
        block_bytes = _REMOTE_BLOCK_BYTES if in_ranges else 0
        file = stack.enter_context(filesystem.open(path, "rb", block_size=block_bytes))
        if in_ranges and file.seekable():
            return cast("BinaryIO", file), stamp
        kept = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 - as above
        stack.enter_context(kept)
        shutil.copyfileobj(file, kept)
        kept.seek(0)
        return cast("BinaryIO", kept), stamp


def _filesystem(location: str) -> tuple[Any, str]:
    # Imported here because most cohorts are local, and the import costs 50 ms.
    from fsspec.core import url_to_fs

    # A cached listing would hide that an object has changed since.
    filesystem, path = url_to_fs(location, use_listings_cache=False, **_network_options(location))
    return filesystem, path


def _network_options(location: str) -> dict[str, Any]:
    """Choose what aiohttp does not take from the environment by itself."""
    scheme = location.partition("://")[0].lower()
    if scheme not in {"http", "https"}:
        return {}
    options: dict[str, Any] = {"ssl": _certificates()} if scheme == "https" else {}
    proxy = Route.of_environment(scheme).proxy_to(location)
    if proxy is None:
        return options
    if proxy.url.startswith("socks"):
        reason = "cannot be read through a SOCKS proxy"
        remedy = f"name a proxy with http:// in {scheme.upper()}_PROXY"
        shown = without_secrets(location)
        raise RecordingUnavailableError(shown, reason, remedy, may_pass=True)
    return options | {"proxy": proxy.url, "proxy_headers": proxy.headers}


# fsspec keeps one connection pool for the same options.
_certificates = lru_cache(maxsize=1)(trusted_certificates)


def _local_stamp(location: str, status: os.stat_result) -> Stamp:
    if stat.S_ISDIR(status.st_mode):
        raise RecordingUnavailableError(location, "is a folder", "name one file in it")
    if not stat.S_ISREG(status.st_mode):
        raise RecordingUnavailableError(location, "is not a regular file", "name an audio file")
    # Files from one archive have one time, and names are swapped to correct a mistake. The time of
    # the last change shows that, too (on Windows it is the time of creation).
    return Stamp(status.st_size, f"{status.st_mtime_ns}/{status.st_ctime_ns}")


def _remote_stamp(location: str, info: dict[str, Any]) -> Stamp:
    if info.get("type") == "directory":
        shown = without_secrets(location)
        raise RecordingUnavailableError(shown, "is a folder", "name one file in it")
    keys = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "created")
    version = next((str(info[key]) for key in keys if info.get(key)), "")
    return Stamp(info.get("size"), version.strip('"'))


@contextmanager
def _as_unavailable(location: str) -> Iterator[None]:
    """Turn every error of reading into one sentence."""
    try:
        yield
    except RecordingUnavailableError:
        raise
    except Exception as error:
        shown = without_secrets(location)
        raise unavailable(shown, error, is_remote=is_remote(location)) from error


class SeekableFile(Protocol):
    """The part of a binary file that reading a recording needs."""

    def read(self, size: int = -1, /) -> bytes:
        """Read some bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a position and return it."""

    def tell(self) -> int:
        """Return the position."""


class HashingReader:
    """Hashes a file while a decoder reads it, each byte once and in order.

    A decoder that jumps (MP4 keeps its index at the end) leaves gaps, which ``finish`` reads.
    """

    def __init__(self, file: SeekableFile) -> None:
        self.failure: Exception | None = None
        self._file = file
        self._hash = hashlib.sha256()
        self._hashed = 0

    def read(self, size: int = -1, /) -> bytes:
        """Read, and hash what has not been hashed yet."""
        try:
            at = self._file.tell()
            data = self._file.read(size)
        except Exception as error:
            self.failure = error
            raise
        if at <= self._hashed < at + len(data):
            self._hash.update(memoryview(data)[self._hashed - at :])
            self._hashed = at + len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def finish(self) -> tuple[str, int]:
        """Hash what was not read yet."""
        if self.failure is not None:
            raise self.failure
        self.seek(self._hashed)
        while self.read(_BLOCK_BYTES):
            pass
        return self._hash.hexdigest(), self._hashed


# --- why it cannot be read, in words that show no secret of a URL -----------------------------------

_Why = tuple[str, str, bool]
"""What is wrong, what to do, and whether it may pass."""

_CHECK_NETWORK = "check the network, then submit again"
_TRUST_PROXY = (
    "where a proxy of your institution opens encrypted connections, set SSL_CERT_FILE to the file of "
    "its certificate, then submit again"
)
_NOT_CONNECTED = (
    "is on a network drive that is not connected",
    "connect it, then submit again",
    True,
)


def _not_now(what: str, remedy: str) -> _Why:
    return f"cannot be read at the moment ({what})", remedy, True


_BY_CLASS: dict[type[BaseException], _Why] = {
    FileNotFoundError: (
        "does not exist",
        "check the path, and the folder that it is relative to",
        False,
    ),
    PermissionError: (
        "cannot be opened with your permissions",
        "ask its owner, or check your credentials",
        False,
    ),
    TimeoutError: _not_now("its drive did not answer in time", _CHECK_NETWORK),
}
_BY_NUMBER: dict[int | None, _Why] = {
    errno.ELOOP: ("is a symbolic link that leads back to itself", "correct the link", False),
    errno.ENAMETOOLONG: ("has a name that is too long for this system", "shorten the name", False),
    errno.ESTALE: _NOT_CONNECTED,
    errno.ENOTCONN: _NOT_CONNECTED,
    errno.EIO: ("could not be read from its disk", "check the disk or the network drive", False),
}
# What s3fs makes of a service that is overloaded or fails.
_BUSY = {errno.EBUSY, errno.EIO}


def unavailable(
    location: str, error: BaseException, *, is_remote: bool
) -> RecordingUnavailableError:
    """Explain an error of reading; the location is without secrets already."""
    why = (_by_server(error) if is_remote else None) or _by_system(error)
    reason, remedy, may_pass = why
    return RecordingUnavailableError(location, reason, remedy, may_pass=may_pass)


def _by_system(error: BaseException) -> _Why:
    for kind, why in _BY_CLASS.items():
        if isinstance(error, kind):
            return why
    if isinstance(error, OSError) and error.errno in _BY_NUMBER:
        return _BY_NUMBER[error.errno]
    if isinstance(error, ImportError):
        remedy = "install it, for s3:// helios-research[s3]"
        return f"needs another package ({error})", remedy, False
    # A URL may be in it, in some other spelling, and with a signature.
    words = re.sub(r"\?[^\s'\")]*", "", str(error)) or "no reason given"
    reason = f"cannot be read ({type(error).__name__}: {words})"
    return reason, "check the location and try again", False


def _by_server(error: BaseException) -> _Why | None:
    """Explain what a server answered, or that it did not; None where it was something else."""
    # Takes a moment, and only a remote recording needs it.
    from aiohttp import ClientHttpProxyError, ClientResponseError

    if isinstance(error, ConfigError):
        return "cannot be read at the moment", str(error).rstrip("."), True
    # fsspec says of every failure that the file does not exist; what happened is behind that.
    for cause in causes(error):
        if isinstance(cause, ClientResponseError):
            return _answered(cause.status, by_proxy=isinstance(cause, ClientHttpProxyError))
    if doubt := distrust(error):
        return _not_now(f"its server does not prove who it is: {doubt}", _TRUST_PROXY)
    return next(filter(None, map(_unanswered, causes(error))), None)


def _unanswered(cause: BaseException) -> _Why | None:
    from aiohttp import ClientConnectionError, ClientPayloadError

    if isinstance(cause, TimeoutError):
        return _not_now("its server did not answer in time", _CHECK_NETWORK)
    broken = (ConnectionError, socket.gaierror, ClientConnectionError, ClientPayloadError)
    if isinstance(cause, broken):
        words = system_words(cause)
        said = f"no connection to its server{': ' if words else ''}{words}"
        return _not_now(said, _CHECK_NETWORK)
    if isinstance(cause, OSError) and cause.errno in _BUSY:
        return _not_now("its server is overloaded or fails", "submit again later")
    return None


def _answered(status: int, *, by_proxy: bool) -> _Why:
    phrase = f", {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else ""
    said = f"HTTP {status}{phrase}"
    if by_proxy or status == 407:
        remedy = "check HTTPS_PROXY and HTTP_PROXY, then submit again"
        return _not_now(f"the proxy does not let it through: {said}", remedy)
    if status in {404, 410}:
        return f"does not exist ({said})", "check its address", False
    if status in {401, 403}:
        remedy = "renew its link, which may have expired, or check your credentials"
        return f"is not given out by its server ({said})", remedy, False
    if status in {408, 425, 429} or status >= 500:
        return _not_now(f"its server answered {said}", "submit again later")
    return f"cannot be read (its server answered {said})", "check its address", False
