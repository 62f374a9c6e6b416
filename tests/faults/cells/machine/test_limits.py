"""Limits of the system: how many files may be open, and how large a file may be."""

import re
import resource
import sys

import pytest

if not sys.platform.startswith("linux"):
    pytest.skip("limits of a running process are set as Linux does it", allow_module_level=True)

TRY_AGAIN = "Close other programs or allow more open files (`ulimit -n 4096`), then submit again."
GOES_ON = (
    "; everything recorded so far is kept, and running the same command again continues from there."
)
MORE_FILES = " Close other programs, or allow this one more open files (`ulimit -n 4096`)" + GOES_ON

# Lets a process open nothing more for half a second, from the moment when it is about to open a
# certain thing. Numbers of open files count from 0, and 0 to 2 are always in use.
AT_ITS_LIMIT = """
import os, resource, sys, threading
def limit(most):
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, 4096))
def strike(event, arguments):
    if event == {event!r} and {part!r} in str(arguments[:1]) and os.path.exists({flag!r}):
        os.unlink({flag!r})
        limit(3)
        threading.Timer(0.5, limit, [1024]).start()
sys.addaudithook(strike)
"""


@pytest.fixture
def flag(tmp_path):
    """A file whose presence says that the moment has come."""
    return tmp_path / "limited"


@pytest.fixture
def stops_with_its_sentence(cell):
    """Hold that a process ended with status 2 and the cell's sentence."""

    def check(child) -> None:
        assert child.end() == 2, child.err
        assert "Traceback" not in child.err
        wanted = re.escape(f"Error: {cell.sees}").replace(r"\{place\}", ".*")
        assert re.fullmatch(wanted, child.err.splitlines()[-1]), child.err

    return check


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(
            step,
            marks=pytest.mark.fault(
                step=step,
                fault="file handle limit",
                ending="tried again",
                happens="No connection can be opened. The request is made again until one can.",
                do=TRY_AGAIN,
            ),
        )
        for step in ("create", "poll")
    ],
)
def test_a_connection_that_cannot_be_opened_is_tried_again(
    trial, relay, submit_elsewhere, flag, step, local_volume
) -> None:
    def limit(exchange) -> None:
        answer = exchange.ask_the_service()
        flag.touch()
        exchange.send(answer)

    relay.play({"create": "account", "poll": "upload"}[step], limit, 1)
    limited = AT_ITS_LIMIT.format(event="socket.__new__", part="socket.socket", flag=str(flag))
    child = submit_elsewhere(f"{local_volume}\n{limited}")
    assert child.end() == 0, child.err
    assert not flag.exists()
    assert trial.study.results()["outcome"].tolist() == ["scored"] * 3
    trial.heal()


@pytest.mark.fault(
    step="upload",
    fault="file handle limit",
    ending="row",
    happens="The recording cannot be opened, so it is not sent.",
    code="INVALID_RECORDING_CHANGED",
    sees="The recording cannot be read any more, so it was not sent. {place}oo many open files{place}",
    do=TRY_AGAIN,
)
def test_a_recording_that_cannot_be_opened_is_a_matter_of_its_row(
    trial, relay, submit_elsewhere, flag, cell, local_volume
) -> None:
    def limit(exchange) -> None:
        flag.touch()
        exchange.send(exchange.ask_the_service())

    relay.play("create", limit, 1)
    limited = AT_ITS_LIMIT.format(event="open", part="r0000.wav", flag=str(flag))
    child = submit_elsewhere(f"{local_volume}\n{limited}")
    child.end()
    results = trial.study.results()
    assert results["outcome"][0] == "invalid", child.err
    assert results["error_code"][0] == cell.code
    wanted = re.escape(cell.sees).replace(r"\{place\}", ".*")
    assert re.fullmatch(wanted, results["error_reason"][0]), results["error_reason"][0]
    trial.heal()


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(
            part,
            marks=pytest.mark.fault(
                step=step,
                fault="file handle limit",
                ending="stops",
                happens=happens,
                sees="Cannot write to {place}" + place + ": too many open files." + MORE_FILES,
                do=TRY_AGAIN,
            ),
        )
        for step, part, place, happens in (
            (
                "ledger write",
                "helios.lock",
                "study",
                "Nothing is sent that cannot be written down.",
            ),
            (
                "results write",
                ".results.parquet",
                "results.parquet",
                "All scores are in the ledger; the next submission writes the file.",
            ),
        )
    ],
)
def test_a_file_that_cannot_be_opened_ends_the_submission_with_a_sentence(
    trial, submit_elsewhere, flag, stops_with_its_sentence, part
) -> None:
    trial.base_url = trial.sandbox.base_url
    flag.touch()
    child = submit_elsewhere(AT_ITS_LIMIT.format(event="open", part=part, flag=str(flag)))
    stops_with_its_sentence(child)
    trial.heal()


# --- the size of files -----------------------------------------------------------------------------


@pytest.mark.fault(
    step="ledger write",
    fault="disk full",
    ending="stops",
    happens="The same holds where a quota or a limit on the size of files (`ulimit -f`) is met.",
    sees="Cannot write to {place}helios.sqlite: the disk reported an error ({place}). Check that "
    "the disk has space left, and that it or its share is still connected" + GOES_ON,
    do="Free some space, then submit again.",
)
@pytest.mark.parametrize("step", ["create", "upload", "poll"])
def test_a_ledger_that_may_not_grow_loses_nothing(
    trial, relay, submit_elsewhere, stops_with_its_sentence, step, local_volume
) -> None:
    def limit(exchange) -> None:
        answer = exchange.ask_the_service()
        largest = max(path.stat().st_size for path in trial.folder.glob("helios.sqlite-wal"))
        child.limit(resource.RLIMIT_FSIZE, largest)
        exchange.send(answer)

    relay.play(step, limit, 1)
    child = submit_elsewhere(local_volume)
    stops_with_its_sentence(child)
    trial.heal()
