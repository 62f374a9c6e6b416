"""Somebody else answers, or a URL leads elsewhere: nothing goes there, and the study stops."""

import sqlite3
import ssl
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helios_research.errors import NotHeliosError
from helios_research.ledger import Ledger
from helios_research.state.status import UPLOAD_URL_LIFETIME
from support.faults import Fault, Faults, Rule, Step

# Defined in conftest.py, which a test module cannot import.
Door = Any

STEPS = {"create": Step.CREATE, "upload": Step.UPLOAD, "poll": Step.POLL}
NOT_HELIOS = (
    "http{place} does not answer like Helios ({what}): check the base URL, and whether a proxy or "
    "a login page answers in its place."
)
LOOK_AT_THE_NETWORK = (
    "Find out what is between this computer and Helios (log in to the network, or use "
    "another one), then submit again."
)


def stops(step: str, fault: str, happens: str, what: str, do: str = LOOK_AT_THE_NETWORK) -> object:
    """Give a cell in which the submission ends with one sentence."""
    sees = NOT_HELIOS.replace("{what}", what)
    return pytest.mark.fault(
        step=step, fault=fault, ending="stops", happens=happens, sees=sees, do=do
    )


def hang_up(exchange) -> None:
    """Close the connection without an answer."""


# --- redirects -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(
            step,
            marks=stops(
                step,
                "a redirect to another host",
                "The redirect is not followed: neither the key nor a recording goes anywhere else.",
                f"{whose}redirects to http://127.0.0.1",
            ),
        )
        for step, whose in (("create", "it "), ("upload", "its upload host "), ("poll", "it "))
    ],
)
def test_a_redirect_is_not_followed(trial, prove_stop, step) -> None:
    trial.sandbox.faults = Faults(rules=(Rule(Fault.REDIRECT, on=STEPS[step]),))

    def end() -> None:
        trial.sandbox.faults = Faults()

    prove_stop(end)
    # It leads to the sandbox's other host, which logs keys, and requests it does not know.
    assert trial.sandbox.log.count(Step.OTHER) == 0


def test_a_redirect_of_the_first_question_is_not_followed_either(trial) -> None:
    trial.sandbox.faults = Faults(rules=(Rule(Fault.REDIRECT, on=Step.ACCOUNT),))
    with pytest.raises(NotHeliosError, match=r"redirects to http://127\.0\.0\.1"):
        trial.submit()
    assert trial.sandbox.log.count(Step.OTHER) == 0
    trial.sandbox.faults = Faults()
    trial.heal()


# --- TLS -------------------------------------------------------------------------------------------


