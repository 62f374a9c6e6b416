"""Where the API key comes from, and that it is told when it stands in code."""

import ast
import getpass
import io
import json
import os
import pty
import subprocess
import sys
import textwrap
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail, null
from pydantic import SecretStr

import helios_research as hr
from helios_research.config import (
    BASE_URLS,
    KeyInCodeWarning,
    forget_key,
    key_from_keyring,
    resolve_connection,
    store_key,
)
from helios_research.errors import (
    ApiKeyError,
    ConfigError,
)

THYMIA = BASE_URLS["default"]
KEY = "a-key-that-must-not-be-seen"


class MemoryKeyring(KeyringBackend):
    """A keyring as an operating system has one, for as long as a test lasts."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class LockedKeyring(MemoryKeyring):
    """One whose owner does not unlock it."""

    def get_password(self, service: str, username: str) -> str | None:
        raise keyring.errors.KeyringLocked(f"{service} of {username} is locked: {KEY}")


class PlaintextKeyring(MemoryKeyring):
    """By the name of the one that writes to a file."""


class ForgetfulKeyring(MemoryKeyring):
    def set_password(self, service: str, username: str, password: str) -> None:
        """Say that all is well."""


@pytest.fixture
def use_keyring() -> Iterator:
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


def key_of(client: hr.Client) -> str:
    return client._connection.api_key.get_secret_value()


# --- the order ------------------------------------------------------------------------------------


def test_the_argument_wins_over_the_environment_and_that_over_the_keyring(
    use_keyring, monkeypatch
) -> None:
    system = MemoryKeyring()
    system.entries["helios_research", THYMIA] = "kept"
    use_keyring(system)
    given = "given"
    assert key_of(hr.Client()) == "kept"
    monkeypatch.setenv("THYMIA_API_KEY", " ")
    assert key_of(hr.Client()) == "kept"
    monkeypatch.setenv("THYMIA_API_KEY", "set")
    assert key_of(hr.Client()) == "set"
    assert key_of(hr.Client(api_key=given)) == "given"


def test_each_address_has_a_key_of_its_own(use_keyring) -> None:
    use_keyring(MemoryKeyring())
    store_key(THYMIA, SecretStr(KEY))
    assert key_of(hr.Client()) == KEY
    with pytest.raises(ApiKeyError):
        hr.Client(region="ca")
    with pytest.raises(ApiKeyError):
        hr.Client(base_url="http://127.0.0.1:9")


def test_a_keyring_that_is_locked_is_as_good_as_none(use_keyring, caplog) -> None:
    use_keyring(LockedKeyring())
    caplog.set_level("DEBUG")
    with pytest.raises(ApiKeyError):
        hr.Client()
    assert "The keyring could not be read (KeyringLocked)" in caplog.text
    assert KEY not in caplog.text


def test_a_key_can_be_kept_and_forgotten(use_keyring) -> None:
    use_keyring(MemoryKeyring())
    assert store_key(THYMIA, SecretStr(KEY)).endswith("MemoryKeyring")
    found = key_from_keyring(THYMIA)
    assert found is not None
    assert found.get_secret_value() == KEY
    assert forget_key(THYMIA)
    assert not forget_key(THYMIA)
    assert key_from_keyring(THYMIA) is None


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (null.Keyring, "this machine has none, or none is unlocked"),
        (fail.Keyring, "this machine has none, or none is unlocked"),
        (PlaintextKeyring, "as plain text"),
        (LockedKeyring, "it answered KeyringLocked"),
        (ForgetfulKeyring, "it did not keep the key"),
    ],
    ids=["null", "fail", "plain text", "locked", "forgetful"],
)
def test_a_keyring_that_would_not_keep_the_key_safe_is_refused(use_keyring, system, words) -> None:
    use_keyring(system())
    with pytest.raises(ApiKeyError, match=words) as caught:
        store_key(THYMIA, SecretStr(KEY))
    assert KEY not in whole_traceback(caught.value)


def test_without_the_extra_it_is_said_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert key_from_keyring(THYMIA) is None
    with pytest.raises(ApiKeyError, match=r"pip install 'helios-research\[keyring\]'"):
        store_key(THYMIA, SecretStr(KEY))


# --- asking ---------------------------------------------------------------------------------------


def on_a_terminal(code: str, typed: str, **environment: str) -> tuple[int, str]:
    """Run code in a process that has a terminal, and type something there."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | environment,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while b"): " not in shown:
        shown += os.read(main, 4096)
    os.write(main, typed.encode() + b"\n")
    try:
        while piece := os.read(main, 4096):
            shown += piece
    except OSError:
        pass  # the terminal's other end was closed: the process has ended
    os.close(main)
    return process.wait(30), shown.decode()


