"""The proxy of an institution is gone or refuses, while a study is submitted through it."""

import ssl
import threading
from collections.abc import Iterator

import pytest

from support.proxy import ConnectProxy

STEPS = ("create", "upload", "poll")
BEFORE = {"create": "account", "upload": "create", "poll": "upload"}


@pytest.fixture
def proxy(relay, trial, make_certificate, monkeypatch) -> Iterator[ConnectProxy]:
    """A proxy between the study and its service; each request has a tunnel of its own."""
    certificate = make_certificate("helios.test", "uploads.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    ports = {"helios.test": relay.api.port, "uploads.test": relay.uploads.port}
    relay.tls = dict.fromkeys(ports.values(), context)
    local = f"http://127.0.0.1:{relay.uploads.port}"
    relay.upload_url = lambda url: url.replace(local, "https://uploads.test")
    trial.base_url = "https://helios.test"
    with ConnectProxy(ports) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        yield proxy


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(
            step,
            marks=pytest.mark.fault(
                step=step,
                fault="a proxy that is gone",
                ending="tried again",
                happens=happens,
                code="UNREACHABLE",
                sees="No connection could be made through the proxy 127.0.0.1:{place} (HTTPS_PROXY): "
                "Connection refused.",
                do="Check HTTPS_PROXY, and submit again if rows are left `pending`.",
            ),
        )
        for step, happens in (
            ("create", "The run is asked for again."),
            (
                "upload",
                "The run is asked whether the recording arrived; it did not, so it is sent again, to "
                "the same run.",
            ),
            ("poll", "The question is asked again."),
        )
    ],
)
def test_a_proxy_that_is_gone_is_tried_again(relay, proxy, prove_tried_again, step) -> None:
    def begin(times: int | None) -> None:
        def shut_afterwards(exchange) -> None:
            exchange.send(exchange.ask_the_service())
            proxy.shut()
            if times is not None:
                threading.Timer(0.1, proxy.open).start()

        relay.play(BEFORE[step], shut_afterwards, 1)

    def end() -> None:
        proxy.open()
        relay.calm()

    prove_tried_again(begin, end)


REFUSALS = {
    407: "The proxy 127.0.0.1:{place} (HTTPS_PROXY) asks for a user name and a password (HTTP 407), "
    "or does not take those that it gets. Set them in its address: http://proxy.example.org:8080, or "
    "http://NAME:PASSWORD@proxy.example.org:8080 with special characters as %-codes (@ is %40). ",
    403: "The proxy 127.0.0.1:{place} (HTTPS_PROXY) refuses to connect to {place}.test (HTTP 403). Ask "
    "those who run it, such as your IT department, to allow {place}.test. ",
}


@pytest.mark.parametrize(
    ("step", "status"),
    [
        pytest.param(
            step,
            status,
            marks=pytest.mark.fault(
                step=step,
                fault="a proxy that refuses",
                ending="stops",
                happens="The proxy got nothing but the name of the host.",
                sees=f"{sees}Everything done so far is kept; submit again to continue.",
                do="Correct HTTPS_PROXY, or have the host allowed; then submit again.",
            ),
        )
        for step in STEPS
        for status, sees in REFUSALS.items()
    ],
)
def test_a_proxy_that_refuses_ends_the_submission_with_its_reason(
    relay, proxy, prove_stop, step, status
) -> None:
    def refuse_afterwards(exchange) -> None:
        proxy.status = status
        exchange.send(exchange.ask_the_service())

    relay.play(BEFORE[step], refuse_afterwards)

    def end() -> None:
        relay.calm()
        proxy.status = 0

    prove_stop(end)
