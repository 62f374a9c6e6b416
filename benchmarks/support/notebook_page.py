"""A notebook in JupyterLab and Voilà, seen by a headless Chromium, for what has to be measured there."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
# Nothing that talks to the network or waits for a graphics card.
CHROMIUM_SETTINGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--disable-dev-shm-usage",
]
_START_S = 60
_RUN_ALL = """async () => {
  while (!window.jupyterapp) await new Promise(done => setTimeout(done, 50));
  const app = window.jupyterapp;
  await app.restored;
  while (!app.shell.currentWidget?.context) await new Promise(done => setTimeout(done, 50));
  const widget = app.shell.currentWidget;
  await widget.context.ready;
  await widget.context.sessionContext.ready;
  const kernel = widget.context.sessionContext.session.kernel;
  while (kernel.connectionStatus !== "connected") await new Promise(done => setTimeout(done, 50));
  await kernel.info;
  app.commands.execute("notebook:run-all-cells");
}"""


def write_notebook(path: Path, source: str) -> None:
    """Write a notebook of one cell."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.write(notebook, path)


@contextmanager
def served(front_end: str, home: Path) -> Iterator[str]:
    """Serve a folder's notebooks in "lab" or "voila", and give the address of ``bench.ipynb``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    root = f"http://127.0.0.1:{port}"
    commands = {
        "lab": [
            *("jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"),
            *("--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"),
            *(f"--ServerApp.root_dir={home}", "--LabApp.expose_app_in_browser=True"),
        ],
        "voila": [
            *("voila", "--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}"),
            *(f"--token={token}", str(home)),
        ],
    }
    pages = {
        "lab": f"{root}/lab/workspaces/{token}/tree/bench.ipynb?token={token}",
        "voila": f"{root}/voila/render/bench.ipynb?token={token}",
    }
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    folders += ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    environment = os.environ | {name: str(home / name.lower()) for name in folders}
    log = (home / f"{front_end}.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", *commands[front_end]], env=environment, stdout=log, stderr=log
    )
    try:
        _wait_for(port)
        yield pages[front_end]
    finally:
        server.terminate()
        server.wait(20)
        log.close()


def _wait_for(port: int) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    message = f"Nothing answered at port {port} within {_START_S} s."
    raise TimeoutError(message)


@contextmanager
def opened(address: str, *, width: int = 1600, height: int = 1200) -> Iterator[Page]:
    """Open a notebook in a browser, and run it where it does not run by itself."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_SETTINGS)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(120_000)
            page.goto(address)
            if "/lab/" in address:
                page.evaluate(_RUN_ALL)
            yield page
        finally:
            browser.close()
