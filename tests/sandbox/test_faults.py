"""A plan of faults strikes when, where and as often as it says, and the same each time."""

import pytest

from support.faults import Fault, FaultPlan, Faults, Rule, Step


def struck(faults: Faults, steps: list[Step]) -> list[bool]:
    plan = FaultPlan(faults)
    return [plan.strike(step) is not None for step in steps]


def test_a_rule_strikes_its_own_step_alone():
    faults = Faults(rules=(Rule(Fault.RESET, on=Step.POLL),))
    assert struck(faults, [Step.CREATE, Step.POLL, Step.UPLOAD]) == [False, True, False]


def test_a_rule_skips_then_strikes_a_number_of_times():
    faults = Faults(rules=(Rule(Fault.RESET, skip=1, times=2),))
    assert struck(faults, [Step.POLL] * 5) == [False, True, True, False, False]


def test_the_first_rule_that_strikes_wins():
    plan = FaultPlan(Faults(rules=(Rule(Fault.RESET, times=1), Rule(Fault.HTML))))
    rules = [plan.strike(Step.POLL) for _ in range(2)]
    assert [rule.fault for rule in rules if rule is not None] == [Fault.RESET, Fault.HTML]


def test_a_share_of_requests_is_struck_the_same_ones_each_time():
    faults = Faults(rules=(Rule(Fault.RESET, rate=0.3),), seed=7)
    first = struck(faults, [Step.POLL] * 2_000)
    assert struck(faults, [Step.POLL] * 2_000) == first
    # Standard deviation 20.
    assert 520 <= sum(first) <= 680


def test_a_hostile_service_fails_evenly_in_every_way():
    plan = FaultPlan(Faults.hostile(0.5, seed=1))
    rules = [plan.strike(Step.POLL) for _ in range(10_000)]
    found = [rule for rule in rules if rule is not None]
    # Expected 5,000 (standard deviation 50), and 500 (22) of each of ten ways.
    assert 4_800 <= len(found) <= 5_200
    kinds = {(rule.fault, rule.status, rule.after_work): 0 for rule in found}
    for rule in found:
        kinds[rule.fault, rule.status, rule.after_work] += 1
    assert len(kinds) == 10
    assert all(410 <= number <= 590 for number in kinds.values())


@pytest.mark.parametrize("field", ["failing", "stuck"])
def test_the_first_runs_of_each_audio_fail_or_get_stuck(field):
    plan = FaultPlan(Faults(**{f"{field}_first": 2}))
    outcomes = [plan.run_outcome(earlier, ordinal=9) for earlier in range(4)]
    met = [
        outcome.stuck if field == "stuck" else outcome.error_code == "ERR_INTERNAL"
        for outcome in outcomes
    ]
    assert met == [True, True, False, False]


def test_a_share_of_runs_fails_or_sticks_the_same_ones_each_time():
    faults = Faults(failing_rate=0.2, failing_code="ERR_NEW", stuck_rate=0.1)
    outcomes = [FaultPlan(faults).run_outcome(0, ordinal) for ordinal in range(1_000)]
    assert [FaultPlan(faults).run_outcome(0, ordinal) for ordinal in range(1_000)] == outcomes
    # Standard deviations 13 and 9.
    assert 150 <= sum(outcome.error_code == "ERR_NEW" for outcome in outcomes) <= 250
    assert 65 <= sum(outcome.stuck for outcome in outcomes) <= 135


def test_without_faults_nothing_strikes():
    plan = FaultPlan(Faults())
    assert plan.strike(Step.POLL) is None
    assert plan.run_outcome(0, 1).error_code is None
    assert not plan.run_outcome(0, 1).stuck
    assert not plan.faults.keeps_runs_stuck
