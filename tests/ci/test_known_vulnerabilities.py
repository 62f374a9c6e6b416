"""Vulnerable packages are named with their remedy, and nothing unchecked passes for checked."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "known_vulnerabilities.py"
MENDED = {"id": "GHSA-1", "aliases": ["CVE-1"], "fixed_in": ["2.0", "1.9.1"], "withdrawn": None}
OPEN = {"id": "GHSA-2", "aliases": [], "fixed_in": [], "withdrawn": None}
WITHDRAWN = {"id": "GHSA-3", "aliases": [], "fixed_in": [], "withdrawn": "2026-01-01T00:00:00Z"}
PAGES = {
    "/mended/json": {"info": {"version": "1.9"}, "vulnerabilities": [MENDED, WITHDRAWN]},
    "/clean/json": {"info": {"version": "3.1"}, "vulnerabilities": []},
    "/odd/json": ["not", "a", "page"],
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        page = PAGES.get(self.path)
        self.send_response(404 if page is None else 200)
        self.end_headers()
        self.wfile.write(json.dumps(page).encode())

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_pip_audits_report_is_read_whether_it_knew_a_package_or_not(script):
    known = {"name": "a", "version": "1", "vulns": [{"id": "X", "aliases": [], "fix_versions": []}]}
    skipped = {"name": "b", "skip_reason": "Dependency not found on PyPI …: b (2.0rc1)"}
    found = [script.package_of(entry) for entry in (known, skipped)]
    expected = [{"id": "X", "aliases": [], "fixed_in": []}]
    assert found == [script.Package("a", "1", expected), script.Package("b", "2.0rc1", None)]


@pytest.mark.parametrize(
    ("name", "version", "known"),
    [
        ("mended", "1.9", [MENDED]),
        ("clean", "3.1", []),
        ("clean", "3.0", None),
        ("unknown", "1", None),
        ("odd", "1", None),
    ],
)
def test_a_skipped_package_is_looked_up_if_it_is_the_newest(script, pages, name, version, known):
    found = script.looked_up(script.Package(name, version, None), pages)
    assert found.vulnerabilities == known


def test_a_page_that_cannot_be_reached_leaves_a_package_unchecked(script):
    package = script.Package("clean", "3.1", None)
    assert script.looked_up(package, "http://127.0.0.1:9") == package


def test_vulnerable_packages_are_named_with_the_versions_that_mend_them(script):
    packages = [script.Package("a", "1.9", [MENDED]), script.Package("b", "2", [OPEN])]
    assert script.report(packages) == (
        [
            "VULNERABLE: a 1.9: GHSA-1; mended in 2.0, 1.9.1",
            "VULNERABLE: b 2: GHSA-2; not mended in any version yet",
        ],
        True,
    )


def test_an_accepted_vulnerability_goes_by_any_of_its_names(script):
    lines, is_vulnerable = script.report([script.Package("a", "1.9", [MENDED])], ["CVE-1"])
    assert lines == ["No known vulnerability in 1 packages."]
    assert not is_vulnerable


def test_what_was_not_checked_is_named(script):
    packages = [script.Package("a", "1", []), script.Package("b", "2", None)]
    assert script.report(packages) == (
        [
            "No known vulnerability in 1 packages.",
            "NOT CHECKED, since PyPI has no page for these versions: b 2.",
        ],
        False,
    )


@pytest.mark.parametrize("packages", [[], [("a", "1", None)]])
def test_a_list_that_cannot_be_reached_is_said_and_is_no_failure(script, packages):
    lines, is_vulnerable = script.report([script.Package(*package) for package in packages])
    assert lines == ["NOT CHECKED: PyPI's list of vulnerabilities cannot be reached from here."]
    assert not is_vulnerable
