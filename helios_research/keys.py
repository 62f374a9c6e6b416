"""Where the API key comes from when no argument gives it, and how it stays out of notebooks.

A key is only ever held as pydantic's ``SecretStr``, also in local variables: tracebacks that show
them, as IPython's verbose ones do, end up in notebooks and in mails to colleagues.
"""

import ast
import getpass
import linecache
import logging
import sys
import warnings
from collections.abc import Iterator
from itertools import islice
from types import FrameType, ModuleType

from pydantic import SecretStr

from helios_research._util.notebook import notebook_kernel
from helios_research.errors import ApiKeyError

_LOGGER = logging.getLogger(__name__)

# The name under which the system's keyring shows the entry to its owner.
SERVICE = "helios_research"

_BYTES_PER_INSTRUCTION = 2

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
    """Warn where the call that a frame is making contains the key as text.

    A key that comes from a variable, a function or the environment gives no warning, nor does
    code without source.
    """
    if _spells_out_key(caller):
        # Not `warnings.warn`: it would show the caller's line, and the key with it.
        warnings.warn_explicit(_IN_CODE, KeyInCodeWarning, "hr.Client", caller.f_lineno)


def _spells_out_key(caller: FrameType) -> bool:
    try:
        call = ast.parse(f"({_source_of_call(caller)})", mode="eval").body
    # Source that is gone or was changed since, code without positions: none of it may stop work.
    except (SyntaxError, ValueError, LookupError, TypeError, OSError):
        return False
    if not isinstance(call, ast.Call):
        return False
    given = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "api_key")]
    return any(map(_is_literal, given))


def _source_of_call(caller: FrameType) -> str:
    instruction = caller.f_lasti // _BYTES_PER_INSTRUCTION
    (place,) = islice(caller.f_code.co_positions(), instruction, instruction + 1)
    first, last, begin, end = place
    if first is None or last is None or begin is None or end is None:
        raise LookupError
    lines = linecache.getlines(caller.f_code.co_filename, caller.f_globals)[first - 1 : last]
    # Columns are counted in bytes; the last line is cut first, as it may be the first one too.
    encoded = [line.encode() for line in lines]
    encoded[-1] = encoded[-1][:end]
    encoded[0] = encoded[0][begin:]
    return b"".join(encoded).decode()


def _is_literal(value: ast.expr) -> bool:
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.strip() != ""
        for part in _parts(value)
    )


def _parts(value: ast.expr) -> Iterator[ast.expr]:
    """Give what a text is put together from, as far as it is all written out."""
    if isinstance(value, ast.BinOp):
        yield from _parts(value.left)
        yield from _parts(value.right)
    elif isinstance(value, ast.JoinedStr) and all(
        isinstance(p, ast.Constant) for p in value.values
    ):
        yield from value.values
    elif isinstance(value, ast.Call) and len(value.args) == 1:
        # As in SecretStr("…") or str("…"), but not os.getenv("…").
        if ast.unparse(value.func).rpartition(".")[2] in {"SecretStr", "str"}:
            yield from _parts(value.args[0])
    else:
        yield value
