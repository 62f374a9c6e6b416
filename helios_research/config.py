"""Settings of the connection to Helios, and where each of them comes from.

The API key is taken from the argument (where it is spelled out there, with a warning), else from
the environment variable ``THYMIA_API_KEY``, else from the operating system's keyring, where
``helios-research key set`` keeps one for each address of the API, else from the person at the
terminal or the notebook, who types it without echo. An argument that is empty is an error.

A key is only ever held as pydantic's ``SecretStr``, also in local variables: tracebacks that show
them, as IPython's verbose ones do, end up in notebooks and in mails to colleagues.
"""

import ast
import getpass
import inspect
import linecache
import logging
import os
import re
import sys
import warnings
from dataclasses import dataclass
from types import FrameType, ModuleType
from typing import cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from helios_research._util.screen import notebook_kernel
from helios_research.errors import ApiKeyError, ConfigError
from helios_research.network import is_loopback

BASE_URLS = {
    "default": "https://api.thymia.ai",
    "ca": "https://ca.api.thymia.ai",
    "us": "https://us.api.thymia.ai",
}


@dataclass(frozen=True, slots=True)
class TimeOuts:
    """How long a request may take, in seconds.

    An upload may stand still for ``upload_s``; each ``least_bytes_per_s`` that move give it another
    second. There is no limit on waiting for a free connection: the number of requests in flight is
    bounded in front of it instead (a limit there fails healthy requests under load).
    """

    connect_s: float = 10.0
    read_s: float = 30.0
    write_s: float = 60.0
    answer_s: float = 90.0
    upload_s: float = 120.0
    least_bytes_per_s: float = 1000.0


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
    if api_key is None and os.environ.get("THYMIA_API_KEY", "").strip():
        api_key = SecretStr(os.environ["THYMIA_API_KEY"])
    if api_key is None:
        api_key = key_from_keyring(base_url) or ask_for_key(base_url)
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


def checked_key(key: SecretStr | None) -> SecretStr:
    """Strip a key, and refuse one that cannot be valid."""
    stripped = SecretStr("" if key is None else key.get_secret_value().strip())
    if not stripped.get_secret_value():
        raise ApiKeyError.missing()
    # Quotation marks stay where no shell takes them away, as in a file for `docker --env-file`.
    if not re.fullmatch(r"[!#-&(-~]+", stripped.get_secret_value()):
        raise ApiKeyError.invalid()
    return stripped


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


# --- where keys come from --------------------------------------------------------------------------


_LOGGER = logging.getLogger(__name__)

# The name under which the system's keyring shows the entry to its owner.
SERVICE = "helios_research"

_IN_CODE = (
    "This call contains an API key, so the key is saved and shared with the code or notebook. "
    "Remove it and call hr.Client() alone: it reads the environment variable THYMIA_API_KEY, or the "
    "system's keyring (`helios-research key set` puts it there), or else asks for the key without "
    "showing it. If someone else has seen this code, ask thymia for a new key."
)


class KeyInCodeWarning(UserWarning):
    """An API key is written out where it is used."""


def key_from_keyring(base_url: str) -> SecretStr | None:
    """Look for the key in the operating system's keyring."""
    try:
        import keyring
    except ImportError:
        return None
    try:
        found = keyring.get_password(SERVICE, base_url)
    # Back ends raise whatever their system does; without a keyring there are other ways.
    except Exception as error:  # noqa: BLE001
        _LOGGER.info("The keyring could not be read (%s).", type(error).__name__)
        return None
    return SecretStr(found) if found else None


def ask_for_key(base_url: str) -> SecretStr | None:
    """Ask the user for the key, without showing what they type; None where that is not possible."""
    if not _can_ask():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return SecretStr(getpass.getpass(f"API key for {base_url} (is not shown): "))
        # A notebook that runs by itself cannot ask.
        except (NotImplementedError, EOFError, getpass.GetPassWarning):
            return None


def _can_ask() -> bool:
    kernel = notebook_kernel()
    if kernel is not None:
        # While a cell runs, the kernel puts its own function in place. Otherwise, as in a button's
        # callback, the question would appear in the terminal from which Jupyter was started.
        return getattr(getpass.getpass, "__self__", None) is kernel
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


# --- storing it -----------------------------------------------------------------------------------


def store_key(base_url: str, key: SecretStr) -> str:
    """Put the key into the operating system's keyring, in place of what was there."""
    keyring = _usable_keyring()
    try:
        keyring.set_password(SERVICE, base_url, key.get_secret_value())
        kept = keyring.get_password(SERVICE, base_url) == key.get_secret_value()
    # Back ends raise whatever their system does.
    except Exception as error:  # noqa: BLE001
        raise ApiKeyError.keyring(f"it answered {type(error).__name__}") from None
    if not kept:
        raise ApiKeyError.keyring("it did not keep the key")
    return str(keyring.get_keyring().name)


def forget_key(base_url: str) -> bool:
    """Take the key out of the operating system's keyring."""
    keyring = _usable_keyring()
    try:
        if keyring.get_password(SERVICE, base_url) is None:
            return False
        keyring.delete_password(SERVICE, base_url)
    # Back ends raise whatever their system does.
    except Exception as error:  # noqa: BLE001
        raise ApiKeyError.keyring(f"it answered {type(error).__name__}") from None
    return True


def _usable_keyring() -> ModuleType:
    try:
        import keyring
        from keyring.backends import fail, null
    except ImportError:
        raise ApiKeyError.keyring(
            "the package for it is not installed (`pip install 'helios-research[keyring]'`)"
        ) from None
    found = keyring.get_keyring()
    if isinstance(found, fail.Keyring | null.Keyring):
        raise ApiKeyError.keyring("this machine has none, or none is unlocked")
    if "plaintext" in type(found).__name__.lower():
        raise ApiKeyError.keyring("it would write the key to a file as plain text")
    return keyring


# --- keys in code ---------------------------------------------------------------------------------


def warn_of_key_in_code(caller: FrameType) -> None:
    """Warn where the call that a frame is making spells out the key, as far as its source is there."""
    if _spells_out_key(caller):
        # Not `warnings.warn`: it would show the caller's line, and the key with it.
        warnings.warn_explicit(_IN_CODE, KeyInCodeWarning, "hr.Client", caller.f_lineno)


def _spells_out_key(caller: FrameType) -> bool:
    place = cast("ast.AST", inspect.getframeinfo(caller, context=0).positions)
    source = "".join(linecache.getlines(caller.f_code.co_filename, caller.f_globals))
    try:
        call = ast.parse(f"({ast.get_source_segment(source, place)})", mode="eval").body
    # Source that is gone or was changed since, code without positions: none of it may stop work.
    except (SyntaxError, ValueError, LookupError, TypeError, OSError):
        return False
    if not isinstance(call, ast.Call):
        return False
    given = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "api_key")]
    return any(map(_is_written_out, given))


def _is_written_out(value: ast.expr) -> bool:
    match value:
        case ast.Constant(str(text)):
            return text.strip() != ""
        case ast.JoinedStr(parts):
            return all(isinstance(part, ast.Constant) for part in parts)
        case ast.BinOp(left, _, right):
            return _is_written_out(left) or _is_written_out(right)
        case ast.Call(function, [part]):
            # As in SecretStr("…") or str("…"), but not os.getenv("…").
            name = ast.unparse(function).rpartition(".")[2]
            return name in {"SecretStr", "str"} and _is_written_out(part)
    return False
