"""The ledger in any order of acts agrees with a dictionary, through reopening at any point."""

import asyncio
import json
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helios_research.errors import RepeatedAttemptError
from helios_research.ledger import Ledger, NewAttempt, State
from helios_research.ledger.records import invitation_to

Value = TypeVar("Value")
URL = "https://uploads.example/"

# Written out by hand, so that a mistake in the rule of the code is not repeated here.
ENDS = [State.SCORED, State.FAILED, State.REJECTED, State.LOST, State.ABANDONED]
ALLOWED: dict[State, set[State]] = {
    State.CREATING: {State.CREATING, State.CREATED, State.UPLOADING, State.UPLOADED, *ENDS},
    State.CREATED: {State.CREATED, State.UPLOADING, State.UPLOADED, *ENDS},
    State.UPLOADING: {State.CREATED, State.UPLOADING, State.UPLOADED, *ENDS},
    State.INVITING: {State.INVITING, State.INVITED, State.UPLOADED, *ENDS},
    State.INVITED: {State.INVITED, State.UPLOADED, *ENDS},
    State.UPLOADED: {State.UPLOADING, State.UPLOADED, *ENDS},
    **{state: set() for state in ENDS},
}
HIDES_URL = set(ENDS)


@dataclass
class Known:
    """What the model remembers of one attempt."""

    sha256: str
    state: State
    url: str | None = None
    error_code: str | None = None
    answer: dict[str, Any] | None = None
    trail: list[State] = field(default_factory=list)


class AnyOrder(RuleBasedStateMachine):
    """Compares a ledger with a dictionary, through reopening at any point."""

    @initialize()
    def start(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name)
        self.ledger = Ledger.open(self.folder)
        self.known: dict[int, Known] = {}
        self.settings: dict[str, int] = {}

    def run(self, act: Coroutine[Any, Any, Value]) -> Value:
        return asyncio.run(act)

    @rule(number=st.integers(0, 3), is_invitation=st.booleans())
    def begin(self, number: int, is_invitation: bool) -> None:
        identity = invitation_to(f"P{number}") if is_invitation else f"{number:064x}"
        new = NewAttempt(identity, "d", {}, 1, "audio/wav", 5, None, False, "sandbox")
        blocked = any(
            known.sha256 == new.sha256 and known.state not in {*ENDS} - {State.SCORED}
            for known in self.known.values()
        )
        if blocked:
            with pytest.raises(RepeatedAttemptError):
                self.run(self.ledger.begin(new))
        else:
            attempt = self.run(self.ledger.begin(new))
            assert attempt.attempt_id not in self.known
            first = State.INVITING if is_invitation else State.CREATING
            self.known[attempt.attempt_id] = Known(new.sha256, first, trail=[first])

    @precondition(lambda self: self.known)
    @rule(
        data=st.data(),
        state=st.sampled_from(list(State)),
        has_url=st.booleans(),
        code=st.none() | st.text(max_size=5),
        answer=st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    )
    def advance(
        self,
        data: st.DataObject,
        state: State,
        has_url: bool,
        code: str | None,
        answer: dict[str, Any] | None,
    ) -> None:
        key = data.draw(st.sampled_from(sorted(self.known)))
        known = self.known[key]
        url = f"{URL}{key}"
        changes = {"upload_url": url, "error_code": code} if has_url else {}
        act = self.ledger.advance(key, state, answer=answer, **changes)
        if state not in ALLOWED[known.state]:
            with pytest.raises(ValueError, match="cannot become"):
                self.run(act)
            return
        self.run(act)
        known.trail.append(state)
        known.state = state
        if state is State.SCORED:
            known.error_code = None
        if has_url:
            known.url, known.error_code = url, code
        if state in HIDES_URL:
            known.url = None
        known.answer = known.answer if answer is None else answer

    @rule(name=st.sampled_from("abc"), value=st.integers())
    def put_setting(self, name: str, value: int) -> None:
        self.ledger.put_setting_blocking(name, value)
        self.settings[name] = value

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.folder)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "known"):
            return
        found = {attempt.attempt_id: attempt for attempt in self.ledger.attempts()}
        assert list(found) == list(self.known)
        for key, known in self.known.items():
            attempt = found[key]
            assert (attempt.sha256, attempt.state) == (known.sha256, known.state)
            assert (attempt.upload_url, attempt.error_code) == (known.url, known.error_code)
            kept = dict(self.ledger.answers())
            assert json.loads(kept.get(key, "null")) == known.answer
            assert [entry.state for entry in self.ledger.transitions(key)] == known.trail
        for name, value in self.settings.items():
            assert self.ledger.get_setting(name) == value

    def teardown(self) -> None:
        self.ledger.close()
        self.place.cleanup()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
