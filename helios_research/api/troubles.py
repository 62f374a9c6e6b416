"""Why no answer came, read from the exceptions of the operating system and OpenSSL.

Only their words are quoted. What an HTTP library says may quote a header or a URL.
"""

import os
import socket
import ssl
from collections.abc import Iterator
from enum import Enum


class Trouble(Enum):
    """Why no answer came, in words that can stand in a sentence about the server."""

    TIMED_OUT = "no complete answer came in time"
    UNREACHABLE = "no connection could be made"
    BROKEN_OFF = "the connection broke off before the answer was complete"
    UNTRUSTED = "the server does not prove who it is"
    PROXY = "the proxy refuses to pass the request on"


def distrust(problem: BaseException) -> str | None:
    """Say why a server was not trusted, if that is what happened."""
    for cause in causes(problem):
        # OpenSSL sets these attributes; on an error that Python itself raised they are missing.
        if isinstance(cause, ssl.SSLCertVerificationError):
            return str(getattr(cause, "verify_message", "certificate not valid"))
        if getattr(cause, "reason", None) == "WRONG_VERSION_NUMBER":
            return "it does not speak TLS"
    return None


def system_words(problem: BaseException) -> str:
    """Find the operating system's words for what happened."""
    known = (_words(cause) for cause in causes(problem) if isinstance(cause, OSError))
    return next((words for words in known if words), "")


def _words(problem: OSError) -> str:
    if isinstance(problem, socket.gaierror | ssl.SSLError):
        return problem.strerror or ""
    # Not its own text: asyncio puts the address there instead.
    return os.strerror(problem.errno) if problem.errno else ""


def settings_words(problem: Exception) -> str:
    """Say what is wrong with the proxy or the certificates that the environment names."""
    if isinstance(problem, ImportError):
        return "a SOCKS proxy needs the package socksio (`pip install httpx[socks]`)"
    if isinstance(problem, OSError):
        return "the file of certificates cannot be read"
    return "the address of the proxy is not an http, https or socks5 URL"


def causes(problem: BaseException | None) -> Iterator[BaseException]:
    """Walk through an exception, what is behind it, and the members of groups."""
    while problem is not None:
        yield problem
        if isinstance(problem, BaseExceptionGroup):
            for member in problem.exceptions:
                yield from causes(member)
        problem = problem.__cause__ or problem.__context__
