"""Why no answer came."""

import errno
import itertools
import socket
import ssl

import pytest

from helios_research.api.transport import causes, distrust, settings_words, system_words


def behind(*layers: BaseException) -> BaseException:
    """Put exceptions behind one another, the first in front."""
    for outer, inner in itertools.pairwise(layers):
        outer.__cause__ = inner
    return layers[0]


def test_the_operating_systems_words_are_found_behind_anything() -> None:
    problem = behind(
        RuntimeError("x-api-key: s3cret"), OSError("all"), OSError(errno.ECONNREFUSED, "x")
    )
    assert system_words(problem) == "Connection refused"


def test_they_are_found_in_a_group_as_well() -> None:
    group = ExceptionGroup(
        "several", [OSError(errno.EHOSTUNREACH, "x"), OSError(errno.ECONNREFUSED, "x")]
    )
    assert system_words(behind(OSError("all attempts failed"), group)) == "No route to host"


def test_a_name_that_nobody_knows_is_said_in_the_resolvers_words() -> None:
    assert system_words(socket.gaierror(-2, "Name or service not known")) == (
        "Name or service not known"
    )


def test_without_any_there_is_nothing_to_quote() -> None:
    assert system_words(RuntimeError("x-api-key: s3cret")) == ""


def test_a_certificate_that_proves_nothing_is_distrusted_in_openssls_words() -> None:
    problem = ssl.SSLCertVerificationError(1, "long text")
    problem.verify_message = "self-signed certificate"
    assert distrust(behind(RuntimeError(), problem)) == "self-signed certificate"


def test_a_handshake_that_broke_off_is_no_distrust() -> None:
    assert distrust(behind(RuntimeError(), ssl.SSLEOFError(8, "EOF occurred"))) is None
    assert distrust(RuntimeError()) is None


def test_causes_begin_with_the_exception_itself() -> None:
    inner = ValueError()
    outer = behind(KeyError(), inner)
    assert list(causes(outer)) == [outer, inner]
    assert list(causes(None)) == []


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (ImportError("Using SOCKS proxy …"), "socksio"),
        (FileNotFoundError(2, "No such file"), "certificates"),
        (ValueError("http://user:s3cret@proxy"), "proxy"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_without_repeating_it(
    problem: Exception, words: str
) -> None:
    assert words in settings_words(problem)
    assert "s3cret" not in settings_words(problem)
