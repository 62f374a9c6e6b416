"""The matrix of faults: its rows and columns, how a test takes a place in it, and the page.

A test proves one cell, a step and a fault, and says so with a marker::

    @pytest.mark.fault(step="upload", fault="HTTP 503", ending="tried again", happens="…",
                       sees="…", code="…", do="…")

``sees`` and ``code`` are what the test compares with (fixture ``cell``), so the page that is made
from the markers (``--fault-page``, see ``make faults``) quotes sentences that were really said.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import pytest

PROPERTY = "cell of the fault matrix"

STEPS = {
    "create": "requesting a model run from Helios",
    "upload": "sending the recording to the upload host",
    "poll": "requesting the scores",
    "ledger write": "recording in the study's folder what was done",
    "results write": "writing `results.parquet`",
}

# Row by row, in the order of the page: what it is called, and what is meant by it.
FAULTS = {
    "connection refused": "No server listens at the address: a service is restarted, or a firewall refuses.",
    "reset before the server acted": "The connection breaks; the request never had an effect.",
    "reset after the server acted": "The connection breaks, and only the answer is lost.",
    "time-out": "The request arrives, but no answer comes in the time allowed.",
    "slow-loris answer": "The answer comes byte by byte, and never ends.",
    "HTTP 429, Retry-After in seconds": "Too many requests; the service says how long to wait.",
    "HTTP 429, Retry-After as a date": "The same, with a time of day at which to try again.",
    "HTTP 429 without Retry-After": "Too many requests, and no word on when to try again.",
    "HTTP 500": "The service has an error of its own.",
    "HTTP 502": "A gateway in front of the service cannot read its answer.",
    "HTTP 503": "The service is overloaded or being maintained.",
    "HTTP 504": "A gateway in front of the service gets no answer in time.",
    "HTTP 403": "The gateway refuses the key that worked until then, or a firewall answers with a page.",
    "no quota": "HTTP 402, or HTTP 429 `Limit Exceeded`: the account has no credit, or its quota is used up.",
    "a gateway's own refusal": "What is in front of Helios answers HTTP 400, 404 or 413 with a page, with "
    "nothing, or with a `message` alone.",
    "HTML instead of JSON": "A login page or a proxy answers in place of the service.",
    "half a JSON": "An answer that looks complete but stops in the middle.",
    "an answer of another request": "A cache in between repeats what it was told before, or answers are mixed "
    "up: the run of another recording, the scores of another participant.",
    "no usable score": "A finished run has no scores, or values that no score can have: NaN, text, 1.7, a "
    "level between the four.",
    "an internal error": "A run ends with `ERR_INTERNAL`, the one error that is Helios' own.",
    "nearly all recordings refused": "Nearly all recordings end in the same error, as where the wrong folder "
    "was sent.",
    "an unknown status": "A run has a status that Helios does not document, such as FAILED, and keeps it.",
    "an unknown run": "Helios does not know a run that it has just created (HTTP 404): its storage catches up.",
    "a huge answer": "An answer of 2 GB, or a small one that unpacks into as much.",
    "a redirect to another host": "An answer that refers to another server.",
    "TLS failure": "The server cannot prove its identity, as behind a hotel's login page.",
    "a proxy that is gone": "The proxy of the institution, which HTTPS_PROXY names, does not answer.",
    "a proxy that refuses": "It asks for a password (HTTP 407), or may not connect to Helios (403).",
    "an unsafe upload URL": "The upload URL is not https, or not a URL of the web: `http:`, `file:`, a password.",
    "an expired upload URL": "An upload URL is valid for one hour, and the hour is over.",
    "a refused upload": "The upload host refuses an upload whose URL is new.",
    "a slow line": "A line of a few kB a second, which all uploads share.",
    "an upload that crawls": "The connection stays open, and hardly a byte moves.",
    "the clock jumps forwards": "The computer's clock is set three hours ahead.",
    "the clock jumps backwards": "The computer's clock is set three hours back.",
    "two hours of sleep": "The laptop is closed in the middle, and opened two hours later.",
    "disk full": "The disk or the quota is full.",
    "read-only folder": "The study's folder cannot be written to.",
    "permission lost while running": "What could be read or written at first cannot be read or written later.",
    "a network share": "The study is on a share (SMB, NFS, …), or on another system's drive.",
    "a sync folder": "The study is in a folder of OneDrive, Dropbox, Google Drive, iCloud or the like.",
    "a second machine": "Two machines submit one study, on a share or in a sync folder.",
    "a copied study": "A study's folder was copied, and the copy is submitted too.",
    "a held ledger": "Another program, such as a database browser or a backup, holds the ledger.",
    "file handle limit": "The system does not let the program open another file or connection.",
    "SIGTERM": "A scheduler, a container or the system asks the program to end. The command line treats "
    "it as Ctrl-C; a script of your own ends at once, as after SIGKILL.",
    "SIGINT": "Ctrl-C, or the stop button of a notebook.",
    "SIGKILL": "The program is ended without warning: out of memory, `kill -9`.",
}

# How a cell ends, in the words of the overview.
ENDINGS = {
    "tried again": "Tried again until it works. If the fault lasts, the row stays `pending`, and the next "
    "submission continues.",
    "continues": "The results do not show it.",
    "new run": "A new model run replaces one that has no audio. Nothing is paid twice.",
    "stops": "The submission ends with one sentence; no row is marked as failed for it. The next one "
    "continues.",
    "row": "The recording's own row says what is wrong; the others continue.",
    "kept": "The program ends. All that was done is kept, and the next submission continues.",
}

_NETWORK = list(FAULTS)[: list(FAULTS).index("the clock jumps forwards")]
_OF_RUNS = (
    "no usable score",
    "an internal error",
    "nearly all recordings refused",
    "an unknown status",
    "an unknown run",
)
_NO_REQUEST = "no request is made here"
_SHOWN_AT_THE_LEDGER = "shown under *ledger write*: nothing is sent before it is written down"
_RUNS = "needs no file of its own; what is written then is the *ledger write*"

# Cells that cannot be met, with the reason.
NOT_MET = {
    **{(step, fault): _NO_REQUEST for fault in _NETWORK for step in list(STEPS)[3:]},
    ("poll", "an unsafe upload URL"): "no upload URL is used any more",
    ("upload", "half a JSON"): "the upload host's answer has no JSON; of what it says only the "
    "status counts",
    (
        "upload",
        "an answer of another request",
    ): "of the upload host's answer only the status counts",
    **{
        (step, fault): "no run has an answer yet"
        for fault in _OF_RUNS
        for step in ("create", "upload")
    },
    ("upload", "a gateway's own refusal"): "shown under *a refused upload*",
    ("upload", "HTTP 403"): "shown under *a refused upload*",
    ("upload", "no quota"): "uploads do not count",
    **{
        (step, fault): "nothing is uploaded"
        for fault in ("a refused upload", "a slow line", "an upload that crawls")
        for step in ("create", "poll")
    },
    ("create", "an expired upload URL"): "its URL is an hour from expiring",
    ("poll", "an expired upload URL"): "the upload is over; its URL has been erased",
    ("results write", "the clock jumps forwards"): "the times in it were taken before",
    ("results write", "the clock jumps backwards"): "the times in it were taken before",
    ("ledger write", "two hours of sleep"): "a write continues where it was",
    ("results write", "two hours of sleep"): "a write continues where it was",
    **{(step, "read-only folder"): _SHOWN_AT_THE_LEDGER for step in list(STEPS)[:3]},
    **{
        (step, fault): _SHOWN_AT_THE_LEDGER
        for fault in ("a network share", "a sync folder", "a copied study")
        for step in list(STEPS)[:3]
    },
    **{(step, "a second machine"): _SHOWN_AT_THE_LEDGER for step in list(STEPS)[:2]},
    **{
        ("results write", fault): "the ledger, which is written before, shows it"
        for fault in list(FAULTS)[list(FAULTS).index("a network share") :][:5]
    },
    ("create", "permission lost while running"): _RUNS,
    ("poll", "permission lost while running"): _RUNS,
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What a test says of its place in the matrix.

    Attributes
    ----------
    step, fault, ending
        One of `STEPS`, `FAULTS` and `ENDINGS`.
    happens
        What happens, in words for a researcher.
    do
        What the researcher has to do; nothing where it is empty.
    code, sees
        The row's ``error_code`` and ``error_reason``, or the sentence that the submission ends
        with (then there is no code); ``{place}`` marks what differs from run to run.
    """

    step: str
    fault: str
    ending: str
    happens: str
    do: str = ""
    code: str = ""
    sees: str = ""

    def __post_init__(self) -> None:
        for value, known in ((self.step, STEPS), (self.fault, FAULTS), (self.ending, ENDINGS)):
            if value not in known:
                raise ValueError(f"{value!r} is none of: {', '.join(known)}")


