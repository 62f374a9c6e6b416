"""When runs are worth asking for."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.submission.polling import (
    COLD_FIRST_S,
    COLD_STEP_S,
    LONGEST_FIRST_S,
    LONGEST_STEP_S,
    REMEMBERED,
    CompletionModel,
)

durations = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(1, 200)
times = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 5_000)


def taught(*completions: tuple[float | None, float]) -> CompletionModel:
    model = CompletionModel()
    for duration_s, took_s in completions:
        model.observe(duration_s, took_s)
    return model


def constant(took_s: float = 20.0, count: int = 50) -> CompletionModel:
    return taught(*((60.0, took_s) for _ in range(count)))


def follow(
    model: CompletionModel, duration_s: float | None, took_s: float, spare: float = 0.0
) -> list[float]:
    """Return the ages at which a run would be asked for until it is found done."""
    asked: list[float] = []
    while not asked or asked[-1] < took_s:
        age_s = asked[-1] if asked else 0.0
        wait_s = model.next_poll_s(duration_s, age_s, asked[-1] if asked else None, spare=spare)
        asked.append(age_s + wait_s)
    return asked


@given(
    st.lists(st.tuples(durations, times), max_size=40),
    durations,
    st.floats(0, 1e5),
    st.none() | st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1e4),
    st.floats(0, 60),
)
def test_a_question_is_never_under_the_floor_and_never_unbounded(
    seen: list[tuple[float | None, float | None]],
    duration_s: float | None,
    age_s: float,
    asked_share: float | None,
    spare: float,
    backlog_s: float,
    floor_s: float,
) -> None:
    model = CompletionModel(floor_s)
    for pair in seen:
        model.observe(*pair)
    asked_s = None if asked_share is None else age_s * asked_share
    wait_s = model.next_poll_s(duration_s, age_s, asked_s, spare=spare, backlog_s=backlog_s)
    since_s = asked_s or 0.0
    longest_s = max(LONGEST_STEP_S if since_s else LONGEST_FIRST_S, floor_s)
    assert 0.0 <= wait_s < math.inf
    assert age_s + wait_s >= since_s + floor_s - 1e-6
    assert age_s + wait_s <= max(age_s, since_s + longest_s) + 1e-6


@given(
    st.lists(st.tuples(st.floats(5, 180), st.floats(1, 100)), min_size=20, max_size=60),
    st.tuples(st.floats(0, 300), st.floats(0, 300)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_longer_recording_is_never_asked_for_earlier_and_spare_budget_never_delays(
    seen: list[tuple[float, float]],
    two_durations: tuple[float, float],
    two_spares: tuple[float, float],
) -> None:
    model = taught(*seen)
    shorter, longer = (model.next_poll_s(each, 0.0) for each in sorted(two_durations))
    assert shorter <= longer + 1e-6
    busy, idle = (model.next_poll_s(60.0, 0.0, spare=each) for each in sorted(two_spares))
    assert idle <= busy + 1e-6


@given(st.floats(1, 200), st.floats(0, 100), st.floats(0, 100))
def test_the_moment_of_a_question_does_not_move_while_waiting_for_it(
    took_s: float, earlier_s: float, later_s: float
) -> None:
    model = constant(took_s)
    earlier_s, later_s = sorted((earlier_s, later_s))
    due_s = earlier_s + model.next_poll_s(60.0, earlier_s)
    assert later_s + model.next_poll_s(60.0, later_s) == pytest.approx(max(due_s, later_s))


def test_with_constant_times_one_question_is_enough() -> None:
    for took_s in (2.0, 20.0, 75.0):
        asked = follow(constant(took_s), 60.0, took_s)
        assert len(asked) == 1
        assert asked[0] <= max(took_s, 3.0) + 0.2


def test_a_study_learns_to_ask_1_2_times_and_is_late_by_seconds() -> None:
    random = Random(1)
    model = CompletionModel()
    questions, delays = [], []
    for _ in range(500):
        duration_s = random.uniform(20, 170)
        took_s = 5 + 0.2 * duration_s + random.uniform(0, 6)
        asked = follow(model, duration_s, took_s)
        questions.append(len(asked))
        delays.append(asked[-1] - took_s)
        model.observe(duration_s, took_s)
    assert sum(questions[50:]) / 450 <= 1.25
    assert sorted(delays[50:])[225] <= 3.5


def test_with_budget_to_spare_it_asks_earlier_and_knows_sooner() -> None:
    random = Random(2)
    draws = [20 * random.lognormvariate(0, 0.3) for _ in range(600)]
    model = taught(*((60.0, took_s) for took_s in draws[:300]))

    def median_delay(spare: float) -> float:
        late = [follow(model, 60.0, took_s, spare)[-1] - took_s for took_s in draws[300:]]
        return sorted(late)[150]

    assert median_delay(1.0) <= 4.0 < median_delay(0.0)


@pytest.mark.parametrize(
    "took",
    [
        lambda number: 10.0 if number < 400 else 40.0,
        lambda number: 40.0 if number < 400 else 10.0,
        lambda number: 200.0 if number % 20 == 0 else 15.0,
        lambda number: 2.0 + 58.0 * (number * 0.618034 % 1),
    ],
    ids=["slower", "faster", "stragglers", "unrelated to duration"],
)
def test_it_beats_asking_every_3_s_under_drift_and_stragglers(
    took: Callable[[int], float],
) -> None:
    random = Random(3)
    model = CompletionModel()
    questions = fixed = 0
    delays = []
    for number in range(1_000):
        duration_s, took_s = random.uniform(20, 170), took(number)
        asked = follow(model, duration_s, took_s)
        questions += len(asked)
        fixed += math.ceil(took_s / 3)
        delays.append(asked[-1] - took_s)
        model.observe(duration_s, took_s)
    assert questions < fixed / 2
    # The bound counts from the time by which one run in twenty is done.
    assert sorted(delays)[949] <= LONGEST_STEP_S + 0.2


def test_longer_recordings_are_asked_for_later_once_that_is_known() -> None:
    model = taught(*((float(d), 0.5 * d) for d in range(20, 160)))
    assert model.next_poll_s(40.0, 0.0) == pytest.approx(20.0, abs=1.0)
    assert model.next_poll_s(150.0, 0.0) == pytest.approx(75.0, abs=1.0)


def test_a_recording_of_unknown_duration_is_asked_for_by_all_times_seen() -> None:
    model = taught(*((float(d), 0.25 * d) for d in range(20, 120)))
    assert model.next_poll_s(None, 0.0) == pytest.approx(0.25 * 105, abs=1.5)


def test_where_times_differ_widely_the_early_ones_do_not_wait_for_the_late_ones() -> None:
    model = taught(*((None, 5.0 if number % 2 else 100.0) for number in range(100)))
    assert model.next_poll_s(None, 0.0) == pytest.approx(5.0 + LONGEST_STEP_S)


def test_a_run_that_is_late_is_asked_for_in_growing_steps() -> None:
    asked = follow(constant(20.0), 60.0, 300.0)
    steps = [later - earlier for earlier, later in pairwise(asked)]
    assert steps == sorted(steps)
    assert 3.0 <= steps[0] <= 6.0
    assert steps[-1] == pytest.approx(LONGEST_STEP_S)


def test_while_nothing_is_known_the_first_question_is_at_10_s_and_then_every_5_s() -> None:
    model = CompletionModel()
    assert follow(model, 60.0, 19.0) == [COLD_FIRST_S, 15.0, 20.0]


def test_while_nothing_is_known_younger_runs_wait_for_what_the_oldest_find_out() -> None:
    model = CompletionModel()
    for _ in range(2):
        model.still_running(25.0)
    assert model.next_poll_s(60.0, 0.0) == 25.0 + COLD_STEP_S
    assert model.next_poll_s(60.0, 25.0, 25.0) == COLD_STEP_S


def test_one_straggler_alone_does_not_hold_up_the_others() -> None:
    model = CompletionModel()
    model.still_running(90.0)
    assert model.next_poll_s(60.0, 0.0) == COLD_FIRST_S
    model.still_running(90.0)
    assert model.next_poll_s(60.0, 0.0) <= LONGEST_STEP_S


def test_with_budget_to_spare_a_first_study_asks_from_the_floor_on() -> None:
    assert CompletionModel().next_poll_s(60.0, 0.0, spare=1.0) == 3.0


def test_a_question_joins_the_queue_early_but_never_under_the_floor() -> None:
    model = constant(20.0)
    due_s = model.next_poll_s(60.0, 0.0)
    assert model.next_poll_s(60.0, 0.0, backlog_s=5.0) == pytest.approx(due_s - 5.0)
    assert model.next_poll_s(60.0, 12.0, 12.0, backlog_s=60.0) == 3.0


def test_what_we_saw_overrules_a_server_whose_clock_starts_elsewhere() -> None:
    model = CompletionModel()
    for _ in range(50):
        model.observe(60.0, 19.0, not_done_s=20.0, done_s=23.0)
    assert model.next_poll_s(60.0, 0.0) == pytest.approx(20.1)
    skewed = CompletionModel()
    for _ in range(50):
        skewed.observe(60.0, 3_620.0, not_done_s=17.0, done_s=21.0)
    assert skewed.next_poll_s(60.0, 0.0) == pytest.approx(21.1)


def test_without_server_times_it_closes_in_on_the_real_one() -> None:
    model = CompletionModel()
    questions = []
    for _ in range(400):
        asked = follow(model, 60.0, 20.0)
        before = asked[-2] if len(asked) > 1 else 0.0
        model.observe(60.0, None, not_done_s=before, done_s=asked[-1])
        questions.append(len(asked))
        assert asked[-1] <= 26.0
    assert sum(questions[100:]) / 300 <= 1.7


@pytest.mark.parametrize("took_s", [None, math.nan, math.inf, -5.0])
def test_an_observation_that_says_nothing_is_left_out(took_s: float | None) -> None:
    model = CompletionModel()
    for _ in range(20):
        model.observe(60.0, took_s)
    assert model.to_dict() == {"completions": []}
    assert model.typical_s is None


def test_the_typical_time_is_that_of_four_runs_in_five() -> None:
    model = taught(*((None, float(took)) for took in range(1, 101)))
    assert model.typical_s == pytest.approx(80.0, abs=5.0)


def test_old_completions_are_forgotten() -> None:
    model = constant(100.0, 1_000)
    for _ in range(REMEMBERED):
        model.observe(60.0, 10.0)
    assert len(model.to_dict()["completions"]) == REMEMBERED
    assert model.next_poll_s(60.0, 0.0) == pytest.approx(10.1)


def test_what_was_learned_survives_a_file() -> None:
    random = Random(4)
    model = taught(*((random.uniform(20, 170), random.uniform(5, 50)) for _ in range(100)))
    again = CompletionModel.from_dict(json.loads(json.dumps(model.to_dict())))
    for duration_s in (None, 30.0, 150.0):
        assert again.next_poll_s(duration_s, 0.0) == pytest.approx(
            model.next_poll_s(duration_s, 0.0), abs=0.5
        )


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"completions": None},
        {"completions": [None, 3, [1], ["a", "b"], [1, None], [True, True], [-1, -1]]},
        {"other": 1},
    ],
)
def test_a_file_that_makes_no_sense_is_no_knowledge(known: dict[str, object]) -> None:
    model = CompletionModel.from_dict(known)
    assert model.next_poll_s(60.0, 0.0) == COLD_FIRST_S
