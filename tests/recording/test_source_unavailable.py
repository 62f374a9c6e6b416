"""Why a recording behind a server cannot be read: what the server said, and whether it may pass."""

import re
import socket
import ssl
from contextlib import suppress
from threading import Thread

import fsspec
import pytest

from helios_research.errors import RecordingUnavailableError
from helios_research.recording import examine, read_blocks, stamp_of
from support.proxy import ConnectProxy
from support.website import Website

DATA = bytes(range(256)) * 50
SECRET = "?X-Amz-Signature=s3cret"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch) -> None:
    """A machine without a proxy, and without connections from before."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr("helios_research.recording.source._certificates", _certificates_now)


def _certificates_now() -> ssl.SSLContext:
    from helios_research.network import trusted_certificates

    fsspec.get_filesystem_class("https").clear_instance_cache()
    return trusted_certificates()


@pytest.fixture
def website(tmp_path):
    (tmp_path / "a.wav").write_bytes(DATA)
    with Website(tmp_path) as website:
        yield website


def refusal(location: str) -> RecordingUnavailableError:
    with pytest.raises(RecordingUnavailableError) as caught:
        stamp_of(location + SECRET)
    assert "s3cret" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "may_pass", "words"),
    [
        (401, False, "is not given out by its server (HTTP 401, Unauthorized): renew its link"),
        (403, False, "is not given out by its server (HTTP 403, Forbidden): renew its link"),
        (404, False, "does not exist (HTTP 404, Not Found): check its address."),
        (410, False, "does not exist (HTTP 410, Gone): check its address."),
        (400, False, "cannot be read (its server answered HTTP 400, Bad Request): check its"),
        (407, True, "the proxy does not let it through: HTTP 407, Proxy Authentication Required"),
        (
            429,
            True,
            "cannot be read at the moment (its server answered HTTP 429, Too Many Requests)",
        ),
        (500, True, "cannot be read at the moment (its server answered HTTP 500, Internal Server"),
        (503, True, "(its server answered HTTP 503, Service Unavailable): submit again later."),
        (599, True, "cannot be read at the moment (its server answered HTTP 599): submit again"),
    ],
)
def test_the_servers_answer_is_said_and_decides_whether_it_may_pass(
    website, status, may_pass, words
) -> None:
    website.statuses["a.wav"] = status
    error = refusal(f"{website.url}/a.wav")
    assert str(error).startswith(f"The recording {website.url}/a.wav ")
    assert words in str(error)
    assert error.may_pass is may_pass


def test_a_server_that_refuses_connections_may_be_back_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    error = refusal(f"http://127.0.0.1:{port}/a.wav")
    assert error.may_pass
    assert "(no connection to its server: Connection refused): check the network" in str(error)


def test_a_host_that_no_one_knows_may_be_known_later() -> None:
    error = refusal("http://recordings.invalid/a.wav")
    assert error.may_pass
    assert re.search(r"\(no connection to its server: [A-Z][a-z]", str(error)), str(error)


@pytest.fixture
def hangs_up():
    """A port that closes each connection without an answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            with suppress(OSError):  # the end of the test
                while True:
                    connection, _ = listening.accept()
                    connection.recv(65_536)
                    connection.close()

        thread = Thread(target=hang_up)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_server_that_breaks_off_may_do_better_later(hangs_up) -> None:
    error = refusal(f"{hangs_up}/a.wav")
    assert error.may_pass
    assert "cannot be read at the moment (no connection to its server" in str(error)


def test_an_address_that_cannot_be_is_no_outage() -> None:
    assert not refusal("http://127.0.0.1:99999999/a.wav").may_pass


def test_what_a_server_withholds_in_the_middle_is_said_without_secrets(tmp_path, files) -> None:
    (tmp_path / "b.flac").write_bytes(files["flac"])
    with Website(tmp_path) as website:
        website.statuses["b.flac"], website.after["b.flac"] = 503, 0
        location = f"{website.url}/b.flac{SECRET}"
        with pytest.raises(RecordingUnavailableError) as caught:
            examine(location)
    assert caught.value.may_pass
    assert "s3cret" not in str(caught.value)


# --- encrypted, and through a proxy ---------------------------------------------------------------


@pytest.fixture
def encrypted(tmp_path, make_certificate, monkeypatch):
    """A website that only this machine's own certificate file vouches for."""
    (tmp_path / "a.wav").write_bytes(DATA)
    certificate = make_certificate("files.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with Website(tmp_path, tls=context) as website:
        yield website


def test_the_certificates_of_the_environment_count_for_recordings_too(
    encrypted, make_certificate, monkeypatch
) -> None:
    assert b"".join(read_blocks(f"{encrypted.url}/a.wav")) == DATA
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate()))
    error = refusal(f"{encrypted.url}/a.wav")
    assert error.may_pass
    assert "(its server does not prove who it is: self-signed certificate)" in str(error)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    error = refusal(f"{encrypted.url}/a.wav")
    assert error.may_pass
    assert "SSL_CERT_FILE names /nowhere/ca.pem, which cannot be read" in str(error)


def test_a_recording_is_read_through_the_proxy_of_the_environment(encrypted, monkeypatch) -> None:
    with ConnectProxy({"files.test": encrypted.port}, credentials="me:p@ss") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:p%40ss@"))
        assert b"".join(read_blocks("https://files.test/a.wav")) == DATA
        assert proxy.heads[0].startswith("CONNECT files.test:443 ")
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = refusal("https://files.test/a.wav")
    assert error.may_pass
    assert "the proxy does not let it through: HTTP 407" in str(error)


def test_a_proxy_for_socks_is_said_to_be_none_for_recordings(monkeypatch) -> None:
    monkeypatch.setattr("helios_research.network.find_spec", lambda _name: True)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    error = refusal("https://files.test/a.wav")
    assert "cannot be read through a SOCKS proxy: name a proxy with http:// in HTTPS_PROXY" in str(
        error
    )
