"""What the ledger costs: acknowledged transitions a second, stalls of the event loop, resuming.

Run with ``python benchmarks/ledger.py [--recordings 100000]``. Each way of writing is measured in
the same run on the same disk, in turns, so that their ratio can be trusted more than the times.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from helios_research.ledger import Attempt, Ledger, LedgerReader, NewAttempt, State
from helios_research.ledger.schema import migrate
from helios_research.ledger.storage import connect_writer, prepare_database, prepare_folder

PRODUCERS = 64
UPLOAD_URL = "https://uploads.example/" + "k" * 400
ANSWER = {
    "id": "00000000-0000-4000-8000-000000000000",
    "status": "COMPLETE_OK",
    "results": {"sections": [{"startSecs": 0, "finishSecs": 31.5, "mentalStrain": {"value": 0.5}}]},
    "padding": "x" * 600,
}


def new_attempt(number: int) -> NewAttempt:
    request = {
        "user": {"userLabel": f"p{number % 500:04}", "birthSex": "FEMALE"},
        "language": "en-GB",
        "tags": [{"name": "arm", "value": "day"}, {"name": "visit", "value": str(number % 3)}],
    }
    digest = f"{number:064x}"
    return NewAttempt(
        sha256=digest,
        request_digest=digest,
        request=request,
        number=1,
        media_type="audio/wav",
        size_bytes=960_044,
        duration_s=30.0,
        delete_data=False,
        source="sandbox",
    )


async def one_recording(ledger: Ledger, number: int, latencies: list[float]) -> None:
    async def timed(act: Awaitable[Attempt]) -> Attempt:
        began = time.perf_counter()
        attempt = await act
        latencies.append(time.perf_counter() - began)
        return attempt

    key = (await timed(ledger.begin(new_attempt(number)))).attempt_id
    run, url = f"run-{number}", UPLOAD_URL + str(number)
    await timed(ledger.advance(key, State.CREATED, model_run_id=run, upload_url=url))
    await timed(ledger.advance(key, State.UPLOADING))
    await timed(ledger.advance(key, State.UPLOADED))
    await timed(ledger.advance(key, State.SCORED, answer=ANSWER))


async def measure_loop(stalls: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        stalls.append(time.perf_counter() - before)


async def produce(ledger: Ledger, recordings: int) -> dict[str, float]:
    latencies: list[float] = []
    stalls: list[float] = []
    numbers = iter(range(recordings))

    async def producer() -> None:
        for number in numbers:
            await one_recording(ledger, number, latencies)

    heart = asyncio.create_task(measure_loop(stalls))
    began = time.perf_counter()
    await asyncio.gather(*(producer() for _ in range(PRODUCERS)))
    took = time.perf_counter() - began
    heart.cancel()
    return {
        "transitions_per_s": round(5 * recordings / took),
        "p99_ms": round(1000 * statistics.quantiles(latencies, n=100)[98], 1),
        "worst_stall_ms": round(1000 * max(stalls), 1),
    }


class OneTransactionEach:
    """The plain way, to compare with: each piece of work commits on the event loop."""

    def __init__(self, path: Path) -> None:
        self._connection = connect_writer(path)

    async def write(self, work: Callable[[Any], Any]) -> Any:
        """Do a piece of work and commit it at once."""
        self._connection.execute("BEGIN IMMEDIATE")
        value = work(self._connection)
        self._connection.execute("COMMIT")
        await asyncio.sleep(0)
        return value

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def measure_writing(recordings: int, *, grouped: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, Ledger.open(Path(folder)) as ledger:
        if grouped:
            return asyncio.run(produce(ledger, recordings))
        grouping = ledger._writer  # the benchmark swaps the part that it measures
        with closing(OneTransactionEach(Path(folder, "helios.sqlite"))) as plain:
            ledger._writer = plain  # type: ignore[assignment]  # offers the same `write`
            try:
                return asyncio.run(produce(ledger, recordings))
            finally:
                ledger._writer = grouping


def measure_bare_sqlite(commits: int) -> float:
    """Time a commit of one row with nothing of ours around it, in ms: what the disk costs."""
    with tempfile.TemporaryDirectory() as folder:
        path = prepare_database(prepare_folder(Path(folder)))
        with closing(connect_writer(path)) as connection:
            migrate(connection, path)
            began = time.perf_counter()
            for number in range(commits):
                connection.execute(
                    "INSERT INTO settings (name, value) VALUES (?, '')", (str(number),)
                )
            return round(1000 * (time.perf_counter() - began) / commits, 3)


def timed(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return round(time.perf_counter() - began, 2)


def measure_resuming(recordings: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Ledger.open(folder) as ledger:
            asyncio.run(produce(ledger, recordings))
            closing_s = timed(ledger.close)
        size = sum(file.stat().st_size for file in folder.iterdir())

        def resume() -> None:
            with Ledger.open(folder) as again:
                again.attempts()

        with Ledger.read(folder) as reader:
            return {
                "size_mb": round(size / 1e6, 1),
                "close_s": closing_s,
                "resume_s": timed(resume),
                **reading_times(reader),
            }


def reading_times(reader: LedgerReader) -> dict[str, float]:
    return {
        "attempts_s": timed(reader.attempts),
        "answers_s": timed(lambda: [json.loads(body) for _, body in reader.answers()]),
        "audit_trail_of_one_s": timed(lambda: reader.transitions(1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("one bare commit", measure_bare_sqlite(1_000), "ms")
    for _ in range(options.rounds):
        print("one transaction each", measure_writing(2_000, grouped=False))
        print("group commit        ", measure_writing(10_000, grouped=True))
    print(f"{options.recordings} recordings", measure_resuming(options.recordings))


if __name__ == "__main__":
    main()
