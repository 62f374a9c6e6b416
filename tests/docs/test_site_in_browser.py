"""The documentation is built without a warning, and its search finds first what people look for."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from support.browser import chromium

DOCS = Path(__file__).parents[2] / "docs"

FIRST = {
    "compare_by_tag": "reference/analysis",
    "ERR_RECORDING_TOO_SHORT": "generated/codes",
    "level_dbfs": "generated/columns",
    "recode sex": "table/codes",
    "date format": "table/codes",
    "REDCap": "table/redcap",
    "Qualtrics": "table/surveys",
    "German Excel": "table/excel",
    "Spanish Excel": "table/excel",
    "SPSS": "table/spss",
    "Stata": "table/spss",
    "wide to long": "table/wide",
    "wide": "table/wide",
    "order of visits": "table/order",
    "tags": "table/tags",
    "must I tag to group": "table/tags",
    "do I need tags": "table/tags",
    "pseudonyms": "table/pseudonyms",
    "what is a cohort": "table/index",
    "preflight": "sending/preflight",
    "thresholds": "sending/preflight",
    "date formats": "table/codes",
    "warn and fail": "sending/preflight",
    "what scores mean": "results/meaning",
    "uniform bucketed": "results/meaning",
    "uniform against bucketed": "results/meaning",
    "what is a lot of strain": "results/strain",
    "cut-off": "results/strain",
    "supported languages": "table/language",
    "accents": "table/language",
    "cost": "sending/cost",
    "how many requests": "sending/cost",
    "options of submit": "sending/submit",
    "submit": "sending/submit",
    "figures without caption": "findings/style",
    "colours": "findings/style",
    "my colours": "findings/style",
    "Table 1": "findings/table_one",
    "Table 1 with my own variables": "findings/table_one",
    "moving a study folder": "sending/folder",
    "moving study": "sending/folder",
    "sharing a study folder": "sending/folder",
    "two people": "sending/folder",
    "two people on one study": "sending/folder",
    "cron": "sending/servers",
    "cluster recipe": "sending/servers",
    "cluster": "sending/servers",
    "retention of checks": "sending/preflight",
    "sections": "results/sections",
    "cite": "cite",
    "how to cite": "cite",
    "troubleshooting": "start",
    "troubleshooting install": "start",
    "Windows": "start",
    "JupyterHub": "start",
    "conda": "start",
    "pip": "start",
    "invitations": "sending/invitations",
    "METADATA_CHANGED": "generated/codes",
    "withdrawal": "ethics/withdrawal",
    "consent": "ethics/consent",
    "glossary": "glossary",
    "licence": "questions",
    "methods section": "findings/methods",
    "missingness": "findings/missingness",
    "reliability": "findings/reliability",
    "adjusting for site": "findings/site",
    "small cells": "report",
    "R users": "results/r",
    "DuckDB": "results/large",
    "flow diagram": "findings/index",
    "comparing groups": "findings/groups",
    "pre post": "findings/change",
    "export": "results/export",
    "known limits": "limits",
    "environment variables": "reference/settings",
    "rate": "sending/rates",
    "resume": "sending/resume",
    "explorer": "explorer",
    "report": "report",
}
"""Where search leads first."""


class Quiet(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The site on loopback, built but for the outputs of its pages."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    command += ["-D", "nb_execution_mode=off", "-d", str(folder / "kept"), str(DOCS)]
    built = subprocess.run(
        [*command, str(folder / "site")], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    serve = partial(Quiet, directory=str(folder / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that notes requests to other hosts."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("question", FIRST)
def test_search_finds_first_what_people_look_for(site: str, page: Page, question: str) -> None:
    page.goto(f"{site}/search.html?q={question}")
    first = page.locator("#search-results li a").first
    expect(first).to_have_attribute("href", re.compile(rf"{FIRST[question]}\.html"))


def test_pages_need_no_other_host_and_write_no_error(site: str, page: Page) -> None:
    others, errors = [], []
    page.on("request", lambda one: None if one.url.startswith(site) else others.append(one.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in ("index", "generated/notebooks/06_explore_results", "generated/commands"):
        page.goto(f"{site}/{path}.html", wait_until="networkidle")
        expect(page.locator("h1").first).to_be_visible()
    assert ([one for one in others if not one.startswith("data:")], errors) == ([], [])
