"""Settings of the connection to Helios, and where each of them comes from.

The API key is taken from the first of these that has one:

1. the argument, as in ``hr.Client(api_key=key)``; a key that is spelled out there gives a warning;
2. the environment variable ``THYMIA_API_KEY``;
3. the operating system's keyring, where ``helios-research key set`` puts it (this needs the extra
   ``helios-research[keyring]``); there is one entry for each address of the API;
4. the person at the terminal or the notebook, who types it without echo.

An argument that is empty is an error, not a reason to look further. Region and base URL are taken
from arguments, or else from ``THYMIA_REGION`` and ``THYMIA_BASE_URL``.
"""

import ipaddress
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from helios_research.errors import ApiKeyError, ConfigError
from helios_research.keys import ask_for_key, key_from_keyring

BASE_URLS = {
    "default": "https://api.thymia.ai",
    "ca": "https://ca.api.thymia.ai",
    "us": "https://us.api.thymia.ai",
}


@dataclass(frozen=True, slots=True)
class TimeOuts:
    """How long a request may take, in seconds.

    There is no limit on waiting for a free connection: the number of requests in flight is
    bounded in front of it instead (a limit there fails healthy requests under load).
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    write_s: float = 60.0
    answer_s: float = 90.0
    upload_s: float = 1800.0


@dataclass(frozen=True, slots=True)
class Parallel:
    """How many requests may be in progress at once; further ones wait."""

    api_requests: int = 10
    uploads: int = 8


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """Where Helios is (its origin, without a trailing slash), the key for it, and limits."""

    base_url: str
    api_key: SecretStr
    time_outs: TimeOuts = TimeOuts()
    parallel: Parallel = Parallel()


def resolve_connection(
    api_key: str | SecretStr | None = None,
    *,
    region: str | None = None,
    base_url: str | None = None,
) -> ConnectionSettings:
    """Put together the connection from arguments, or else from where they are kept."""
    # A key may not be in a local variable, which a traceback shows.
    api_key = SecretStr(api_key) if isinstance(api_key, str) else api_key
    base_url = resolve_base_url(region, base_url)
    if api_key is None:
        api_key = _found_key(base_url)
    return ConnectionSettings(base_url=base_url, api_key=checked_key(api_key))


def resolve_base_url(region: str | None = None, base_url: str | None = None) -> str:
    """Find the address of the API.

    Arguments win over the environment as a whole: with a region given, ``THYMIA_BASE_URL`` is
    not read, so that recordings meant for one region cannot go elsewhere.
    """
    if base_url is None and region is None:
        base_url = os.environ.get("THYMIA_BASE_URL") or None
    if base_url is None:
        region = region or os.environ.get("THYMIA_REGION") or "default"
        if region not in BASE_URLS:
            raise ConfigError.region(region, BASE_URLS)
        base_url = BASE_URLS[region]
    return _checked_url(base_url.strip())


def _found_key(base_url: str) -> SecretStr | None:
    stated = SecretStr(os.environ.get("THYMIA_API_KEY", ""))
    if stated.get_secret_value().strip():
        return stated
    return key_from_keyring(base_url) or ask_for_key(base_url)


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def checked_key(key: SecretStr | None) -> SecretStr:
    """Strip a key, and refuse one that cannot be valid."""
    stripped = SecretStr("" if key is None else key.get_secret_value().strip())
    if not stripped.get_secret_value():
        raise ApiKeyError.missing()
    if not _could_be_key(stripped.get_secret_value()):
        raise ApiKeyError.invalid()
    return stripped


def _could_be_key(text: str) -> bool:
    # Quotation marks stay where no shell takes them away, as in a file for `docker --env-file`.
    return text.isascii() and text.isprintable() and not set(text) & set(" \"'")


def _checked_url(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError.base_url("(not a URL)") from None
    encrypted = parts.scheme == "https"
    local = parts.scheme == "http" and is_loopback(host)
    extras = "@" in parts.netloc or parts.query or parts.fragment
    odd = not base_url.isascii() or not base_url.isprintable() or set(base_url) & set(' \\"<>')
    if not host or port == 0 or extras or odd or not (encrypted or local):
        # A password or a token may be before the host or behind the path.
        raise ConfigError.base_url(f"{parts.scheme}://{host or ''}")
    return base_url.rstrip("/")
