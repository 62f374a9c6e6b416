"""What tests of widgets share: a reader of panels without a browser, a browser, and servers of notebooks."""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from importlib import resources
from pathlib import Path

import ipywidgets
import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from helios_research.widgets.base import Clickable
from support.browser import chromium


@dataclass(frozen=True)
class ClickableButton:
    """A button in HTML: what its click says, and its text."""

    widget: Clickable
    what: str
    text: str
    attributes: str

    def click(self) -> None:
        """Send the click as the browser does."""
        assert " disabled" not in self.attributes
        self.widget._handle_custom_msg({"click": self.what}, [])

    @property
    def is_pressed(self) -> bool:
        """Whether the page shows it as pressed."""
        return 'aria-pressed="true"' in self.attributes


class PanelReader:
    """Reads and uses a panel as a person does: controls by their labels, and the text on the page."""

    def __init__(self, panel: object) -> None:
        self._panel = panel

    def widgets(self) -> list[ipywidgets.Widget]:
        """All widgets, from top to bottom."""
        return _tree(self._panel.widget)

    def control(self, label: str) -> ipywidgets.Widget:
        """The control with a label."""
        return self.controls(label)[0]

    def controls(self, start: str) -> list[ipywidgets.Widget]:
        """The visible controls whose label begins like this, the exact label first."""
        found = [
            widget
            for widget in self.widgets()
            if getattr(widget, "description", None)
            and widget.description.startswith(start)
            and widget.layout.display != "none"
        ]
        return sorted(found, key=lambda widget: widget.description != start)

    def buttons(self, click: str = "") -> list["ClickableButton"]:
        """The buttons in HTML that can be clicked, those whose click begins like this."""
        return [
            ClickableButton(
                widget,
                unescape(found[1]),
                unescape(re.sub("<.*?>", "", found[3])).strip(),
                found[2],
            )
            for widget in self.widgets()
            if isinstance(widget, Clickable)
            for found in re.finditer(
                r'<button [^>]*?data-click="([^"]*)"([^>]*)>(.*?)</button>', widget.value
            )
            if found[1].startswith(click)
        ]

    def button(self, text: str) -> "ClickableButton":
        """The first button in HTML whose text begins like this."""
        return next(each for each in self.buttons() if each.text.startswith(text))

    def chips(self) -> list["ClickableButton"]:
        """The chips of the filters that are on."""
        return [each for each in self.buttons("drop:") if each.what != "drop:"]

    def level(self, name: str) -> "ClickableButton":
        """The button of a value."""
        return next(each for each in self.buttons("level:") if each.text.startswith(name))

    def parts(self) -> list[ipywidgets.HTML]:
        """All HTML but the style sheet."""
        return [
            widget
            for widget in self.widgets()
            if isinstance(widget, ipywidgets.HTML | Clickable)
            and not widget.value.startswith("<style>")
        ]

    @property
    def html(self) -> str:
        """All that is on the page beside the controls."""
        return "\n".join(part.value for part in self.parts())

    def part(self, mark: str) -> str:
        """The first part that contains something."""
        return next(part.value for part in self.parts() if mark in part.value)

    @property
    def status(self) -> str:
        """The text of the status line."""
        found = re.search(r'<div role="status" class="helios-status[^>]*>(.*?)</div>', self.html)
        return unescape(found[1])


def _tree(widget: ipywidgets.Widget) -> list[ipywidgets.Widget]:
    return [widget, *(part for child in getattr(widget, "children", ()) for part in _tree(child))]


@pytest.fixture(scope="session")
def read() -> Callable[[object], PanelReader]:
    """Read a panel without a browser."""
    return PanelReader


ARTEFACTS = Path(__file__).parents[2] / "artefacts"
"""Where screenshots are kept; git does not see it."""

_START_S = 120
_LOAD_MS = 60_000
_WAIT_MS = 30_000

# No sandbox: tests run as root in containers. The rest keeps the browser off the network.
_WHEN_READY = """async () => {
    const app = window.jupyterapp;
    await app.restored;
    const pause = () => new Promise(resolve => setTimeout(resolve, 50));
    const widget = () => app.shell.currentWidget;
    while (!widget() || !widget().context) await pause();
    await widget().context.ready;
    const session = widget().context.sessionContext;
    await session.ready;
    const kernel = () => session.session && session.session.kernel;
    while (!kernel() || kernel().connectionStatus !== "connected") await pause();
    await kernel().info;
}"""


@dataclass(frozen=True)
class Server:
    """A server that shows notebooks in a folder."""

    url: str
    token: str
    folder: Path

    def write(self, name: str, cells: list[str]) -> str:
        """Write a notebook of code cells; gives its file name."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells]
        )
        notebook.metadata["kernelspec"] = {
            "name": "python3",
            "display_name": "Python 3",
            "language": "python",
        }
        nbformat.write(notebook, self.folder / f"{name}.ipynb")
        return f"{name}.ipynb"

    def read(self, name: str) -> dict:
        """Read a notebook as it was saved."""
        return json.loads((self.folder / f"{name}.ipynb").read_text(encoding="utf-8"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(command: list[str], port: int, path: str, home: Path) -> Iterator[None]:
    """Run a server with folders of its own, and wait until it answers."""
    folders = {
        name: str(home / name.lower())
        for name in (
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
            "JUPYTERLAB_SETTINGS_DIR",
            "JUPYTERLAB_WORKSPACES_DIR",
            "IPYTHONDIR",
        )
    }
    log = (home / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", *command], env=os.environ | folders, stdout=log, stderr=log
    )
    try:
        wait_for_answer(f"http://127.0.0.1:{port}{path}", process, home / "log")
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


def wait_for_answer(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own http:// URL
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{url} did not answer:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of JupyterLab, which is also one of Notebook 7."""
    home, folder = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("lab-notebooks")
    port, token = free_port(), secrets.token_hex(16)
    command = [
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
    ]
    settings = home / "jupyterlab_settings_dir" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    # Else a question about news lies over the notebook.
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    with serving(command, port, f"/api/status?token={token}", home):
        yield Server(f"http://127.0.0.1:{port}", token, folder)


