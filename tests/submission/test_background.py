"""The handle to a submission: how it ends, whoever or whatever ends it."""

import asyncio
import signal
import threading

import pytest

from helios_research.columns import Outcome
from helios_research.state.status import Progress
from helios_research.submission.background import Submission

START = Progress(1, {Outcome.PENDING: 1})


def test_an_interrupted_wait_lets_it_stop_and_conclude_before_the_interrupt_goes_on() -> None:
    # On Python 3.11 an interrupted `Thread.join` takes a running thread for dead.
    order: list[str] = []

    async def engine(stop, report) -> None:
        await stop.wait()
        await asyncio.sleep(0.5)
        order.append("stopped")

    submission = Submission(engine, START, lambda: order.append("concluded"))
    main = threading.main_thread().ident
    threading.Timer(0.3, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        submission.wait()
    assert order == ["stopped", "concluded"]
    assert not submission.is_running


def test_an_error_reaches_whoever_waits_after_the_results_were_laid_out() -> None:
    concluded: list[int] = []

    async def engine(stop, report) -> None:
        raise ArithmeticError("a defect")

    seen: list[Progress] = []
    submission = Submission(engine, START, lambda: concluded.append(1))
    with pytest.raises(ArithmeticError, match="a defect"):
        submission.wait(watch=seen.append)
    assert concluded == [1]
    assert seen[-1].is_over


def test_the_first_error_counts_where_laying_out_the_results_fails_too() -> None:
    async def engine(stop, report) -> None:
        raise ArithmeticError("the cause")

    def conclude() -> None:
        raise OSError("the consequence")

    with pytest.raises(ArithmeticError, match="the cause"):
        Submission(engine, START, conclude).wait()


def test_stopping_may_be_asked_for_from_any_thread_and_after_the_end() -> None:
    async def engine(stop, report) -> None:
        await stop.wait()

    submission = Submission(engine, START, lambda: "results")
    threading.Thread(target=submission.stop).start()
    assert submission.wait() == "results"
    submission.stop()
    assert repr(submission).startswith("<Submission over")
