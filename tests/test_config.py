"""Settings of the connection, from arguments and from the environment."""

import pytest
from pydantic import SecretStr

from helios_research.config import BASE_URLS, is_loopback, resolve_connection
from helios_research.errors import ApiKeyError, ConfigError

ALL = {
    "THYMIA_API_KEY": "from-environment",
    "THYMIA_REGION": "us",
    "THYMIA_BASE_URL": "https://lab.example",
}


@pytest.fixture
def all_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ALL.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("all_variables")
def test_without_arguments_the_environment_decides() -> None:
    connection = resolve_connection()
    assert connection.base_url == "https://lab.example"
    assert connection.api_key.get_secret_value() == "from-environment"


def test_a_region_can_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THYMIA_API_KEY", "k")
    monkeypatch.setenv("THYMIA_REGION", "ca")
    assert resolve_connection().base_url == "https://ca.api.thymia.ai"


@pytest.mark.usefixtures("all_variables")
def test_an_argument_wins_over_the_environment() -> None:
    connection = resolve_connection("mine", base_url="https://other.example")
    assert connection.base_url == "https://other.example"
    assert connection.api_key.get_secret_value() == "mine"


@pytest.mark.usefixtures("all_variables")
def test_a_region_that_is_asked_for_wins_over_a_base_url_of_the_environment() -> None:
    """Recordings meant for one region must not go elsewhere because of a forgotten variable."""
    assert resolve_connection("k", region="ca").base_url == BASE_URLS["ca"]


def test_a_base_url_argument_wins_over_a_region() -> None:
    connection = resolve_connection("k", region="ca", base_url="https://x.example")
    assert connection.base_url == "https://x.example"


def test_empty_variables_count_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THYMIA_REGION", "")
    monkeypatch.setenv("THYMIA_BASE_URL", "")
    assert resolve_connection("k").base_url == BASE_URLS["default"]


@pytest.mark.parametrize("region", BASE_URLS)
def test_every_region_has_an_address_of_its_own(region: str) -> None:
    url = resolve_connection("k", region=region).base_url
    assert url.startswith("https://")
    assert list(BASE_URLS.values()).count(url) == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://lab.example/", "https://lab.example"),
        (" https://lab.example\n", "https://lab.example"),
        ("https://gateway.example/helios/", "https://gateway.example/helios"),
        ("https://lab.example:8443", "https://lab.example:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.8.8.8:8000", "http://127.8.8.8:8000"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_a_safe_base_url_is_taken(given: str, kept: str) -> None:
    assert resolve_connection("k", base_url=given).base_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://api.thymia.ai",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://0.0.0.0:8000",
        "ftp://lab.example",
        "api.thymia.ai",
        "https://",
        "https:///v1",
        "https://lab.example:0",
        "https://lab.example:port",
        "https://lab.example:99999",
        "https://[broken",
        "https://me:s3cret@lab.example",
        "https://lab.example?token=s3cret",
        "https://lab.example#s3cret",
        "https://lab.example\\@other.example",
        "https://lab .example",
        "https://lab\n.example",
        "https://läb.example",
    ],
)
def test_a_base_url_that_is_not_safe_is_refused_without_repeating_its_secrets(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_connection("k", base_url=url)
    assert "must start with https://" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unknown_region_lists_the_ones_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'eu': choose one of default, ca, us"):
        resolve_connection("k", region="eu")


@pytest.mark.parametrize("key", [None, "", "  \n"])
def test_no_key_says_where_to_put_one_and_how_to_do_without(
    key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THYMIA_API_KEY", " ")
    with pytest.raises(ApiKeyError, match=r"THYMIA_API_KEY.*hr\.Sandbox\(\)"):
        resolve_connection(key)


@pytest.mark.usefixtures("all_variables")
def test_an_empty_key_is_not_replaced_by_the_environments() -> None:
    with pytest.raises(ApiKeyError):
        resolve_connection("")


@pytest.mark.parametrize("key", [" s3cret\n", SecretStr(" s3cret\n")])
def test_space_around_a_key_is_dropped(key: str | SecretStr) -> None:
    assert resolve_connection(key).api_key.get_secret_value() == "s3cret"


@pytest.mark.parametrize(
    "key", ["s3cret\nX: y", "s3 cret", "s3cretﬁ", "s3cret\x00", '"s3cret"', "'s3cret'"]
)
def test_a_key_that_cannot_be_one_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ApiKeyError, match="Copy it again") as caught:
        resolve_connection(key)
    assert "s3cret" not in str(caught.value)


def test_the_key_is_not_in_the_repr() -> None:
    assert "s3cret" not in repr(resolve_connection("s3cret"))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 - a host to judge, nothing listens on it
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
        (None, False),
    ],
)
def test_this_machine_is_told_from_others(host: str | None, expected: bool) -> None:
    assert is_loopback(host) is expected
