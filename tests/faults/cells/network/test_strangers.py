"""Somebody else answers, or a URL leads elsewhere: nothing goes there, and the study stops."""

import json
import re
import sqlite3
import ssl
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from helios_research.errors import AccountError, NotHeliosError, RefusedError
from helios_research.ledger import Ledger, checksums
from helios_research.state.status import UPLOAD_URL_LIFETIME
from support.faults import Fault, Faults, Rule, Step

# Defined in conftest.py, which a test module cannot import.
Door = Any

EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
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
        checksums.register(ledger)
        ledger.execute("UPDATE upload_urls SET upload_url = 'http://files.example/r.wav'")
    relay.calm()

    def end() -> None:
        clock.suspend(2 * UPLOAD_URL_LIFETIME.total_seconds())

    prove_stop(end)


@pytest.mark.fault(
    step="upload",
    fault="an expired upload URL",
    ending="new run",
    happens="The run has no audio, so another one is created.",
    do="Submit again if rows are left `pending`.",
)
def test_a_url_that_has_expired_is_replaced_by_another_run(trial, relay) -> None:
    relay.play("upload", lambda exchange: exchange.answer(403, EXPIRED), 2)
    results = trial.submit()
    assert results["outcome"].tolist() == ["scored"] * 3
    assert results["attempts"].sum() == 5


def test_urls_that_expired_since_an_earlier_submission_are_all_replaced(trial, relay) -> None:
    relay.play("upload", hang_up)
    trial.submit(6, patience=1.0)
    relay.calm()
    # More in a row than a host that refuses everything gets.
    relay.play("upload", lambda exchange: exchange.answer(403, EXPIRED), 5)
    results = trial.submit(6)
    assert results["outcome"].tolist() == ["scored"] * 6
    assert results["attempts"].sum() == 11


KEPT = " No recording was marked as failed; submit again to continue."


def refused(sees: str, happens: str, do: str) -> object:
    """Give a cell in which the upload host refuses uploads."""
    return pytest.mark.fault(
        step="upload",
        fault="a refused upload",
        ending="stops",
        happens=happens,
        sees=sees + KEPT,
        do=do,
    )


