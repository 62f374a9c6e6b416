"""Which proxy a request goes through, which certificates count, and why no answer came."""

import errno
import itertools
import socket
import ssl
from base64 import b64decode
from pathlib import Path
from urllib.parse import unquote

import pytest
import truststore
from hypothesis import given
from hypothesis import strategies as st

from helios_research.errors import ConfigError
from helios_research.network import (
    Route,
    causes,
    distrust,
    system_words,
    trusted_certificates,
)

HELIOS = "https://api.thymia.ai/v1/account"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose environment names neither proxies nor certificates."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


# --- proxies --------------------------------------------------------------------------------------


def test_without_settings_there_is_no_proxy() -> None:
    assert Route.of_environment("https").proxy_to(HELIOS) is None


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("http://proxy.example.org:8080", "http://proxy.example.org:8080"),
        ("proxy.example.org:8080", "http://proxy.example.org:8080"),
        ("https://proxy.example.org", "https://proxy.example.org"),
        ("HTTP://Proxy.example.org:8080/", "http://proxy.example.org:8080"),
        ("http://[fd00::1]:8080", "http://[fd00::1]:8080"),
        (" http://10.0.0.1:8080\n", "http://10.0.0.1:8080"),
    ],
)
def test_a_proxy_may_be_written_in_many_ways(monkeypatch, value, url) -> None:
    monkeypatch.setenv("https_proxy", value)
    proxy = Route.of_environment("https").proxy_to(HELIOS)
    assert (proxy.url, proxy.setting, proxy.headers) == (url, "HTTPS_PROXY", {})


@pytest.mark.parametrize(
    ("user", "password"), [("me", "p@ss"), ("DOMAIN%5Cme", "a%23b%2Fc"), ("me", "")]
)
def test_a_password_may_hold_any_character_and_is_never_shown(monkeypatch, user, password) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{user}:{password}@proxy.example.org:8080")
    proxy = Route.of_environment("https").proxy_to(HELIOS)
    scheme, _, code = proxy.headers["Proxy-Authorization"].partition(" ")
    name, _, secret = b64decode(code).decode().partition(":")
    assert (scheme, name) == ("Basic", unquote(user))
    assert secret == unquote(password)
    assert not password or secret not in repr(proxy) + str(proxy)
    assert str(proxy) == "proxy.example.org:8080 (HTTPS_PROXY)"


def test_the_scheme_of_the_request_decides_which_setting_counts(monkeypatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    assert Route.of_environment("https").proxy_to(HELIOS).url == "http://all:1"
    monkeypatch.setenv("HTTP_PROXY", "http://plain:2")
    monkeypatch.setenv("HTTPS_PROXY", "http://encrypted:3")
    assert Route.of_environment("https").proxy_to(HELIOS).url == "http://encrypted:3"
    assert Route.of_environment("http").proxy_to("http://host/r.wav").url == "http://plain:2"


def test_a_setting_that_is_not_needed_may_be_wrong(monkeypatch) -> None:
    """A desktop sets all of them, SOCKS included."""
    monkeypatch.setenv("ALL_PROXY", "nonsense://x:y")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:99999")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    assert Route.of_environment("https").proxy_to(HELIOS).url == "http://proxy:3128"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("ftp://me:s3cret@proxy:21", "it begins with ftp://, and not with http://"),
        ("http://me:s3cret@proxy:port", "its port is not a number from 1 to 65535"),
        ("http://me:s3cret@proxy:99999", "its port is not a number from 1 to 65535"),
        ("http://me:s3cret@proxy:0", "its port is not a number from 1 to 65535"),
        ("http://me:s3#cret@proxy:8080", "its port is not a number from 1 to 65535"),
        ("http://:8080", "it names no host"),
        ("http://me:s3cret@[fd00::1:8080", "it is not a URL"),
        ("socks://me:s3cret@proxy:1080", "pip install 'httpx[socks]'"),
        ("socks5://me:s3cret@proxy:1080", "pip install 'httpx[socks]'"),
        ("socks4://me:s3cret@proxy:1080", "it begins with socks4://"),
    ],
)
def test_a_proxy_that_cannot_be_is_named_without_its_password(monkeypatch, value, words) -> None:
    monkeypatch.setattr("helios_research.network.find_spec", lambda _name: None)
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(ConfigError, match="The proxy in ALL_PROXY cannot be used") as caught:
        Route.of_environment("https")
    assert words in str(caught.value)
    assert "s3" not in str(caught.value)


def test_socks_as_desktops_write_it_is_version_5(monkeypatch) -> None:
    monkeypatch.setattr("helios_research.network.find_spec", lambda _name: True)
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:1080/")
    assert Route.of_environment("https").proxy_to(HELIOS).url == "socks5h://127.0.0.1:1080"


