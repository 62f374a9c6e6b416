"""Lines over which uploads take long, or come to a stand, as a real line of a few kB/s makes them."""

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from helios_research.config import TimeOuts
from support.slow_line import SlowLine

# In real seconds, of which the study's clock counts 25: it takes this line for one of 20 kB/s.
BYTES_PER_S = 500_000.0
SIX_AT_ONCE_S = 5.0
HASTY = TimeOuts(upload_s=1.5, least_bytes_per_s=100_000.0)


@pytest.fixture
def line(trial) -> Iterator[SlowLine]:
    """A slow line to the trial's upload host."""
    trial.time_outs = HASTY
    with SlowLine(urlsplit(trial.sandbox.upload_url).port, BYTES_PER_S) as line:
        trial.sandbox._observed.upload_url = line.url
        yield line


@pytest.mark.fault(
    step="upload",
    fault="a slow line",
    ending="continues",
    happens="An upload may take as long as its bytes move. Fewer recordings are uploaded at once, so "
    "that each arrives soon; the line of progress and the monitor say how fast: *uploading at 20 kB/s*.",
)
def test_all_uploads_over_a_slow_line_arrive_one_after_the_other(trial, line) -> None:
    submission = trial.start(6)
    said = set()
    while submission.is_running:
        said.add(submission.progress.limited_by)
        time.sleep(0.05)
    results = submission.wait()
    trial.hold(results)
    assert results["outcome"].tolist() == ["scored"] * 6
    assert {len(puts) for puts in trial.sandbox.log.puts.values()} == {1}
    assert line.most_open <= 2
    speeds = [float(words.split()[2]) for words in said if words.startswith("uploading at")]
    assert speeds, said
    # As measured while other tests keep the machine busy.
    assert 5 <= sorted(speeds)[len(speeds) // 2] <= 30


@pytest.mark.fault(
    step="upload",
    fault="an upload that crawls",
    ending="tried again",
    happens="An upload of which nothing moves for 2 minutes is given up, and so is one that moves at "
    "less than 1 kB/s for longer. The run is asked whether the recording arrived; only if not, it is "
    "sent again, to the same run and on a new connection.",
    sees="No complete answer came in time.",
    code="TIMED_OUT",
    do="Submit again if rows are left `pending`; where a line stays so slow, use another.",
)
@pytest.mark.parametrize("speed", [0.0, 20_000.0], ids=["stands still", "crawls"])
def test_an_upload_that_crawls_is_begun_again(trial, line, cell, speed) -> None:
    line.bytes_per_s = speed
    waiting = trial.submit(1, patience=80.0).iloc[0]
    assert (waiting["outcome"], waiting["error_code"]) == ("pending", cell.code)
    assert waiting["error_reason"] == cell.sees
    begun = len(line.uploads)
    assert begun > 1
    submission = trial.start(1)
    while len(line.uploads) == begun:
        time.sleep(0.02)
    line.bytes_per_s = 100 * BYTES_PER_S
    results = submission.wait()
    trial.hold(results)
    assert results["outcome"].tolist() == ["scored"]