def as_xml(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()


REFUSALS = {
    "AccessDenied": (403, as_xml("AccessDenied"), "The upload host refuses the recording"),
    "every URL expired": (403, EXPIRED, "The upload host says that its upload URL has expired"),
    "no such bucket": (404, as_xml("NoSuchBucket"), "The upload host refuses the recording"),
    "no words": (403, b"", "The upload host refuses the recording"),
    "SignatureDoesNotMatch": (
        403,
        as_xml("SignatureDoesNotMatch"),
        "The upload host does not recognize its own upload URL: something on the way, such as a proxy, "
        "changes uploads",
    ),
    "PreconditionFailed": (
        412,
        as_xml("PreconditionFailed"),
        "The upload host sets a condition that no upload of a recording meets",
    ),
    "a page": (413, b"<html>Too large</html>", "The upload host refuses the recording"),
}


@pytest.mark.parametrize(("status", "body", "reason"), REFUSALS.values(), ids=REFUSALS)
@refused(
    "The upload host {place}).",
    "Another run would change nothing: the recording keeps the one that it has. After three refusals in a "
    "row, whatever their words, the submission ends with the last.",
    "Find out what is between this computer and the upload host; if nothing is, tell thymia.",
)
def test_an_upload_host_that_refuses_everything_ends_the_submission_after_a_few_runs(
    trial, relay, cell, status, body, reason
) -> None:
    relay.play("upload", lambda exchange: exchange.answer(status, body))
    with pytest.raises(RefusedError) as caught:
        trial.submit(6, uploads=1)
    assert str(caught.value).startswith(f"{reason} (")
    assert re.fullmatch(re.escape(cell.sees).replace(r"\{place\}", ".*"), str(caught.value))
    # Another may be on its way when the third is refused.
    assert trial.sandbox.log.count(Step.CREATE) in {3, 4}
    left = trial.study.results()
    assert set(left["outcome"]) == {"pending"}
    assert set(left["error_code"].dropna()) == {f"HTTP_{status}"}
    relay.calm()
    trial.heal(6)
    # Only a URL that is said to have expired is left behind.
    assert trial.sandbox.log.count(Step.CREATE) <= 7 + 2 * (body == EXPIRED)


@refused(
    "This computer's clock is wrong: it shows {place} UTC, and the upload host's {place} UTC. Set its date, "
    "time and time zone (RequestTimeTooSkewed).",
    "No upload is accepted while the clock is wrong, so the submission ends with the first.",
    "Set the computer's clock.",
)
def test_a_clock_that_the_upload_host_finds_wrong_ends_the_submission(trial, relay, cell) -> None:
    relay.play("upload", lambda exchange: exchange.answer(403, as_xml("RequestTimeTooSkewed")))
    with pytest.raises(RefusedError) as caught:
        trial.submit(uploads=1)
    assert re.fullmatch(re.escape(cell.sees).replace(r"\{place\}", ".*"), str(caught.value))
    assert trial.sandbox.log.count(Step.CREATE) in {1, 2}
    relay.calm()
    trial.heal()


@pytest.mark.fault(
    step="upload",
    fault="a refused upload",
    ending="row",
    happens="A recording that is too large for the host is said in its row; the others continue.",
    code="HTTP_400",
    sees="The recording is larger than the upload host takes (EntityTooLarge).",
    do="Make the recording smaller, as a new file.",
)
def test_a_recording_that_is_too_large_is_said_in_its_row(trial, relay, cell) -> None:
    relay.play("upload", lambda exchange: exchange.answer(400, as_xml("EntityTooLarge")), 1)
    results = trial.submit(uploads=1)
    assert sorted(results["outcome"]) == ["rejected", "scored", "scored"]
    (row,) = results[results["outcome"] == "rejected"].to_dict("records")
    assert (row["error_code"], row["error_reason"]) == (cell.code, cell.sees)


@pytest.mark.fault(
    step="upload",
    fault="a refused upload",
    ending="tried again",
    happens="Where the bytes come too slowly, the upload is made again, to the same run.",
    code="HTTP_400",
    sees="The bytes of the recording came too slowly for the upload host (RequestTimeout).",
    do="Use a faster line, or fewer uploads at once (`uploads=1`), and submit again.",
)
def test_bytes_that_come_too_slowly_are_sent_again_to_the_same_run(relay, prove_by_relay) -> None:
    prove_by_relay("upload", lambda exchange: exchange.answer(400, as_xml("RequestTimeout")))


# --- a gateway in front of the API ----------------------------------------------------------------


def gateway(status: int, message: str, step: str) -> Faults:
    body = json.dumps({"message": message})
    return Faults(rules=(Rule(Fault.STATUS, on=STEPS[step], status=status, body=body),))


def ends(trial, cell, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        trial.submit()
    wanted = re.escape(cell.sees).replace(r"\{place\}", ".*")
    assert re.fullmatch(wanted, str(caught.value)), str(caught.value)
    assert set(trial.study.results()["outcome"]) <= {"pending", "scored"}
    trial.sandbox.faults = Faults()
    trial.heal()


def stopped(step: str, fault: str, happens: str, sees: str, do: str) -> object:
    mark = pytest.mark.fault(
        step=step, fault=fault, ending="stops", happens=happens, sees=sees, do=do
    )
    return pytest.param(step, id=step, marks=mark)


@pytest.mark.parametrize(
    "step",
    [
        stopped(
            step,
            "no quota",
            "Nothing is asked again: a quota does not come back within minutes.",
            "The quota of this account is used up. Ask thymia when it is renewed. It says: Limit "
            "Exceeded." + KEPT,
            "Ask thymia, then submit again.",
        )
        for step in ("create", "poll")
    ],
)
def test_a_quota_that_is_used_up_ends_the_submission(trial, cell, step) -> None:
    trial.sandbox.faults = gateway(429, "Limit Exceeded", step)
    ends(trial, cell, RefusedError)
    assert trial.sandbox.log.count(STEPS[step], 429) <= 3


def test_an_account_without_credit_is_no_wrong_key(trial) -> None:
    trial.sandbox.faults = gateway(402, "Payment Required", "create")
    with pytest.raises(RefusedError, match="Helios asks for payment"):
        trial.submit()


@pytest.mark.parametrize(
    "step",
    [
        stopped(
            step,
            "HTTP 403",
            "The key worked when the submission began, so it is not said to be wrong.",
            "http{place} took the API key until now, and refuses it since (HTTP 403). No recording was "
            "marked as failed; submit again to continue; if it is refused then, ask thymia whether the "
            "key was revoked.",
            "Submit again; if the key is refused then, ask thymia.",
        )
        for step in ("create", "poll")
    ],
)
def test_a_key_that_is_refused_in_the_middle_worked_until_then(trial, cell, step) -> None:
    trial.sandbox.faults = gateway(403, "Forbidden", step)
    ends(trial, cell, AccountError)


def test_a_base_url_with_a_path_is_named_beside_the_key(trial) -> None:
    trial.sandbox.faults = Faults(
        rules=(Rule(Fault.STATUS, status=403, body='{"message": "Forbidden"}'),)
    )
    trial.base_url = f"{trial.sandbox.base_url}/v2"
    with pytest.raises(AccountError, match=r"refuses this API key, or has no such address .*/v2:"):
        trial.submit()


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(
            step,
            id=step,
            marks=pytest.mark.fault(
                step=step,
                fault="HTTP 403",
                ending="tried again",
                happens="A page of a firewall says nothing of the key: the request is made again.",
                code="HTTP_403",
                sees="A firewall refuses the request: ask those who run it to allow Helios.",
                do="Submit again if rows are left `pending`.",
            ),
        )
        for step in ("create", "poll")
    ],
)
def test_a_firewalls_page_is_no_verdict_on_the_key(prove_by_sandbox, step) -> None:
    page = "<html>Request blocked</html>"
    prove_by_sandbox(Rule(Fault.STATUS, on=STEPS[step], status=403, body=page))


