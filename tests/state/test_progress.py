"""What the line of progress says."""

import pytest

from helios_research.columns import Outcome
from helios_research.state.status import Progress, duration


def test_a_submission_in_progress_shows_counts_speed_time_left_and_what_holds_it_up() -> None:
    progress = Progress(
        total=2_000,
        outcomes={Outcome.SCORED: 980, Outcome.FAILED: 20, Outcome.PENDING: 1_000},
        in_flight=40,
        finished_here=500,
        elapsed_s=300,
        limited_by="the request rate (4/s)",
    )
    assert str(progress) == (
        "1,000 of 2,000 done · 980 scored · 20 failed · 40 in progress · 100 a minute · "
        "about 10 min left · the request rate (4/s)"
    )


def test_time_left_is_shown_only_once_this_submission_has_finished_something() -> None:
    resumed = Progress(10, {Outcome.SCORED: 9, Outcome.PENDING: 1}, finished_here=1, elapsed_s=60)
    assert resumed.remaining_s is None
    assert "left" not in str(resumed)


def test_what_is_over_shows_how_long_it_took() -> None:
    over = Progress(3, {Outcome.SCORED: 2, Outcome.INVALID: 1}, elapsed_s=150, is_over=True)
    assert str(over) == "3 of 3 done · 2 scored · 1 invalid · took 2 min"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (5_900, "98 min"), (7_260, "2 h 01 min")],
)
def test_lengths_of_time_are_worded_as_people_say_them(seconds, words) -> None:
    assert duration(seconds) == words
