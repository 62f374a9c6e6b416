"""Settings of the connection to Helios, from arguments or from the environment."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from pydantic import SecretStr

from helios_research.errors import (
    InvalidKeyError,
    MissingKeyError,
    UnknownRegionError,
    UnsafeBaseUrlError,
)

BASE_URLS: Mapping[str, str] = MappingProxyType(
    {
        "default": "https://api.thymia.ai",
        "ca": "https://ca.api.thymia.ai",
        "us": "https://us.api.thymia.ai",
    }
)


@dataclass(frozen=True, slots=True)
class TimeOuts:
    """How long a request may take, in seconds.

    There is no limit on waiting for a free connection: the number of requests in flight is
    bounded in front of it instead (a limit there fails healthy requests under load).

    Attributes
    ----------
    connect_s
        Opening a connection.
    read_s
        Between two pieces of an answer.
    write_s
        Handing over one block of a request, at most 256 kB.
    answer_s
        A whole request to the API; a server that sends a byte now and then cannot hold it longer.
    upload_s
        A whole upload. Half of the hour that an upload URL lives.
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    write_s: float = 60.0
    answer_s: float = 90.0
    upload_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Parallel:
    """How many requests may be under way at once; further ones wait.

    Attributes
    ----------
    api_requests
        Requests to the API.
    uploads
        Uploads of recordings.
    """

    api_requests: int = 10
    uploads: int = 8


@dataclass(frozen=True, slots=True)
class Connection:
    """Where Helios is and which key opens it.

    Attributes
    ----------
    base_url
        Origin of the API, without a trailing slash.
    api_key
        The key; pydantic's ``SecretStr`` keeps it out of every repr.
    time_outs
        Time-outs of each request.
    parallel
        How many requests may be under way at once.
    """

    base_url: str
    api_key: SecretStr
    time_outs: TimeOuts = TimeOuts()
    parallel: Parallel = Parallel()


def resolve_connection(
    api_key: str | SecretStr | None = None,
    *,
    region: str | None = None,
    base_url: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Connection:
    """Put together the connection from arguments, or else from the environment.

    Parameters
    ----------
    api_key
        The key; without it ``THYMIA_API_KEY``.
    region
        ``default``, ``ca`` or ``us``; without it ``THYMIA_REGION``.
    base_url
        Another origin, which wins over the region; without it ``THYMIA_BASE_URL``.
    environment
        The environment to read; by default this process's own.

    Returns
    -------
    Connection
        A checked connection.

    Raises
    ------
    ConfigError
        No key or one that cannot be a key, an unknown region, or a base URL that is neither
        https nor on this machine.

    Notes
    -----
    Arguments win over the environment as a whole: with a region given, ``THYMIA_BASE_URL`` is
    not looked at, so that recordings meant for one region cannot go elsewhere.
    """
    environment = os.environ if environment is None else environment
    if base_url is None and region is None:
        base_url = environment.get("THYMIA_BASE_URL") or None
    if base_url is None:
        region = region or environment.get("THYMIA_REGION") or "default"
        if region not in BASE_URLS:
            raise UnknownRegionError(region, BASE_URLS)
        base_url = BASE_URLS[region]
    base_url = _checked_url(base_url.strip())
    key = environment.get("THYMIA_API_KEY", "") if api_key is None else api_key
    return Connection(base_url=base_url, api_key=_checked_key(key))


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine.

    Parameters
    ----------
    host
        Name or address, as it stands in a URL.

    Returns
    -------
    bool
        True for ``localhost`` and for loopback addresses.
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _checked_key(key: str | SecretStr) -> SecretStr:
    text = (key.get_secret_value() if isinstance(key, SecretStr) else key).strip()
    if not text:
        raise MissingKeyError
    if not text.isascii() or not text.isprintable() or " " in text:
        raise InvalidKeyError
    return SecretStr(text)


def _checked_url(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UnsafeBaseUrlError("(not a URL)") from None
    encrypted = parts.scheme == "https"
    local = parts.scheme == "http" and is_loopback(host)
    extras = "@" in parts.netloc or parts.query or parts.fragment
    odd = not base_url.isascii() or not base_url.isprintable() or set(base_url) & set(' \\"<>')
    if not host or port == 0 or extras or odd or not (encrypted or local):
        # A password or a token may stand before the host or behind the path.
        raise UnsafeBaseUrlError(f"{parts.scheme}://{host or ''}")
    return base_url.rstrip("/")