def cells_of(item: pytest.Item) -> list[Cell]:
    """Give the cells that a test proves; usually one."""
    return [Cell(*mark.args, **mark.kwargs) for mark in item.iter_markers("fault")]


# --- the page ------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the page be written from the tests of this run."""
    parser.addoption("--fault-page", type=Path, help="write the page about faults here")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and keep what the tests' reports say where a page is wanted."""
    config.addinivalue_line("markers", "fault(step, fault, ending, happens, …): a matrix cell")
    path = config.getoption("--fault-page", default=None)
    # Under xdist the workers run the tests, and the reports come together in their controller.
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_PageWriter(path), "fault-page")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Send a test's cells along with its report."""
    item.user_properties.extend((PROPERTY, json.dumps(asdict(cell))) for cell in cells_of(item))


class _PageWriter:
    """Collects the cells of tests that passed, and writes the page once all of them have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._proved: list[Cell] = []
        self._not_run = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a test that passed, or of one that was skipped."""
        cells = [
            Cell(**json.loads(text)) for name, text in report.user_properties if name == PROPERTY
        ]
        self._not_run |= report.skipped and bool(cells)
        if report.when == "call" and report.passed:
            self._proved += cells

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the page, unless a cell is without proof."""
        if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
            terminalreporter.write_line(f"{self._path} not written: a test failed.")
        elif self._not_run or unaccounted(self._proved):
            terminalreporter.write_line(f"{self._path} not written: a cell was not proved.")
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text(page_of(self._proved), encoding="utf-8")
            terminalreporter.write_line(f"{self._path} written.")


def unaccounted(cells: Iterable[Cell]) -> list[tuple[str, str]]:
    """List places of the matrix with neither a test nor a reason, or with both."""
    proved = {(cell.step, cell.fault) for cell in cells}
    places = [(step, fault) for fault in FAULTS for step in STEPS]
    return [place for place in places if (place in proved) == (place in NOT_MET)]


INTRODUCTION = """\
# When things go wrong

