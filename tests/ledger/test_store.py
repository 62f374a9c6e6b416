"""The ledger: what it acknowledged is there, whatever happens to the process or the disk."""

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from helios_research.errors import RepeatedAttemptError
from helios_research.ledger import Ledger, NewAttempt, State

Make = Callable[..., NewAttempt]
Value = TypeVar("Value")
LIVE = [State.CREATING, State.CREATED, State.UPLOADING, State.UPLOADED]
URL = "https://uploads.example/"


async def test_a_new_attempt_is_given_back_as_it_was_written(
    ledger: Ledger, new_attempt: Make
) -> None:
    new = new_attempt(1, delete_data=True)
    attempt = await ledger.begin(new)
    assert attempt.state is State.CREATING
    assert attempt.begun_at == ledger.transitions(attempt.attempt_id)[0].at
    for name in NewAttempt.__slots__:
        assert getattr(attempt, name) == getattr(new, name)
    assert ledger.attempt(attempt.attempt_id) == attempt


async def test_what_a_move_gives_back_is_what_is_stored(ledger: Ledger, new_attempt: Make) -> None:
    key = (await ledger.begin(new_attempt())).attempt_id
    for state, changes in [
        (State.CREATED, {"model_run_id": "r", "upload_url": URL}),
        (State.UPLOADING, {}),
        (State.CREATED, {}),
        (State.UPLOADING, {}),
        (State.UPLOADED, {}),
        (State.UPLOADED, {"error_code": "TIMED_OUT", "error_reason": "No answer yet."}),
        (State.SCORED, {"answer": {"id": "r"}}),
    ]:
        attempt = await ledger.advance(key, state, **changes)
        assert ledger.attempt(key) == attempt
        assert attempt.state is state


async def test_a_move_that_is_not_allowed_changes_nothing(
    ledger: Ledger, new_attempt: Make
) -> None:
    attempt = await ledger.begin(new_attempt())
    lost = await ledger.advance(attempt.attempt_id, State.LOST)
    with pytest.raises(ValueError, match="is lost and cannot become scored"):
        await ledger.advance(attempt.attempt_id, State.SCORED, answer={"id": "r"})
    assert ledger.attempts() == [lost]
    assert list(ledger.answers()) == []
    assert len(ledger.transitions()) == 2


async def test_an_attempt_that_does_not_exist_cannot_move(ledger: Ledger) -> None:
    with pytest.raises(KeyError):
        await ledger.advance(99, State.CREATED)


@pytest.mark.parametrize("state", [*LIVE, State.SCORED])
async def test_a_recording_under_way_or_scored_is_never_begun_again(
    ledger: Ledger, new_attempt: Make, state: State
) -> None:
    first = await ledger.begin(new_attempt(1))
    first = await ledger.advance(first.attempt_id, state)
    with pytest.raises(RepeatedAttemptError) as caught:
        await ledger.begin(new_attempt(1, number=2))
    assert str(caught.value) == (
        f"The recording with SHA-256 {first.sha256} is under way or has its scores already, so it "
        "was not sent again. Read what is there with Study.results()."
    )
    assert ledger.attempts() == [first]


@pytest.mark.parametrize("state", [State.FAILED, State.REJECTED, State.LOST, State.ABANDONED])
async def test_a_recording_without_scores_can_be_begun_again(
    ledger: Ledger, new_attempt: Make, state: State
) -> None:
    first = await ledger.begin(new_attempt(1))
    await ledger.advance(first.attempt_id, state)
    second = await ledger.begin(new_attempt(1, number=2))
    assert [attempt.number for attempt in ledger.attempts()] == [1, 2]
    assert second.attempt_id > first.attempt_id


async def test_another_request_for_the_same_recording_is_another_ask(
    ledger: Ledger, new_attempt: Make
) -> None:
    await ledger.begin(new_attempt(1))
    await ledger.begin(new_attempt(1, request_digest="e" * 64))
    assert len(ledger.attempts()) == 2


async def test_the_same_recording_begun_by_many_at_once_is_begun_once(
    ledger: Ledger, new_attempt: Make
) -> None:
    begun = await asyncio.gather(
        *(ledger.begin(new_attempt(1)) for _ in range(40)), return_exceptions=True
    )
    assert sum(isinstance(outcome, RepeatedAttemptError) for outcome in begun) == 39
    assert len(ledger.attempts()) == 1


