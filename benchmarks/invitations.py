"""Invitations over two weeks: what they cost in requests, and what kills leave of them.

The study, its ledger, the sandbox and every request are real; only the clock is set ahead between two
submissions. ``python benchmarks/invitations.py`` prints both tables.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median

import pandas as pd

import helios_research as hr
from helios_research.ledger import Ledger, Setting
from helios_research.recording import AudioFacts, Stamp
from helios_research.sandbox import SandboxSettings
from helios_research.submission import Clock
from support.faults import Faults, Step
from support.sandbox import ObservedSandbox

DAYS = 14


class LeapingClock(Clock):
    """The machine's clock, some time ahead; of the study and of the sandbox together."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        """Give the time of day, UTC."""
        return super().now() + self.ahead

    def timestamp(self) -> float:
        """Give the same in seconds."""
        return self.now().timestamp()


def good_speech(path: str) -> AudioFacts:
    """Stand in for decoding, which is not what is measured here: every file is good speech."""
    size = Path(path).stat().st_size
    return AudioFacts(
        sha256="",
        size_bytes=size,
        stamp=Stamp(size, ""),
        media_type="audio/webm",
        audio_format="webm/opus",
        duration_s=40.0,
        sample_rate_hz=48_000,
        channels=1,
        level_dbfs=-20.0,
        clipped_fraction=0.0,
        noise_floor_dbfs=-60.0,
        speech_s=30.0,
    )


def participants(count: int) -> pd.DataFrame:
    """Make a table of participants without recordings."""
    return pd.DataFrame(
        {
            "recording": "",
            "user_label": [f"P{number:04}" for number in range(count)],
            "date_of_birth": "1990-05-17",
            "birth_sex": "FEMALE",
            "language": "en-GB",
        }
    )


# --- two weeks ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TwoWeeks:
    """What invitations cost, each with the request that made it, and how soon scores were there."""

    submissions: int
    most_requests: int
    mean_requests: float
    scored: int
    never_asked_for: int
    median_delay_days: float
    wrong_outcomes: int


def two_weeks(
    folder: Path, invited: int, completed: int, *, every: timedelta, seed: int = 1
) -> TwoWeeks:
    """Invite, let some record at times of theirs, half of them within two days, and submit regularly."""
    chance = random.Random(seed)
    clock = LeapingClock()
    settings = SandboxSettings(processing_s=0.2, processing_spread=0.0, pickup_s=0.02)
    with ObservedSandbox(settings, clock=clock.timestamp, examine=good_speech) as sandbox:
        study = _study(folder, sandbox, clock)
        links = study.invite(participants(invited), progress=False)["link"].tolist()
        chosen = chance.sample(range(invited), completed)
        recorded = {who: min(DAYS - 0.01, chance.expovariate(0.35)) for who in chosen}
        waiting = sorted(recorded, key=lambda who: recorded[who])
        known: dict[int, float] = {}
        submissions = 0
        while clock.ahead < timedelta(days=DAYS):
            clock.ahead += every
            submissions += 1
            today = clock.ahead / timedelta(days=1)
            while waiting and recorded[waiting[0]] <= today:
                who = waiting.pop(0)
                voice = folder / "voice.webm"
                voice.write_bytes(f"voice of {who}".encode())
                sandbox.complete(links[who], voice)
            time.sleep(0.3)
            results = study.submit(progress=False, preflight=False, rate=200, poll_floor_s=0.1)
            for who in results.index[results["outcome"] == "scored"]:
                known.setdefault(who, today)
        return _outcome(sandbox, results, recorded, known, submissions)


def _study(folder: Path, sandbox: ObservedSandbox, clock: Clock) -> hr.Study:
    folder.mkdir(parents=True, exist_ok=True)
    with Ledger.open(folder / "study") as ledger:
        ledger.put_setting_blocking(Setting.LEARNED_RATE, 200.0)
        ledger.put_setting_blocking(Setting.LEARNED_TIMES, {"completions": [[40.0, 0.3]] * 30})
    return hr.Study(folder / "study", client=sandbox.client(), clock=clock)


