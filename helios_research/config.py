"""Settings of the connection to Helios, from arguments or from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from pydantic import SecretStr

from helios_research.errors import MissingKeyError, UnknownRegionError, UnsafeBaseUrlError

BASE_URLS: Mapping[str, str] = MappingProxyType(
    {
        "default": "https://api.thymia.ai",
        "ca": "https://ca.api.thymia.ai",
        "us": "https://us.api.thymia.ai",
    }
)
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class TimeOuts:
    """How long one request may take, in seconds.

    There is no limit on waiting for a pooled connection: the number of requests in flight is
    bounded in front of the pool instead (a pool time-out fails healthy requests under load).
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    write_s: float = 60.0


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
    """

    base_url: str
    api_key: SecretStr
    time_outs: TimeOuts = TimeOuts()


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
        No key, an unknown region, or a base URL that is neither https nor on this machine.
    """
    environment = os.environ if environment is None else environment
    base_url = base_url or environment.get("THYMIA_BASE_URL") or None
    region = region or environment.get("THYMIA_REGION") or "default"
    if base_url is None:
        if region not in BASE_URLS:
            raise UnknownRegionError(region, BASE_URLS)
        base_url = BASE_URLS[region]
    base_url = _checked(base_url)
    key = api_key or environment.get("THYMIA_API_KEY") or ""
    secret = key if isinstance(key, SecretStr) else SecretStr(key.strip())
    if not secret.get_secret_value():
        raise MissingKeyError
    return Connection(base_url=base_url, api_key=secret)


def _checked(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UnsafeBaseUrlError(base_url) from None
    encrypted = parts.scheme == "https"
    local = parts.scheme == "http" and host in LOOPBACK_HOSTS
    extras = parts.username or parts.password or parts.query or parts.fragment
    if not host or port == 0 or extras or not (encrypted or local):
        raise UnsafeBaseUrlError(base_url)
    return base_url.rstrip("/")
