"""A real browser: headless Chromium from the system's packages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """Start Chromium, with more flags than the usual ones if there are any.

    Not for a whole session: while Playwright is open, its event loop counts as running in this
    thread, and tests of other folders could not run theirs.
    """
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "Chromium is missing: `make test` installs it, or says how"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[*_FLAGS, *flags])
        try:
            yield browser
        finally:
            browser.close()