A study runs for hours, on laptops that sleep, in networks that drop, against a service that has
bad moments too. This page says what happens then. Four things hold, whatever goes wrong:

- **No row is lost.** Every row of your table has one row in the results, with an outcome.
- **Nothing is paid twice.** A recording's audio is processed once, unless Helios itself failed.
- **No work is lost.** What was done is in the study's folder before anything else is done.
- **Submitting again is always right.** It continues where it stopped, and requests no
  answer again.

So what to do is mostly the same: run `study.submit(cohort)` once more, or the same
`helios-research submit` command. A row that says `pending` waits for exactly that.

Each statement below comes from a test that causes the fault, with a real server, a real disk and
real signals, and compares the outcome and the words. The page is written from those tests
(`make faults`) and not by hand.

## At a glance

A submission takes five steps:
"""


def page_of(cells: Iterable[Cell]) -> str:
    """Write the page: an overview, then each fault with what happens at which step."""
    by_place: defaultdict[tuple[str, str], list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell not in by_place[cell.step, cell.fault]:
            by_place[cell.step, cell.fault].append(cell)
    for proved in by_place.values():
        # Not in the order in which parallel tests happen to end.
        proved.sort(key=lambda cell: (list(ENDINGS).index(cell.ending), cell.happens, cell.sees))
    steps = "".join(f"\n- **{step}**: {meaning}" for step, meaning in STEPS.items())
    endings = "".join(f"\n- **{name}**: {meaning}" for name, meaning in ENDINGS.items())
    chapters = "\n".join(_chapter(fault, by_place) for fault in FAULTS)
    return (
        f"{INTRODUCTION}{steps}\n\nand a fault at one of them ends in one of these ways:\n{endings}\n"
        f"- **n/a**: this cannot be met; the chapter of the fault says why.\n\n{_overview(by_place)}\n"
        f"{chapters}"
    )


def _overview(by_place: dict[tuple[str, str], list[Cell]]) -> str:
    rows = [f"| fault | {' | '.join(STEPS)} |", f"| --- |{' --- |' * len(STEPS)}"]
    for fault in FAULTS:
        found = [by_place.get((step, fault), []) for step in STEPS]
        texts = [
            " or ".join(dict.fromkeys(cell.ending for cell in cells)) or "n/a" for cells in found
        ]
        anchor = "".join(c for c in fault.lower().replace(" ", "-") if c.isalnum() or c in "-_")
        rows.append(f"| [{fault}](#{anchor}) | {' | '.join(texts)} |")
    return "\n".join(rows) + "\n"


def _chapter(fault: str, by_place: dict[tuple[str, str], list[Cell]]) -> str:
    lines = [f"## {fault}\n", f"{FAULTS[fault]}\n"]
    lines += ["| step | what happens | what you see | what to do |", "| --- | --- | --- | --- |"]
    alike: dict[str, list[str]] = {}
    for step in STEPS:
        for cell in by_place.get((step, fault), []):
            alike.setdefault(_row_of(cell), []).append(step)
    lines += [f"| {', '.join(steps)} | {row} |" for row, steps in alike.items()]
    reasons: dict[str, list[str]] = {}
    for step in STEPS:
        if (step, fault) in NOT_MET:
            reasons.setdefault(NOT_MET[step, fault], []).append(step)
    lines += [f"\nCannot be met at {', '.join(s)}: {reason}." for reason, s in reasons.items()]
    return "\n".join(lines) + "\n"


def _row_of(cell: Cell) -> str:
    sees = cell.sees.replace("{place}", "…").replace("|", "\\|")
    if cell.code:
        sees = f"`{cell.code}`: {sees}" if sees else f"`{cell.code}`"
    return f"{cell.happens} | {sees or 'nothing of it'} | {cell.do or 'nothing'}"


@pytest.fixture
def cell(request: pytest.FixtureRequest) -> Cell:
    """What the test says of its place in the matrix, to compare with what was seen."""
    (only,) = cells_of(request.node)
    return only


@pytest.fixture(scope="session")
def matrix() -> ModuleType:
    """Give this very module, which a test module cannot import."""
    return sys.modules[__name__]