@pytest.mark.parametrize(
    ("step", "status", "message"),
    [
        pytest.param(
            step,
            status,
            message,
            id=step,
            marks=pytest.mark.fault(
                step=step,
                fault="a gateway's own refusal",
                ending="tried again",
                happens="No row is `rejected` or `lost` for it; the request is made again.",
                code=f"HTTP_{status}",
                sees=f"{sees} It says: {message}",
                do="Submit again if rows are left `pending`; if they stay so, tell thymia.",
            ),
        )
        for step, status, message, sees in (
            ("create", 413, "Request Too Long", "Something refused the request."),
            ("poll", 404, "Not Found", "Helios gave an answer that it does not document."),
        )
    ],
)
def test_a_gateways_own_refusal_is_no_verdict_of_helios(
    prove_by_sandbox, step, status, message
) -> None:
    body = json.dumps({"message": message})
    prove_by_sandbox(Rule(Fault.STATUS, on=STEPS[step], status=status, body=body))


def test_a_budget_that_is_said_to_be_used_up_is_waited_for(trial, relay, clock) -> None:
    asked_at: list[float] = []

    def use_up(exchange) -> None:
        asked_at.append(clock.monotonic())
        answer = exchange.ask_the_service()
        exchange.send(answer.replace(b"\r\n", b"\r\nRateLimit: remaining=0, reset=40\r\n", 1))

    relay.play("create", use_up, 2)
    assert trial.submit(2, uploads=1)["outcome"].tolist() == ["scored"] * 2
    first, second = asked_at
    assert second - first >= 40
