"""How this machine reaches the network: by which proxy, trusting whom, and why a request failed.

Proxies and certificates are taken from the environment, as curl does. Only the settings that a
request needs are looked at, so that a mistake in another one stops nothing.
"""

import ipaddress
import os
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from pydantic import SecretStr

from helios_research.errors import ConfigError

# --- proxies --------------------------------------------------------------------------------------

_SCHEMES = ("http", "https", "socks5", "socks5h")


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the setting that names it: an environment variable, or the system's settings."""

    url: str
    setting: str
    user_name: str
    password: SecretStr

    @property
    def headers(self) -> dict[str, str]:
        """What it is told with each connection: user name and password, if it has any."""
        if not self.user_name:
            return {}
        pair = f"{self.user_name}:{self.password.get_secret_value()}".encode()
        return {"Proxy-Authorization": f"Basic {b64encode(pair).decode()}"}

    def __str__(self) -> str:
        return f"{self.url.partition('://')[2]} ({self.setting})"


@dataclass(frozen=True, slots=True)
class Route:
    """How requests of one scheme leave this machine: through a proxy, or past it to some hosts."""

    proxy: Proxy | None
    is_excepted: Callable[[str, int], bool]

    @classmethod
    def of_environment(cls, scheme: str) -> "Route":
        """Read the way that the environment names for ``http`` or ``https``."""
        known = getproxies()
        kind = next((kind for kind in (scheme, "all") if known.get(kind)), None)
        if kind is None:
            return cls(None, lambda _host, _port: False)
        if not getproxies_environment():
            # Those of Windows or macOS, with exceptions of their own kind.
            is_excepted = cache(lambda host, _port: bool(proxy_bypass(host)))
            return cls(_proxy("the system's settings", known[kind]), is_excepted)
        entries = [entry for entry in re.split(r"[\s,]+", known.get("no", "")) if entry]
        exceptions = [_exception(entry) for entry in entries]
        return cls(
            _proxy(f"{kind}_proxy".upper(), known[kind]),
            lambda host, port: any(is_met(host, port) for is_met in exceptions),
        )

    def proxy_to(self, url: str) -> Proxy | None:
        """Choose the proxy for a URL; between two programs on this machine there is never one."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        if self.proxy is None or is_loopback(host):
            return None
        port = parts.port or {"http": 80}.get(parts.scheme, 443)
        return None if self.is_excepted(host, port) else self.proxy


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    address = _network(host or "")
    return address is not None and address.is_loopback


def _proxy(setting: str, value: str) -> Proxy:
    value = value.strip()
    try:
        parts = urlsplit(value if "://" in value else f"http://{value}")
        host = parts.hostname
    except ValueError:
        raise ConfigError.proxy(setting, "it is not a URL") from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        # Not quoted: with a special character in it, this may be a part of the password.
        raise ConfigError.proxy(setting, "its port is not a number from 1 to 65535")
    if not host:
        raise ConfigError.proxy(setting, "it names no host")
    # Desktops write socks://, and their SOCKS proxies are of version 5.
    scheme = "socks5h" if parts.scheme == "socks" else parts.scheme
    if scheme not in _SCHEMES:
        words = f"it begins with {parts.scheme}://, and not with http://, https:// or socks5://"
        raise ConfigError.proxy(setting, words)
    if scheme.startswith("socks") and find_spec("socksio") is None:
        words = "a SOCKS proxy needs another package (`pip install 'httpx[socks]'`)"
        raise ConfigError.proxy(setting, words)
    host = f"[{host}]" if ":" in host else host
    place = host if port is None else f"{host}:{port}"
    password = SecretStr(unquote(parts.password or ""))
    return Proxy(f"{scheme}://{place}", setting, unquote(parts.username or ""), password)


def _exception(entry: str) -> Callable[[str, int], bool]:
    """Read an entry of NO_PROXY; one that means nothing is never met."""
    entry = entry.rpartition("://")[2]
    name, _, port = entry.rpartition(":")
    # Colons are in an IPv6 address too; in brackets where a port follows.
    if not port.isdecimal() or not name or (":" in name and not name.endswith("]")):
        name, port = entry, ""
    network = _network(name)
    domain = name.lstrip("*").strip(".").lower()

    def is_met(host: str, at: int) -> bool:
        if port and int(port) != at:
            return False
        if network is not None:
            address = _network(host)
            return address is not None and address.network_address in network
        return name == "*" or (domain != "" and f".{host}".endswith(f".{domain}"))

    return is_met


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Read an IP address, or several as in ``10.0.0.0/8``; None for a name."""
    try:
        return ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None


# --- certificates ---------------------------------------------------------------------------------


def trusted_certificates() -> ssl.SSLContext:
    """Give what servers are checked against: SSL_CERT_FILE or SSL_CERT_DIR, else the system's store.

    A hospital whose proxy opens encrypted connections has put its own certificate there.
    """
    for setting, option in (("SSL_CERT_FILE", "cafile"), ("SSL_CERT_DIR", "capath")):
        path = os.environ.get(setting)
        if path and not _is_set_by_conda(setting):
            return _certificates_at(setting, option, path)
    # Only a connection needs these.
    import certifi
    import truststore

    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # As pip does: a container may have no store at all.
    context.load_verify_locations(certifi.where())
    return context


def _is_set_by_conda(setting: str) -> bool:
    """Whether conda set a variable by itself, as on Windows: its list lacks what a hospital added."""
    # One of the marks is a slip of its own.
    marks = [
        f"__CONDA_{name}_{setting.removeprefix('SSL_')}_SET" for name in ("OPENSSL", "OPENSLL")
    ]
    return any(mark in os.environ for mark in marks)


def _certificates_at(setting: str, option: str, path: str) -> ssl.SSLContext:
    try:
        # OpenSSL says nothing of a folder that is not there.
        Path(path).stat()
        return ssl.create_default_context(**{option: path})  # type: ignore[arg-type]
    except ssl.SSLError:
        raise ConfigError.certificates(setting, path, "holds no certificates in PEM form") from None
    except OSError as error:
        words = f"cannot be read ({os.strerror(error.errno or 0).lower()})"
        raise ConfigError.certificates(setting, path, words) from None


# --- why no answer came ---------------------------------------------------------------------------

NO_TLS = "it does not speak TLS"


def distrust(problem: BaseException) -> str | None:
    """Say why a server was not trusted, if that is what happened."""
    found = list(causes(problem))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in found):
        # OpenSSL sets this attribute; on an error that a library raised because of it, it is missing.
        words = (getattr(cause, "verify_message", "") for cause in found)
        return next(filter(None, words), "certificate not valid")
    if any(getattr(cause, "reason", None) == "WRONG_VERSION_NUMBER" for cause in found):
        return NO_TLS
    return None


def system_words(problem: BaseException) -> str:
    """Find the operating system's words for what happened."""
    known = (_words(cause) for cause in causes(problem) if isinstance(cause, OSError))
    return next((words for words in known if words), "")


def _words(problem: OSError) -> str:
    if isinstance(problem, socket.gaierror | ssl.SSLError):
        return problem.strerror or ""
    # Not its own text: asyncio puts the address there instead. Negative numbers are a resolver's.
    number = problem.errno or 0
    return os.strerror(number) if number > 0 else ""


def causes(problem: BaseException | None) -> Iterator[BaseException]:
    """Walk through an exception, what is behind it, and the members of groups."""
    while problem is not None:
        yield problem
        if isinstance(problem, BaseExceptionGroup):
            for member in problem.exceptions:
                yield from causes(member)
        problem = problem.__cause__ or problem.__context__