def _outcome(
    sandbox: ObservedSandbox,
    results: pd.DataFrame,
    recorded: dict[int, float],
    known: dict[int, float],
    submissions: int,
) -> TwoWeeks:
    polls = Counter(
        request.path.rpartition("/")[2]
        for request in sandbox.log.requests
        if request.step is Step.POLL
    )
    requests = [1 + polls[run_id] for run_id in results["model_run_id"]]
    outcomes = results["outcome"].astype(str)
    wrong = sum(outcomes[who] not in {"scored", "invited"} for who in results.index)
    return TwoWeeks(
        submissions=submissions,
        most_requests=max(requests),
        mean_requests=round(sum(requests) / len(requests), 2),
        scored=len(known),
        never_asked_for=len(recorded) - len(known),
        median_delay_days=round(median(known[who] - recorded[who] for who in known), 2),
        wrong_outcomes=wrong + len(sandbox.log.violations) + len(set(known) - set(recorded)),
    )


# --- kills ------------------------------------------------------------------------------------------

CHILD = """
import sys
import helios_research as hr
resend = sys.argv[4].split(",") if sys.argv[4] else ()
study = hr.Study(sys.argv[2])
print("begun", flush=True)
study.invite(sys.argv[1], path=sys.argv[3], resend=resend, progress=False)
"""


@dataclass(frozen=True, slots=True)
class AfterKills:
    """What came of it; everything but the counts of kills and runs has to be 0."""

    kills: int
    runs: int
    rows_without_a_link: int
    rows_with_two_links: int
    links_that_do_not_work: int

    @property
    def is_clean(self) -> bool:
        """Whether each row has one link, and it works."""
        return not (
            self.rows_without_a_link or self.rows_with_two_links or self.links_that_do_not_work
        )


def kill_and_invite(
    folder: Path, invited: int, kills: int, *, hostile: bool = False, seed: int = 1
) -> AfterKills:
    """Invite, kill and invite again, replacing some, until all kills are spent; then let it end."""
    chance = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    people = participants(invited)
    people.to_csv(folder / "people.csv", index=False)
    faults = Faults.hostile(0.2, seed=seed) if hostile else Faults()
    two_links = done = 0
    with ObservedSandbox(SandboxSettings(latency_s=0.05), faults=faults) as sandbox:
        while done < kills:
            again = chance.sample(people["user_label"].tolist(), invited // 4)
            child = _start(folder, sandbox, again if done > kills // 2 else [])
            if _killed(child, chance.uniform(0.5, 2.5)):
                done += 1
            two_links += sum(count > 1 for count in _open_links(folder / "study").values())
        finished = _start(folder, sandbox, [])
        finished.communicate(timeout=300)
        links = pd.read_csv(folder / "links.csv", dtype="str", encoding="utf-8-sig")["link"]
        two_links += sum(count > 1 for count in _open_links(folder / "study").values())
        broken, sandbox.faults = 0, Faults()
        for place, link in enumerate(links.dropna()):
            (folder / "voice.webm").write_bytes(f"voice {place}".encode())
            try:
                sandbox.complete(link, folder / "voice.webm")
            except ValueError:
                broken += 1
        runs = len(sandbox.log.puts)
    return AfterKills(done, runs, int(links.isna().sum()), two_links, broken)


def _start(folder: Path, sandbox: ObservedSandbox, resend: list[str]) -> subprocess.Popen[str]:
    place = {"THYMIA_BASE_URL": sandbox.base_url, "THYMIA_API_KEY": sandbox.api_key}
    paths = (str(folder / name) for name in ("people.csv", "study", "links.csv"))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *paths, ",".join(resend)],
        env=os.environ | place,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    return child


def _killed(child: subprocess.Popen[str], after_s: float) -> bool:
    try:
        child.wait(timeout=after_s)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGKILL)
    child.communicate()
    return child.returncode == -signal.SIGKILL


def _open_links(study: Path) -> Counter[str]:
    if not (study / "helios.sqlite").exists():
        return Counter()
    with Ledger.read(study) as ledger:
        return Counter(one.sha256 for one in ledger.invitations() if one.upload_url)


def main() -> None:
    """Run both at full size and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invited", type=int, default=500)
    parser.add_argument("--completed", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    arguments = parser.parse_args()
    for hours in (6, 24, 72):
        with tempfile.TemporaryDirectory() as folder:
            every = timedelta(hours=hours)
            outcome = two_weeks(Path(folder), arguments.invited, arguments.completed, every=every)
            print(f"submitted every {hours} hours:", asdict(outcome))
    for hostile in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            after = kill_and_invite(Path(folder), 60, arguments.kills, hostile=hostile)
            print("hostile:" if hostile else "sound:", after, "clean" if after.is_clean else "NOT")


if __name__ == "__main__":
    main()