def test_on_a_terminal_the_key_is_asked_for_without_echo() -> None:
    code = f"""
        import helios_research as hr
        client = hr.Client()
        print("taken" if client._connection.api_key.get_secret_value() == {KEY[::-1]!r}[::-1] else "?")
    """
    status, shown = on_a_terminal(code, KEY)
    assert status == 0
    assert f"API key for {THYMIA} (is not shown): " in shown
    assert "taken" in shown
    assert KEY not in shown


def test_nobody_is_asked_where_nobody_sits(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("not a terminal\n"))
    with pytest.raises(ApiKeyError, match="not possible to ask"):
        hr.Client()


def test_nobody_is_asked_where_what_is_typed_would_be_seen(monkeypatch) -> None:
    """As in a terminal that cannot switch its echo off."""

    def asked(prompt: str) -> str:
        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return KEY

    monkeypatch.setattr(getpass, "getpass", asked)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with pytest.raises(ApiKeyError):
        hr.Client()


# --- the command line -----------------------------------------------------------------------------

BACKEND = """
import json, pathlib
from keyring.backend import KeyringBackend
FILE = pathlib.Path(__file__).with_suffix(".json")
class System(KeyringBackend):
    name = "the keyring of this test"
    priority = 1
    def _all(self):
        return json.loads(FILE.read_text()) if FILE.exists() else {}
    def get_password(self, service, username):
        return self._all().get(service + " " + username)
    def set_password(self, service, username, password):
        FILE.write_text(json.dumps(self._all() | {service + " " + username: password}))
    def delete_password(self, service, username):
        FILE.write_text(json.dumps({k: v for k, v in self._all().items() if username not in k}))
"""


def test_the_command_line_keeps_and_forgets_a_key(tmp_path: Path) -> None:
    (tmp_path / "system.py").write_text(BACKEND)
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "PYTHON_KEYRING_BACKEND": "system.System",
        "COLUMNS": "200",
    }

    def run(*words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).with_name("helios-research"), "key", *words]
        return subprocess.run(
            command, input=typed, env=environment, capture_output=True, text=True, check=False
        )

    kept = run("set", "--region", "ca", typed=f"{KEY}\n")
    assert kept.stdout == (
        "The key for https://ca.api.thymia.ai is stored in the keyring of this test. "
        "If THYMIA_API_KEY is set, it is used first.\n"
    )
    entries = json.loads((tmp_path / "system.json").read_text())
    assert entries == {"helios_research https://ca.api.thymia.ai": KEY}
    used = "import helios_research as hr; hr.Client(region='ca')"
    assert (
        subprocess.run([sys.executable, "-c", used], env=environment, check=False).returncode == 0
    )
    refused = run("set", typed=f"{KEY} and more\n")
    assert refused.returncode == 2
    assert refused.stderr.startswith("Error: The API key is not valid")
    assert run("forget", "--region", "ca").stdout.endswith(" was removed.\n")
    assert run("forget", "--region", "ca").stdout.startswith("There was no key for https://ca.api")
    assert KEY not in "".join(done.stdout + done.stderr for done in (kept, refused))


# --- keys in code ---------------------------------------------------------------------------------


def run_cell(code: str, tmp_path: Path) -> list[warnings.WarningMessage]:
    """Run code from a file, as a notebook's cell is run: compiled, with its source known."""
    path = tmp_path / "cell.py"
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    compiled = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compiled, {"hr": hr, "__name__": "__main__"})  # noqa: S102 - as a notebook does
    return [one for one in caught if issubclass(one.category, KeyInCodeWarning)]


