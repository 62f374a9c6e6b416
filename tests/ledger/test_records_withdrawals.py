"""What a ledger keeps of a participant who has withdrawn: marks that only the label itself finds."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from helios_research.ledger import Ledger, NewAttempt, Removal, State, Withdrawn
from helios_research.ledger.records import label_mark

# Half of a surrogate pair, too: a label may come from anywhere.
TEXT = st.text(st.characters(), min_size=1)
Make = Callable[..., NewAttempt]


def removal_of(ledger: Ledger, label: str) -> Removal:
    theirs = [one for one in ledger.attempts() if one.request["user"]["userLabel"] == label]
    return Removal(
        label,
        [one.attempt_id for one in theirs],
        [{"model_run_id": one.model_run_id} for one in theirs],
        [one.sha256 for one in theirs],
        [f"/recordings/{label}.wav"],
    )


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_a_participant_is_erased_from_a_ledger_of_many_pages(
    ledger: Ledger, new_attempt: Make
) -> None:
    """Rows move between pages as a ledger grows, and leave copies behind in their unused parts."""
    for number in range(300):
        attempt = await ledger.begin(new_attempt(number))
        run = f"run-of-{number}."
        await ledger.advance(attempt.attempt_id, State.CREATED, model_run_id=run)
        body = {"id": run, "padding": f"said by p{number}. " * (number % 40)}
        await ledger.advance(attempt.attempt_id, State.SCORED, answer=body)
        ledger.store_checks("latest", [(f"/recordings/p{number}.wav", "1", {"of": f"p{number}."})])
    traces = [b"run-of-7.", b"said by p7.", b"/p7.wav", b'"p7"', b"7".rjust(64, b"0"), b'"p7."']
    before = everything_in(ledger.folder)
    assert all(trace in before for trace in traces[:-1])
    removal = removal_of(ledger, "p7")
    assert ledger.remove(removal)
    assert ledger.withdrawn_runs("p7") == [{"model_run_id": "run-of-7."}]
    ledger.hand_over_runs("p7")
    assert ledger.withdrawn_runs("p7") == []
    left = [attempt.attempt_id for attempt in ledger.attempts()]
    assert len(left) == len(dict(ledger.answers())) == 299
    ledger.close()
    after = everything_in(ledger.folder)
    assert [trace for trace in traces if trace in after] == []
    assert b"run-of-8." in after


async def test_the_ledger_goes_on_after_a_removal(ledger: Ledger, new_attempt: Make) -> None:
    await ledger.begin(new_attempt(1))
    ledger.remove(removal_of(ledger, "p1"))
    again = await ledger.begin(new_attempt(2))
    assert ledger.attempts() == [again]


async def test_the_runs_of_another_withdrawal_are_kept_until_they_are_handed_over(
    ledger: Ledger, new_attempt: Make
) -> None:
    for number in (1, 2):
        attempt = await ledger.begin(new_attempt(number))
        await ledger.advance(attempt.attempt_id, State.CREATED, model_run_id=f"run-{number}")
        ledger.remove(removal_of(ledger, f"p{number}"))
    ledger.hand_over_runs("p1")
    assert ledger.withdrawn_runs("p2") == [{"model_run_id": "run-2"}]
    assert json.dumps(ledger.withdrawn_runs("p1")) == "[]"


async def test_a_withdrawal_that_is_taken_back_leaves_no_mark(
    ledger: Ledger, new_attempt: Make
) -> None:
    attempt = await ledger.begin(new_attempt(1))
    ledger.remove(removal_of(ledger, "p1"))
    assert ledger.withdrawn().has_label("p1")
    assert ledger.withdrawn().has_audio(attempt.sha256)
    assert ledger.take_back_withdrawal("p1", "INVALID_WITHDRAWN")
    assert not ledger.take_back_withdrawal("p1", "INVALID_WITHDRAWN")
    assert not ledger.withdrawn()
    assert not ledger.withdrawn().has_audio(attempt.sha256)


@given(st.binary(min_size=32, max_size=32), TEXT, TEXT)
def test_a_mark_finds_its_own_label_and_no_other(salt: bytes, label: str, other: str) -> None:
    withdrawn = Withdrawn(salt, frozenset({label_mark(salt, label)}))
    assert withdrawn.has_label(label)
    seen, other_seen = (unicodedata.normalize("NFC", each) for each in (label, other))
    assert withdrawn.has_label(other) == (seen == other_seen)
    assert not withdrawn.has_audio(label)