async def test_an_answer_can_be_replaced(ledger: Ledger, new_attempt: Make) -> None:
    key = (await ledger.begin(new_attempt())).attempt_id
    await ledger.advance(key, State.SCORED, answer={"transcript": "words"})
    await ledger.keep_answer(key, {"transcript": None})
    assert ledger.answer(key) == {"transcript": None}


async def test_an_answer_that_is_not_quite_text_is_kept(ledger: Ledger, new_attempt: Make) -> None:
    key = (await ledger.begin(new_attempt())).attempt_id
    answer = json.loads(r'{"transcript": "half a pair: \ud83d", "name": "日本"}')
    await ledger.advance(key, State.SCORED, answer=answer)
    assert ledger.answer(key) == answer


async def test_settings_outlive_the_process(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        await ledger.put_setting("rate", 3.5)
        ledger.put_setting_blocking("fit", {"residuals": [0.1, 2.0]})
        ledger.put_setting_blocking("rate", 4.5)
    with Ledger.open(tmp_path) as ledger:
        assert ledger.get_setting("rate") == 4.5
        assert ledger.get_setting("fit") == {"residuals": [0.1, 2.0]}
        assert ledger.get_setting("unknown") is None
        assert ledger.get_setting("unknown", "default") == "default"


def test_checks_are_kept_by_location_and_settings(ledger: Ledger) -> None:
    strange = "/recordings/caf\udce9.wav"
    ledger.store_checks("strict", [("a.wav", "1", {"speech_s": 5.0}), (strange, "1", {})])
    ledger.store_checks("lenient", [("a.wav", "1", {"speech_s": 6.0})])
    ledger.store_checks("strict", [("a.wav", "2", {"speech_s": 7.0})])
    assert ledger.cached_checks("strict") == {
        "a.wav": ("2", {"speech_s": 7.0}),
        strange: ("1", {}),
    }
    assert ledger.cached_checks("lenient") == {"a.wav": ("1", {"speech_s": 6.0})}
    assert ledger.cached_checks("other") == {}


async def test_a_closed_ledger_refuses_and_can_be_closed_twice(
    tmp_path: Path, new_attempt: Make
) -> None:
    ledger = Ledger.open(tmp_path)
    ledger.close()
    ledger.close()
    with pytest.raises(ValueError, match="is closed: open the study again"):
        await ledger.begin(new_attempt())
    with pytest.raises(ValueError, match="is closed: open the study again"):
        ledger.attempts()


def test_a_closed_study_is_one_file_with_its_lock(tmp_path: Path, new_attempt: Make) -> None:
    with Ledger.open(tmp_path) as ledger:
        asyncio.run(ledger.begin(new_attempt()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["helios.lock", "helios.sqlite"]


async def test_closing_works_while_somebody_reads(tmp_path: Path, new_attempt: Make) -> None:
    with Ledger.open(tmp_path) as ledger:
        await ledger.begin(new_attempt())
        other = Ledger.read(tmp_path)
        assert len(other.attempts()) == 1
    with other:
        assert len(other.attempts()) == 1


# --- upload URLs --------------------------------------------------------------------------------


def urls_on_disk(folder: Path) -> set[int]:
    """Search all files of a study, in another process: see the hazard in `prepare_database`."""
    search = ["grep", "--text", "--only-matching", "--no-filename", "--recursive", "SECRET[0-9]*"]
    found = subprocess.run([*search, folder], capture_output=True, text=True, check=False)
    assert found.returncode in (0, 1), found.stderr
    return {int(url.removeprefix("SECRET")) for url in found.stdout.split()}


async def write_urls(ledger: Ledger, new_attempt: Make, count: int) -> list[int]:
    chance = random.Random(5)

    async def create(number: int) -> int:
        key = (await ledger.begin(new_attempt(number))).attempt_id
        url = f"{URL}SECRET{number:05}/" + "k" * chance.randint(200, 1500)
        await ledger.advance(key, State.CREATED, model_run_id="r", upload_url=url)
        return key

    return list(await asyncio.gather(*(create(number) for number in range(count))))


async def test_a_settled_upload_url_is_in_no_file_of_a_closed_study(
    tmp_path: Path, new_attempt: Make
) -> None:
    chance = random.Random(5)
    with Ledger.open(tmp_path) as ledger:
        keys = dict(enumerate(await write_urls(ledger, new_attempt, 1500)))
        alive = set(chance.sample(sorted(keys), 700))
        ends = [State.UPLOADED, State.ABANDONED, State.LOST]
        settled = chance.sample(sorted(keys.keys() - alive), 800)
        await asyncio.gather(*(ledger.advance(keys[n], chance.choice(ends)) for n in settled))
    assert urls_on_disk(tmp_path) == alive
    with Ledger.open(tmp_path) as ledger:
        await asyncio.gather(*(ledger.advance(keys[n], State.UPLOADED) for n in alive))
    assert urls_on_disk(tmp_path) == set()


async def test_an_upload_url_that_lives_is_there_after_reopening(
    tmp_path: Path, new_attempt: Make
) -> None:
    with Ledger.open(tmp_path) as ledger:
        key = (await ledger.begin(new_attempt())).attempt_id
        await ledger.advance(key, State.CREATED, model_run_id="r", upload_url=URL)
    with Ledger.open(tmp_path) as ledger:
        assert ledger.attempt(key).upload_url == URL


def test_the_next_opening_erases_what_a_killed_process_could_not(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    script = """
        import asyncio, os, sys
        from pathlib import Path
        from helios_research.ledger import Ledger, NewAttempt, State
        async def main(ledger):
            new = NewAttempt("a", "b", {}, 1, "audio/wav", 5, None, False, "sandbox")
            key = (await ledger.begin(new)).attempt_id
            await ledger.advance(key, State.CREATED, upload_url="SECRET00001" + "k" * 500)
            await ledger.advance(key, State.UPLOADED)
        asyncio.run(main(Ledger.open(Path(sys.argv[1]))))
        os.kill(os.getpid(), 9)
        """
    process = start_python(script, tmp_path)
    assert process.wait() == -signal.SIGKILL
    assert urls_on_disk(tmp_path) == {1}
    with Ledger.open(tmp_path):
        assert urls_on_disk(tmp_path) == set()


# --- kills and full disks -----------------------------------------------------------------------

WRITE_UNTIL_KILLED = """
    import asyncio, os, sys
    from pathlib import Path
    from helios_research.ledger import Ledger, NewAttempt, State

    def acknowledge(attempt):
        os.write(1, f"{attempt.attempt_id} {attempt.state}\\n".encode())
        return attempt.attempt_id

    async def produce(ledger, numbers):
        for number in numbers:
            name = f"{os.getpid()}-{number}"
            new = NewAttempt(name, "d", {}, 1, "audio/wav", 5, None, False, "sandbox")
            key = acknowledge(await ledger.begin(new))
            created = dict(model_run_id=name, upload_url="https://up/" + "k" * 300)
            acknowledge(await ledger.advance(key, State.CREATED, **created))
            acknowledge(await ledger.advance(key, State.UPLOADING))
            acknowledge(await ledger.advance(key, State.UPLOADED))
            acknowledge(await ledger.advance(key, State.SCORED, answer={"id": name}))

    async def main(ledger):
        numbers = iter(range(10**9))
        await asyncio.gather(*(produce(ledger, numbers) for _ in range(8)))

    asyncio.run(main(Ledger.open(Path(sys.argv[1]))))
    """


def test_nothing_acknowledged_is_lost_to_kills_at_random_moments(
    tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> None:
    chance = random.Random()
    acknowledged: set[tuple[int, str]] = set()
    for _ in range(10):
        process = start_python(WRITE_UNTIL_KILLED, tmp_path)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        rest, _ = process.communicate()
        lines = (first + rest).splitlines(keepends=True)
        complete = [line.split() for line in lines if line.endswith("\n")]
        acknowledged |= {(int(key), state) for key, state in complete}
    with Ledger.open(tmp_path) as ledger:
        kept = {(entry.attempt_id, entry.state.value) for entry in ledger.transitions()}
        answered = {key for key, _ in ledger.answers()}
    assert len(acknowledged) > 50
    assert acknowledged - kept == set()
    assert {key for key, state in acknowledged if state == "scored"} - answered == set()
    with closing(sqlite3.connect(tmp_path / "helios.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


FILL_THE_DISK = """
    import asyncio, os, resource, sys
    from pathlib import Path
    from helios_research.errors import StudyStorageError
    from helios_research.ledger import Ledger, NewAttempt

    async def begin(ledger, number):
        request = {"padding": "x" * 5000}
        new = NewAttempt(str(number), "d", request, 1, "audio/wav", 5, None, False, "sandbox")
        try:
            print("kept", (await ledger.begin(new)).attempt_id)
        except StudyStorageError as error:
            print("error", error)

    async def main(ledger):
        await begin(ledger, 0)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
        for start in range(1, 200, 20):
            await asyncio.gather(*(begin(ledger, n) for n in range(start, start + 20)))
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        print("room again")
        await begin(ledger, 1000)

    with Ledger.open(Path(sys.argv[1])) as ledger:
        asyncio.run(main(ledger))
    """


def test_a_full_disk_is_reported_and_what_was_acknowledged_stays(
    tmp_path: Path, run_python: Callable[..., str]
) -> None:
    lines = run_python(FILL_THE_DISK, tmp_path).splitlines()
    kept = {int(line.split()[1]) for line in lines if line.startswith("kept")}
    errors = {line for line in lines if line.startswith("error")}
    assert all(
        line.startswith(f"error Cannot write to {tmp_path}/helios.sqlite: the disk ")
        for line in errors
    )
    assert errors
    assert lines[-2] == "room again"
    assert lines[-1].startswith("kept")
    with Ledger.open(tmp_path) as ledger:
        assert {attempt.attempt_id for attempt in ledger.attempts()} == kept


# --- any order of acts --------------------------------------------------------------------------

# Written out by hand, so that a mistake in the rule of the code is not repeated here.
ENDS = [State.SCORED, State.FAILED, State.REJECTED, State.LOST, State.ABANDONED]
ALLOWED: dict[State, set[State]] = {
    State.CREATING: {State.CREATING, State.CREATED, State.UPLOADING, State.UPLOADED, *ENDS},
    State.CREATED: {State.CREATED, State.UPLOADING, State.UPLOADED, *ENDS},
    State.UPLOADING: {State.CREATED, State.UPLOADING, State.UPLOADED, *ENDS},
    State.UPLOADED: {State.UPLOADED, *ENDS},
    **{state: set() for state in ENDS},
}
HIDES_URL = {State.UPLOADED, *ENDS}


@dataclass
class Known:
    """What the model remembers of one attempt."""

    sha256: str
    state: State = State.CREATING
    url: str | None = None
    error_code: str | None = None
    answer: dict[str, Any] | None = None
    trail: list[State] = field(default_factory=lambda: [State.CREATING])


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

    @rule(number=st.integers(0, 3))
    def begin(self, number: int) -> None:
        new = NewAttempt(f"{number:064x}", "d", {}, 1, "audio/wav", 5, None, False, "sandbox")
        blocked = any(
            known.sha256 == new.sha256 and known.state in {*LIVE, State.SCORED}
            for known in self.known.values()
        )
        if blocked:
            with pytest.raises(RepeatedAttemptError):
                self.run(self.ledger.begin(new))
        else:
            attempt = self.run(self.ledger.begin(new))
            assert attempt.attempt_id not in self.known
            self.known[attempt.attempt_id] = Known(new.sha256)

    @precondition(lambda self: self.known)
    @rule(
        data=st.data(),
        state=st.sampled_from(list(State)),
        url=st.none() | st.just(URL),
        code=st.none() | st.text(max_size=5),
        answer=st.none() | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    )
    def advance(
        self,
        data: st.DataObject,
        state: State,
        url: str | None,
        code: str | None,
        answer: dict[str, Any] | None,
    ) -> None:
        key = data.draw(st.sampled_from(sorted(self.known)))
        known = self.known[key]
        changes = {"upload_url": url, "error_code": code} if url else {}
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
        if url:
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
            assert self.ledger.answer(key) == known.answer
            assert [entry.state for entry in self.ledger.transitions(key)] == known.trail
        for name, value in self.settings.items():
            assert self.ledger.get_setting(name) == value

    def teardown(self) -> None:
        self.ledger.close()
        self.place.cleanup()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
