"""The queue takes up what is to be sent, and nothing else, with one look at each recording."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from helios_research.codes import HeliosCode
from helios_research.columns import Outcome, Verdict
from helios_research.ledger import Attempt, State
from helios_research.preflight_checks.check import Check
from helios_research.state.rows import Rejection, Row
from helios_research.state.status import DEFAULT_OPTIONS, DecisionOptions, RowStatus, row_status
from helios_research.submission.work_queue import NotSent, Scan, WorkItem, WorkQueue

AUDIO = "ab" * 32
NOT_SCANNED = Scan()


@pytest.fixture
def looked_at() -> list[str]:
    """The recordings that were looked at."""
    return []


@pytest.fixture
def taken_in(looked_at) -> Callable[..., object]:
    """Everything that a queue yields for rows, what is seen of them, and what was sent."""

    async def run(
        rows: Sequence[Row],
        seen: Mapping[str, Check],
        attempts: Sequence[Attempt] = (),
        scan: Scan = NOT_SCANNED,
        options: DecisionOptions = DEFAULT_OPTIONS,
        statuses: Sequence[RowStatus] | None = None,
    ) -> list[WorkItem | NotSent]:
        async def check(location: str) -> Check:
            looked_at.append(location)
            return seen[location]

        async def scanned() -> Scan:
            return scan

        def history(sha256: str) -> list[Attempt]:
            return [attempt for attempt in attempts if attempt.sha256 == sha256]

        before = statuses or [
            row_status(row, None, history(AUDIO), options=options) for row in rows
        ]
        queue = WorkQueue(rows, before, history, check, scanned, options)
        return [item async for item in queue.items()]

    return run


def rows_at(row_of, *names: str, **settings: object) -> list[Row]:
    return [
        row_of(position=position, location=f"/{name}.wav", **settings)
        for position, name in enumerate(names)
    ]


async def test_new_recordings_are_checked_and_taken_with_what_was_seen(
    taken_in, row_of, check_of
) -> None:
    (row,) = rows_at(row_of, "a")
    (item,) = await taken_in([row], {"/a.wav": check_of(media_type="audio/wav")})
    assert isinstance(item, WorkItem)
    assert (item.job.row, item.job.sha256, item.job.size_bytes) == (row, AUDIO, 1000)
    assert (item.job.media_type, item.job.duration_s) == ("audio/wav", 30.0)


async def test_what_helios_would_refuse_ends_skipped_unless_all_is_sent(
    taken_in, row_of, check_of
) -> None:
    rows, seen = rows_at(row_of, "a"), {"/a.wav": check_of(Verdict.FAIL, HeliosCode.TOO_LONG)}
    assert await taken_in(rows, seen) == [NotSent(Outcome.SKIPPED, Outcome.PENDING)]
    (sent,) = await taken_in(rows, seen, options=DecisionOptions(preflight=False))
    assert isinstance(sent, WorkItem)


async def test_a_recording_that_cannot_be_read_ends_invalid(taken_in, row_of, check_of) -> None:
    gone = check_of(Verdict.FAIL, "INVALID_RECORDING", sha256=None)
    items = await taken_in(rows_at(row_of, "a"), {"/a.wav": gone})
    assert items == [NotSent(Outcome.INVALID, Outcome.PENDING)]


async def test_a_score_stays_when_its_file_is_gone(taken_in, row_of, check_of, attempt_of) -> None:
    gone = check_of(Verdict.FAIL, "INVALID_RECORDING", sha256=None)
    items = await taken_in(rows_at(row_of, "a"), {"/a.wav": gone}, [attempt_of(State.SCORED)])
    assert items == []


async def test_a_settled_recording_that_nobody_wrote_to_is_not_looked_at(
    taken_in, row_of, attempt_of, looked_at
) -> None:
    scan = Scan(hashes={"/a.wav": AUDIO})
    items = await taken_in(rows_at(row_of, "a"), {}, [attempt_of(State.SCORED)], scan)
    assert (items, looked_at) == ([], [])


async def test_a_settled_recording_that_somebody_wrote_to_is_sent_as_the_new_one_it_is(
    taken_in, row_of, check_of, attempt_of
) -> None:
    other = check_of(sha256="cd" * 32)
    (item,) = await taken_in(
        rows_at(row_of, "a"), {"/a.wav": other}, [attempt_of(State.SCORED)], Scan()
    )
    assert isinstance(item, WorkItem)
    assert (item.job.sha256, item.before) == ("cd" * 32, Outcome.SCORED)


async def test_a_file_that_was_only_touched_keeps_its_score(
    taken_in, row_of, check_of, attempt_of
) -> None:
    items = await taken_in(
        rows_at(row_of, "a"), {"/a.wav": check_of()}, [attempt_of(State.SCORED)], Scan()
    )
    assert items == [NotSent(Outcome.SCORED, Outcome.SCORED)]


async def test_runs_in_progress_go_first_without_a_look_at_their_files(
    taken_in, row_of, check_of, attempt_of, looked_at
) -> None:
    new, old = rows_at(row_of, "new", "old")
    in_progress = attempt_of(State.UPLOADED, duration_s=12.0)
    statuses = [row_status(new, None, []), row_status(old, None, [in_progress])]
    seen = {"/new.wav": check_of(sha256="cd" * 32)}
    items = await taken_in([new, old], seen, [in_progress], statuses=statuses)
    assert [item.job.row for item in items] == [old, new]
    assert items[0].job.duration_s == 12.0
    assert looked_at == ["/new.wav"]


async def test_what_helios_deletes_soon_is_asked_for_before_all_else(
    taken_in, row_of, request_of, attempt_of
) -> None:
    rows = rows_at(row_of, "kept", "deleted")
    attempts = [
        attempt_of(State.UPLOADED, number=1, sha256="11" * 32),
        attempt_of(State.UPLOADED, number=2, sha256="22" * 32, delete_data=True),
    ]
    statuses = [row_status(row, None, [one]) for row, one in zip(rows, attempts, strict=True)]
    items = await taken_in(rows, {}, attempts, statuses=statuses)
    assert [item.job.sha256 for item in items] == ["22" * 32, "11" * 32]


async def test_the_same_audio_with_other_metadata_is_sent_once_even_if_only_now_found_out(
    taken_in, row_of, request_of, check_of
) -> None:
    rows = [
        row_of(position=0, location="s3://study/a.wav"),
        row_of(request_of(language="de"), position=1, location="s3://study/b.wav"),
    ]
    seen = dict.fromkeys(("s3://study/a.wav", "s3://study/b.wav"), check_of())
    items = await taken_in(rows, seen)
    assert sorted(type(item).__name__ for item in items) == ["NotSent", "WorkItem"]


async def test_rows_that_the_scan_found_in_conflict_are_not_sent(
    taken_in, row_of, check_of
) -> None:
    scan = Scan(conflicts={0})
    items = await taken_in(rows_at(row_of, "a"), {"/a.wav": check_of()}, scan=scan)
    assert items == [NotSent(Outcome.INVALID, Outcome.PENDING)]


async def test_rows_without_a_recording_or_with_an_error_are_passed_over(
    taken_in, row_of, looked_at
) -> None:
    rows = [row_of(location=None), row_of(rejection=Rejection("INVALID_LANGUAGE", "No."))]
    assert await taken_in(rows, {}) == []
    assert looked_at == []