def test_between_two_programs_on_this_machine_there_is_no_proxy(monkeypatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy:3128")
    for url in ("http://127.0.0.1:8765", "http://localhost:1/x", "https://[::1]:8080/"):
        assert Route.of_environment("https").proxy_to(url) is None


@pytest.mark.parametrize(
    ("exceptions", "url"),
    [
        ("*", HELIOS),
        ("thymia.ai", HELIOS),
        (".thymia.ai", HELIOS),
        ("*.thymia.ai", HELIOS),
        ("API.thymia.AI.", HELIOS),
        ("localhost, 10.0.0.0/8 , api.thymia.ai", HELIOS),
        ("localhost api.thymia.ai", HELIOS),
        ("api.thymia.ai:443", HELIOS),
        ("https://api.thymia.ai", HELIOS),
        ("10.0.0.0/8", "https://10.1.2.3/v1"),
        ("10.1.2.3:8443", "https://10.1.2.3:8443/v1"),
        ("2001:db8::7", "https://[2001:db8::7]/v1"),
        ("[2001:db8::7]", "https://[2001:db8::7]/v1"),
        ("[2001:db8::7]:8443", "https://[2001:db8::7]:8443/v1"),
        ("2001:db8::/32", "https://[2001:db8:1::7]/v1"),
        ("[2001:db8::]/32", "https://[2001:db8:1::7]/v1"),
    ],
)
def test_no_proxy_names_hosts_and_networks(monkeypatch, exceptions, url) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert Route.of_environment("https").proxy_to(url) is None


@pytest.mark.parametrize(
    "exceptions",
    [
        *("", ",", "::1", "[::1]", "fd00::/8", "fe80::1%eth0", "10.0.0.0/8", "[", "]:x", "://"),
        *("ymia.ai", "thymia.ai.example", "api.thymia.ai:80", "10.0.0.0/99", "[::1"),
    ],
)
def test_an_exception_for_others_or_one_that_means_nothing_stops_no_request(
    monkeypatch, exceptions
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert Route.of_environment("https").proxy_to(HELIOS).url == "http://proxy:3128"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_no_text_in_no_proxy_is_an_error(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", "http://proxy:3128")
        patch.setenv("NO_PROXY", text)
        Route.of_environment("https").proxy_to(HELIOS)


def test_the_systems_own_settings_have_their_own_exceptions(monkeypatch) -> None:
    """As those of Windows and macOS, which Python reads where the environment names none."""
    asked = []

    def bypass(host: str) -> int:
        asked.append(host)
        return host.endswith(".local")

    monkeypatch.setattr("helios_research.network.getproxies", lambda: {"https": "proxy:3128"})
    monkeypatch.setattr("helios_research.network.proxy_bypass", bypass)
    route = Route.of_environment("https")
    assert str(route.proxy_to(HELIOS)) == "proxy:3128 (the system's settings)"
    assert route.proxy_to("https://helios.local") is None
    route.proxy_to(HELIOS)
    assert asked == ["api.thymia.ai", "helios.local"]


# --- certificates ---------------------------------------------------------------------------------


def test_by_default_those_of_the_operating_system_count(
    make_certificate, monkeypatch, tmp_path
) -> None:
    """Shown with a store that holds one certificate of its own, as a hospital's computer does."""
    store = make_certificate("helios.test")
    monkeypatch.setattr(
        ssl, "get_default_verify_paths", lambda: ssl.DefaultVerifyPaths(*([None] * 6))
    )
    monkeypatch.setattr("truststore._openssl._CA_FILE_CANDIDATES", [str(store)])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(store)
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusted_certificates().wrap_bio(ours, theirs, server_hostname="helios.test")
    answering = server.wrap_bio(theirs, ours, server_side=True)
    for _ in range(3):
        for end in (client, answering):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.getpeercert()["subject"]


def test_a_machine_without_a_store_trusts_mozillas_list() -> None:
    assert trusted_certificates()._ctx.cert_store_stats()["x509_ca"] > 100


def test_a_file_in_the_environment_comes_first_and_alone(make_certificate, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate()))
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    context = trusted_certificates()
    assert context.cert_store_stats()["x509"] == 1
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("spelling", ["OPENSSL", "OPENSLL"])
def test_settings_that_are_empty_or_condas_own_do_not_count(monkeypatch, spelling) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "")
    monkeypatch.setenv("SSL_CERT_DIR", r"C:\conda\Library\ssl\certs")
    monkeypatch.setenv(f"__CONDA_{spelling}_CERT_DIR_SET", "1")
    assert isinstance(trusted_certificates(), truststore.SSLContext)


@pytest.mark.parametrize("setting", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there_are_said_with_their_path(monkeypatch, setting) -> None:
    monkeypatch.setenv(setting, "/nowhere/ca.pem")
    words = f"{setting} names /nowhere/ca.pem, which cannot be read (no such file or directory)"
    with pytest.raises(ConfigError) as caught:
        trusted_certificates()
    assert str(caught.value).startswith(words)


def test_a_file_without_certificates_is_said(monkeypatch, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("not a certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigError, match="which holds no certificates in PEM form"):
        trusted_certificates()


# --- why no answer came ---------------------------------------------------------------------------


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