@pytest.mark.parametrize(
    "code",
    [
        f'hr.Client(api_key="{KEY}")',
        f'hr.Client("{KEY}")',
        f"hr.Client(\n    region='ca',\n    api_key=(\n        '{KEY[:5]}'\n        '{KEY[5:]}'\n    ),\n)",
        f'hr.Client(api_key="{KEY[:5]}" + "{KEY[5:]}")',
        f'hr.Client(api_key=f"{KEY}")',
        f'from pydantic import SecretStr\nhr.Client(api_key=SecretStr("{KEY}"))',
        f'hr.Study("ä", client=hr.Client(api_key="{KEY}"))',
        f'name = "ü€"; client = [hr.Client(api_key="{KEY}") for _ in range(1)]',
        f'def connect():\n    return hr.Client(api_key="{KEY}", region="us")\nconnect()',
    ],
)
def test_a_key_that_is_spelled_out_gives_a_warning_without_it(code, tmp_path) -> None:
    (warning,) = run_cell(code, tmp_path)
    shown = warnings.formatwarning(
        warning.message, warning.category, warning.filename, warning.lineno, warning.line
    )
    assert "This call contains an API key" in shown
    assert "call hr.Client() alone" in shown
    assert KEY not in shown
    assert KEY[5:] not in shown


@pytest.mark.parametrize(
    "code",
    [
        f'key = "{KEY}"\nhr.Client(api_key=key)',
        f'key = "{KEY}"\nhr.Client(key, region="ca")',
        f'import os\nos.environ["MY_KEY"] = "{KEY}"\nhr.Client(api_key=os.environ["MY_KEY"])',
        f'import os\nos.environ["MY_KEY"] = "{KEY}"\nhr.Client(api_key=os.getenv("MY_KEY"))',
        f'def key(of="thymia"): return "{KEY}"\nhr.Client(api_key=key("thymia"))',
        f'key = "{KEY}"\nhr.Client(api_key=f"{{key}}")',
        f'settings = {{"api_key": "{KEY}"}}\nhr.Client(**settings)',
        f'settings = ["{KEY}"]\nhr.Client(*settings)',
        f'hr.Client(api_key="{KEY}", base_url="http://127.0.0.1:9")',
        f'class Mine(hr.Client):\n    pass\nkey = "{KEY}"\nMine(key)',
    ],
)
def test_a_key_from_elsewhere_or_for_a_stand_in_gives_none(code, tmp_path) -> None:
    assert run_cell(code, tmp_path) == []


@pytest.mark.parametrize("after", ["", "x = (\n", "hr.Client(\n" * 3, "\x00"])
def test_source_that_is_gone_or_has_changed_breaks_nothing(after, tmp_path) -> None:
    path = tmp_path / "cell.py"
    compiled = compile(f'\n\nhr.Client(api_key="{KEY}")', str(path), "exec")
    path.write_text(after)
    exec(compiled, {"hr": hr})  # noqa: S102 - as a notebook does


def test_a_call_without_source_or_positions_breaks_nothing() -> None:
    exec(f'hr.Client(api_key="{KEY}")', {"hr": hr})  # noqa: S102 - as a notebook does
    code = f"import helios_research as hr; hr.Client('{KEY}'); map(hr.Client, ['{KEY}']).__next__()"
    command = [sys.executable, "-X", "no_debug_ranges", "-W", "error", "-c", code]
    assert subprocess.run(command, check=False).returncode == 0


def test_what_is_warned_of_is_what_the_readme_advises(request) -> None:
    """The README's own lines give no warning."""
    readme = (request.config.rootpath / "README.md").read_text(encoding="utf-8")
    for block in readme.split("```python")[1:]:
        tree = ast.parse(textwrap.dedent(block.partition("```")[0]))
        calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not [call for call in calls if "api_key='" in call]


# --- what a traceback shows -----------------------------------------------------------------------


def whole_traceback(error: BaseException) -> str:
    """Word an error with all local variables of our frames, as IPython's verbose mode does."""
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    # The first frame is the test's own.
    report.stack.pop(0)
    return "".join(report.format())


@pytest.mark.parametrize(
    ("key", "settings", "words"),
    [
        (f"{KEY} x", {}, "API key is not valid"),
        (KEY, {"region": "eu"}, "Unknown region"),
        (KEY, {"base_url": "ftp://x"}, "The base URL"),
    ],
)
def test_no_variable_in_a_traceback_holds_the_key(key, settings, words, monkeypatch) -> None:
    monkeypatch.setenv("THYMIA_API_KEY", key)
    for act in (lambda: hr.Client(**settings), lambda: hr.Client(key, **settings)):
        with pytest.raises(ConfigError, match=words) as caught:
            act()
        frames = caught.value.__traceback__.tb_next.tb_next
        shown = whole_traceback(caught.value.with_traceback(frames))
        assert "resolve_connection" in shown
        assert KEY not in shown
    with pytest.raises(ConfigError, match=words) as caught:
        resolve_connection(key, **settings)
    assert KEY not in whole_traceback(caught.value)