@pytest.fixture(scope="session")
def voila(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of Voilà, which shows what cells give without their code."""
    home, folder = tmp_path_factory.mktemp("voila"), tmp_path_factory.mktemp("voila-notebooks")
    port, token = free_port(), secrets.token_hex(16)
    command = [
        "voila",
        "--no-browser",
        "--Voila.ip=127.0.0.1",
        f"--port={port}",
        f"--token={token}",
        str(folder),
    ]
    with serving(command, port, f"/voila?token={token}", home):
        yield Server(f"http://127.0.0.1:{port}", token, folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own, as wide as a laptop's."""
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    page = context.new_page()
    page.set_default_timeout(_WAIT_MS)
    expect.set_options(timeout=_WAIT_MS)
    yield page
    context.close()


@pytest.fixture
def open_in_lab(lab: Server, page: Page) -> Callable[..., Page]:
    """Open a notebook in JupyterLab, or in Notebook 7, and run all its cells."""

    def open_(name: str, *, run: bool = True, app: str = "lab") -> Page:
        place = f"lab/workspaces/{secrets.token_hex(4)}/tree" if app == "lab" else "notebooks"
        page.goto(f"{lab.url}/{place}/{name}?token={lab.token}", timeout=_LOAD_MS)
        page.wait_for_function("() => window.jupyterapp", timeout=_LOAD_MS)
        page.evaluate(_WHEN_READY)
        if app == "lab":
            # The notebook gets the whole width, as a researcher with a small screen would have it.
            page.evaluate("() => { jupyterapp.commands.execute('application:toggle-left-area'); }")
        if run:
            # Without its promise: it ends only when the last cell has.
            page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")
        return page

    return open_


@pytest.fixture
def open_in_voila(voila: Server, page: Page) -> Callable[[str], Page]:
    """Open a notebook in Voilà, which runs it."""

    def open_(name: str) -> Page:
        page.goto(f"{voila.url}/voila/render/{name}?token={voila.token}", timeout=_LOAD_MS)
        return page

    return open_


@pytest.fixture(scope="session")
def keep() -> Callable[[Page, str], Path]:
    """Keep a screenshot as an artefact of the run."""
    ARTEFACTS.mkdir(exist_ok=True)

    def keep(page: Page, name: str, *, of: str = "") -> Path:
        path = ARTEFACTS / f"{name}.png"
        target = page.locator(of).first if of else page
        target.screenshot(path=path)
        return path

    return keep


@pytest.fixture(scope="session")
def barriers() -> Callable[[Locator], list[str]]:
    """Let axe-core look at a panel, and give what would stand in someone's way."""
    program = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")

    def look(panel: Locator) -> list[str]:
        panel.page.evaluate(program)
        found = panel.evaluate("panel => axe.run(panel, {resultTypes: ['violations']})")
        assert found["passes"], "axe looked at nothing"
        return [
            f"{rule['id']}: {node['html'][:200]}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    return look


_REACHABLE = """panel => [...panel.querySelectorAll(
    "button:not(:disabled, [tabindex='-1']), select:not(:disabled), input:not(:disabled), summary, [tabindex='0']"
)].filter(each => each.checkVisibility({visibilityProperty: true}))"""


@pytest.fixture(scope="session")
def walk_by_tab() -> Callable[[Locator], int]:
    """Go from a panel's first control to its last with the Tab key; give how many there are."""

    def walk(panel: Locator) -> int:
        every = panel.evaluate_handle(_REACHABLE)
        count = every.evaluate("every => every.length")
        every.evaluate("every => every[0].focus({focusVisible: true})")
        place = 0
        while True:
            name, outline = every.evaluate(
                """(every, place) => {
                    const here = document.activeElement;
                    const style = getComputedStyle(here);
                    const is_seen = style.outlineStyle !== "none" || style.boxShadow !== "none";
                    return [here === every[place] ? "" : here.outerHTML.slice(0, 200), is_seen];
                }""",
                place,
            )
            assert not name, f"control {place} of {count} is passed over for {name}"
            assert outline, f"control {place} does not show that it has the focus"
            place += 1
            if place == count:
                return count
            # Day, month, year and calendar of a date are stops of their own.
            for _ in range(5):
                panel.page.keyboard.press("Tab")
                if every.evaluate(
                    "(every, left) => document.activeElement !== every[left]", place - 1
                ):
                    break

    return walk


@pytest.fixture
def jumps(page: Page) -> Callable[[], list[str]]:
    """Watch for parts of the page that move by themselves; tells what moved since it was asked."""

    def told() -> list[str]:
        return page.evaluate(
            """() => {
                const found = window.heliosJumps ?? [];
                window.heliosJumps = [];
                window.heliosWatch ??= new PerformanceObserver(list => {
                    for (const entry of list.getEntries())
                        for (const {node, previousRect, currentRect} of entry.sources)
                            if (node?.closest?.(".helios") && previousRect.y !== currentRect.y)
                                window.heliosJumps.push(
                                    `${node.className} from ${previousRect.y} to ${currentRect.y}`);
                });
                window.heliosWatch.observe({type: "layout-shift"});
                return found;
            }"""
        )

    return told
