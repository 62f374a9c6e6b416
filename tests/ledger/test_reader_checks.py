"""What was seen of recordings is read back whole, in parts, and one fact at a time."""

import pytest

from helios_research.ledger import Ledger, reader

# A name that is no text, the two ways to write one letter, a line break.
STRANGE = ("/r/caf\udce9.wav", "/r/café.wav", "/r/cafe\u0301.wav", "/r/two\nlines.wav")


@pytest.fixture
def seen(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that has seen four recordings, read two at a time."""
    monkeypatch.setattr(reader, "ROWS_IN_A_BLOCK", 2)
    facts = [{"check": {"sha256": f"{n:02}"}} if n else {"check": {}} for n in range(len(STRANGE))]
    ledger.store_checks(
        "latest", [(p, f"{n}:1", f) for n, (p, f) in enumerate(zip(STRANGE, facts, strict=True))]
    )
    ledger.store_checks("other", [("/r/elsewhere.wav", "9:1", {})])
    return ledger


def test_checks_of_some_recordings_are_found_by_their_exact_names(seen: Ledger) -> None:
    found = seen.checks_at("latest", [*STRANGE[1:], "/r/nowhere.wav", "/r/elsewhere.wav"])
    assert sorted(found) == sorted(
        (place, f"{n}:1", f'{{"check":{{"sha256":"{n:02}"}}}}')
        for n, place in enumerate(STRANGE)
        if n
    )
    assert list(seen.checks_at("latest", [])) == []


def test_one_fact_can_be_read_without_the_rest(seen: Ledger) -> None:
    assert sorted(seen.all_checks("latest", "$.check.sha256")) == sorted(
        [(place, f"{n}:1", f"{n:02}" if n else None) for n, place in enumerate(STRANGE)]
    )
