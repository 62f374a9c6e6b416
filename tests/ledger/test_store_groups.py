"""The writer: groups what waits, off the event loop, and tells each waiter its own outcome."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helios_research.errors import StudyStorageError
from helios_research.ledger.store import GroupWriter

Work = Callable[[sqlite3.Connection], Any]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.sqlite"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE items (name TEXT UNIQUE, body BLOB)")
    yield connection
    connection.close()


@pytest.fixture
def writer(connection: sqlite3.Connection, path: Path) -> Iterator[GroupWriter]:
    writer = GroupWriter(connection, path, lambda: None)
    yield writer
    writer.close()


@pytest.fixture
def hold(writer: GroupWriter) -> Iterator[Callable[[], threading.Event]]:
    """Keep the writer busy until the event is set, so that what comes meanwhile is one group."""
    gates: list[threading.Event] = []

    def start() -> threading.Event:
        begun, gate = threading.Event(), threading.Event()

        def wait(_: sqlite3.Connection) -> None:
            begun.set()
            gate.wait()

        threading.Thread(target=writer.write_blocking, args=(wait,)).start()
        begun.wait()
        gates.append(gate)
        return gate

    yield start
    for gate in gates:
        gate.set()


def add(name: str, body: bytes = b"") -> Work:
    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO items VALUES (?, ?)", (name, body))
        return name

    return work


def names(path: Path) -> list[str]:
    """Read through a connection of its own, which sees only what was committed."""
    with sqlite3.connect(path) as other:
        found = [name for (name,) in other.execute("SELECT name FROM items ORDER BY rowid")]
    other.close()
    return found


async def together(
    writer: GroupWriter, gate: threading.Event, works: list[Work]
) -> list[Any | BaseException]:
    tasks = [asyncio.create_task(writer.write(work)) for work in works]
    await asyncio.sleep(0)  # each task has handed in its work
    gate.set()
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_acknowledged_is_committed(writer: GroupWriter, path: Path) -> None:
    assert await writer.write(add("a")) == "a"
    assert names(path) == ["a"]


def test_code_without_a_loop_can_write_too(writer: GroupWriter, path: Path) -> None:
    assert writer.write_blocking(add("a")) == "a"
    assert names(path) == ["a"]


async def test_what_waits_together_is_one_transaction_in_order(
    writer: GroupWriter,
    connection: sqlite3.Connection,
    path: Path,
    hold: Callable[[], threading.Event],
) -> None:
    statements: list[str] = []
    gate = hold()
    connection.set_trace_callback(statements.append)
    wanted = [f"item {number}" for number in range(100)]
    assert await together(writer, gate, [add(name) for name in wanted]) == wanted
    connection.set_trace_callback(None)
    assert names(path) == wanted
    # The first COMMIT is that of the work which held the writer.
    assert statements.count("COMMIT") == 2


async def test_the_loop_goes_on_while_the_disk_is_waited_for(writer: GroupWriter) -> None:
    loop_went_on = threading.Event()
    waiting = asyncio.create_task(writer.write(lambda _: loop_went_on.wait(timeout=60)))
    await asyncio.sleep(0)
    loop_went_on.set()
    assert await waiting is True


async def test_one_failing_item_does_not_take_the_others_with_it(
    writer: GroupWriter, path: Path, hold: Callable[[], threading.Event]
) -> None:
    def half_done(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO items VALUES ('half', NULL)")
        raise LookupError("changed my mind")

    works = [add("a"), add("b"), half_done, add("a"), add("c")]
    outcomes = await together(writer, hold(), works)
    assert [type(outcome) for outcome in outcomes] == [
        str,
        str,
        LookupError,
        sqlite3.IntegrityError,
        str,
    ]
    assert names(path) == ["a", "b", "c"]


async def test_a_full_disk_reaches_every_waiter_and_nothing_is_kept(
    writer: GroupWriter,
    connection: sqlite3.Connection,
    path: Path,
    hold: Callable[[], threading.Event],
) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    works = [add("small"), add("large", b"x" * 100_000), add("late")]
    outcomes = await together(writer, hold(), works)
    for outcome in outcomes:
        assert isinstance(outcome, StudyStorageError)
        assert str(outcome).startswith(f"Cannot write to {path}: the disk is full (SQLITE_FULL). ")
    assert len({id(outcome) for outcome in outcomes}) == 3
    assert names(path) == []


async def test_writing_goes_on_when_there_is_room_again(
    writer: GroupWriter, connection: sqlite3.Connection, path: Path
) -> None:
    connection.execute("PRAGMA max_page_count = 4")
    with pytest.raises(StudyStorageError):
        await writer.write(add("large", b"x" * 100_000))
    connection.execute("PRAGMA max_page_count = 1000000")
    assert await writer.write(add("large", b"x" * 100_000)) == "large"
    assert names(path) == ["large"]


async def test_a_cancelled_wait_does_not_take_the_work_back(
    writer: GroupWriter, path: Path, hold: Callable[[], threading.Event]
) -> None:
    gate = hold()
    waiting = asyncio.create_task(writer.write(add("a")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    assert await writer.write(add("b")) == "b"
    assert names(path) == ["a", "b"]


def test_a_loop_that_ended_meanwhile_does_not_stop_the_writer(
    writer: GroupWriter, path: Path, hold: Callable[[], threading.Event]
) -> None:
    gate = hold()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(writer.write(add("a")))
    loop.run_until_complete(asyncio.sleep(0))
    waiting.cancel()
    loop.run_until_complete(asyncio.gather(waiting, return_exceptions=True))
    loop.close()
    gate.set()
    assert writer.write_blocking(add("b")) == "b"
    assert names(path) == ["a", "b"]


def test_several_loops_are_each_answered_on_their_own(writer: GroupWriter, path: Path) -> None:
    async def produce(prefix: str) -> list[str]:
        return await asyncio.gather(*(writer.write(add(f"{prefix}{i}")) for i in range(50)))

    answers: dict[str, list[str]] = {}
    threads = [
        threading.Thread(target=lambda p=prefix: answers.update({p: asyncio.run(produce(p))}))
        for prefix in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {prefix: [f"{prefix}{i}" for i in range(50)] for prefix in "abc"}
    assert len(names(path)) == 150


async def test_closing_finishes_what_was_handed_in(
    writer: GroupWriter, path: Path, hold: Callable[[], threading.Event]
) -> None:
    gate = hold()
    tasks = [asyncio.create_task(writer.write(add(name))) for name in "abc"]
    await asyncio.sleep(0)
    gate.set()
    writer.close()
    assert names(path) == ["a", "b", "c"]
    assert await asyncio.gather(*tasks) == ["a", "b", "c"]
    writer.close()


async def test_writing_after_closing_is_refused(writer: GroupWriter, path: Path) -> None:
    writer.close()
    with pytest.raises(ValueError, match=f"The ledger {path} is closed: open the study again"):
        await writer.write(add("a"))
    with pytest.raises(ValueError, match="is closed"):
        writer.write_blocking(add("a"))