def tls(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(scope="module")
def certificates(make_certificate) -> tuple[Path, Path]:
    """One that this machine is told to trust, and one of a stranger."""
    return make_certificate(), make_certificate()


@pytest.fixture
def encrypted(relay, trial, certificates, monkeypatch) -> Callable[[Door, bool], None]:
    """Let the API and the uploads speak TLS with a certificate that is trusted, or another."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0]))

    def speak(door: Door, trusted: bool) -> None:
        relay.tls[door.port] = tls(certificates[not trusted])

    speak(relay.api, trusted=True)
    relay.upload_scheme = "https"
    speak(relay.uploads, trusted=True)
    trial.base_url = relay.base_url
    return speak


UNTRUSTED = (
    "127.0.0.1 does not prove who it is ({place}), so nothing was sent to it. Where a proxy of your "
    "institution opens encrypted connections, set SSL_CERT_FILE to the file of its certificate; "
    "otherwise something else answers in its place, such as a login page. Everything done so far is "
    "kept; submit again to continue."
)


def stops_untrusted(step: str) -> object:
    """Give a cell in which a server that cannot prove who it is ends the submission."""
    return pytest.mark.fault(
        step=step,
        fault="TLS failure",
        ending="stops",
        happens="Nothing is sent to a server that may be anybody.",
        sees=UNTRUSTED,
        do="Ask your IT department for the proxy's certificate, or use another network, then submit "
        "again.",
    )


@pytest.mark.parametrize(
    ("step", "before"),
    [
        pytest.param(
            step,
            before,
            id=step,
            marks=stops_untrusted(step),
        )
        for step, before in (("create", "account"), ("poll", "upload"))
    ],
)
def test_an_api_that_cannot_prove_who_it_is_any_more_gets_nothing(
    relay, encrypted, prove_stop, step, before
) -> None:
    def change(exchange) -> None:
        answer = exchange.ask_the_service()
        encrypted(relay.api, trusted=False)
        exchange.send(answer)

    relay.play(before, change)
    relay.play(step, hang_up)

    def end() -> None:
        assert step not in relay.played
        relay.calm()
        encrypted(relay.api, trusted=True)

    prove_stop(end)


@pytest.mark.parametrize("speaks_tls", [True, False], ids=["unknown certificate", "no TLS"])
@stops_untrusted("upload")
def test_an_upload_host_that_cannot_prove_who_it_is_gets_nothing(
    relay, encrypted, prove_stop, speaks_tls
) -> None:
    encrypted(relay.uploads, trusted=False)
    if not speaks_tls:
        del relay.tls[relay.uploads.port]
    relay.play("upload", hang_up)

    def end() -> None:
        assert relay.played == []
        relay.calm()
        encrypted(relay.uploads, trusted=True)

    prove_stop(end)


# --- upload URLs -----------------------------------------------------------------------------------

UNSAFE = {
    "http to another host": ("http://files.example/r.wav?signature=s3cret", "is not https"),
    "http to the cloud's own data": ("http://169.254.169.254/latest?x=s3cret", "is not https"),
    "a file": ("file:///etc/passwd?s3cret", "is not a URL"),
    "another protocol": ("ftp://files.example/r.wav?s3cret", "is not https"),
    "a password": ("https://me:s3cret@files.example/r.wav", "holds a password"),
    "no host": ("/recordings/r.wav?s3cret", "is not a URL"),
}


@pytest.mark.parametrize(("url", "problem"), UNSAFE.values(), ids=UNSAFE)
@stops(
    "create",
    "an unsafe upload URL",
    "No recording is sent there; the URL is not even written down.",
    "its upload URL {place}",
)
def test_an_unsafe_upload_url_is_not_taken(trial, relay, prove_stop, url, problem) -> None:
    relay.upload_url = lambda _: url

    def end() -> None:
        with Ledger.read(trial.folder) as ledger:
            assert {attempt.upload_url for attempt in ledger.attempts()} == {None}
        relay.upload_url = None

    prove_stop(end)
    assert b"s3cret" not in b"".join(path.read_bytes() for path in trial.folder.iterdir())


@stops(
    "upload",
    "an unsafe upload URL",
    "A URL from the ledger is looked at again, in case it was changed there. No recording "
    "is sent to it; after its hour another run takes the place of this one.",
    "its upload URL is not https",
    "Find out who writes to the study's folder.",
)
def test_an_unsafe_upload_url_in_the_ledger_is_not_used(trial, relay, prove_stop, clock) -> None:
    relay.play("upload", hang_up)
    trial.submit(patience=1.0)
    with closing(sqlite3.connect(trial.folder / "helios.sqlite")) as ledger, ledger:
        ledger.execute("UPDATE upload_urls SET upload_url = 'http://files.example/r.wav'")
    relay.calm()

    def end() -> None:
        clock.suspend(2 * UPLOAD_URL_LIFETIME.total_seconds())

    prove_stop(end)


@pytest.mark.fault(
    step="upload",
    fault="an expired upload URL",
    ending="new run",
    happens="The run has no audio, so another one is created. After three more refusals in a row "
    "the recording is left for the next submission.",
    code="HTTP_403",
    sees="The upload host does not take this upload URL (AccessDenied).",
    do="Submit again if rows are left `pending`.",
)
def test_a_url_that_has_expired_is_replaced_by_another_run(trial, relay, cell) -> None:
    denied = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"

    def deny(exchange) -> None:
        exchange.answer(403, denied)

    relay.play("upload", deny, 2)
    results = trial.submit()
    assert results["outcome"].tolist() == ["scored"] * 3
    assert results["attempts"].sum() == 5
    relay.play("upload", deny)
    left = trial.submit(4)
    assert left["outcome"].tolist() == ["scored"] * 3 + ["pending"]
    assert (left["error_code"][3], left["error_reason"][3]) == (cell.code, cell.sees)
    relay.calm()
    trial.heal(4)
