"""The settings of a sandbox, and its model runs: state over time, what audio leads to, scores.

The scores are synthetic: deterministic, plausible in shape, and about no one.

A score depends on the audio's bytes and on the speaker's label alone: not on tags, demographics,
order or time. So an analysis that finds a difference between two arms of sandbox results has found
chance.

Each dimension is a standard normal latent value made of a part that all dimensions share and a
part of its own. 70 % of the variance of both lies between participants, 30 % between the
recordings of one participant. The continuous ("uniform") score is the latent value's normal
probability, hence uniform from 0 to 1 over a population; the bucketed score is its quarter; mental
strain is the mean of the five. The proportions are our choice, not properties of Helios.
"""

import hashlib
import json
import math
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from math import sqrt
from pathlib import Path
from random import Random
from secrets import token_hex
from statistics import NormalDist, fmean

from helios_research.recording import AudioFacts

HOUR_S = 3600.0
RETENTION_S = 12 * HOUR_S
"""Time from completion until a run with deleteData is deleted, as at Helios."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """How the sandbox behaves.

    Attributes
    ----------
    api_key
        The only key that is accepted; by default a new random one.
    port
        Port of the API on 127.0.0.1; 0 takes a free one.
    rate_per_s
        API requests per second that are accepted; None sets no limit. Uploads do not count.
    burst
        API requests that may come at once on top of the rate.
    gateway_quota
        API requests that a gateway in front lets in, which refuses further ones, a wrong key and a
        wrong path in the words of AWS'; None has no gateway.
    latency_s
        Least seconds for every answer, of the API and of the upload host.
    pickup_s
        Seconds from a finished upload until the run is RUNNING.
    processing_s
        Seconds that a run is RUNNING, in the median.
    processing_spread
        Standard deviation of the logarithm of that time over runs; 0 makes all runs take equally
        long. The time of a recording depends on its bytes alone.
    url_lifetime_s
        Seconds for which an upload URL is valid; one hour at Helios.
    sections
        Sections that a result has; one at Helios today.
    least_speech_s
        Seconds of speech that a recording needs, at most 12; 10 in Helios' documentation.
    max_upload_bytes
        Largest upload that is accepted, so that a mistake cannot fill the disk.
    log_file
        File to which every event is appended as a line of JSON; None writes none.
    """

    api_key: str = field(default_factory=lambda: f"sandbox-{token_hex(16)}", repr=False)
    port: int = 0
    rate_per_s: float | None = None
    burst: int = 5
    gateway_quota: int | None = None
    latency_s: float = 0.0
    pickup_s: float = 0.2
    processing_s: float = 2.0
    processing_spread: float = 0.3
    url_lifetime_s: float = HOUR_S
    sections: int = 1
    least_speech_s: float = 10.0
    max_upload_bytes: int = 512 * 1024**2
    log_file: Path | None = None


BETWEEN_PARTICIPANTS = 0.7
SHARED_BY_DIMENSIONS = 0.4
LEVELS = (0.0, 0.33, 0.66, 1.0)
TRANSCRIPT_MARK = "SYNTHETIC TRANSCRIPT"

_DIMENSIONS = ("distress", "stress", "exhaustion", "sleep_propensity", "low_self_esteem")
_STANDARD_NORMAL = NormalDist()


def expected_scores(sha256: str, user_label: str, *, section: int = 0) -> dict[str, float]:
    """Compute the scores, from 0 to 1, that audio (named by its SHA-256) of a speaker gets."""
    shared = _latent("shared", sha256, user_label, section)
    uniform = {}
    for name in _DIMENSIONS:
        own = _latent(name, sha256, user_label, section)
        latent = sqrt(SHARED_BY_DIMENSIONS) * shared + sqrt(1 - SHARED_BY_DIMENSIONS) * own
        uniform[name] = round(_STANDARD_NORMAL.cdf(latent), 4)
    return {
        "mental_strain": round(fmean(uniform.values()), 4),
        **{name: level_of(value) for name, value in uniform.items()},
        **{f"uniform_{name}": value for name, value in uniform.items()},
    }


def level_of(uniform: float) -> float:
    """Give the level of a continuous score: its quarter."""
    return LEVELS[min(int(uniform * len(LEVELS)), len(LEVELS) - 1)]


def transcript(sha256: str, duration_s: float) -> str:
    """Write the text that replaces a transcript."""
    return (
        f"[{TRANSCRIPT_MARK} of audio {sha256[:12]}: {duration_s:.1f} s; "
        "the sandbox does not write down what was said]"
    )


def _latent(dimension: str, sha256: str, user_label: str, section: int) -> float:
    person = _normal("participant", dimension, user_label)
    reading = _normal("recording", dimension, user_label, sha256, str(section))
    return sqrt(BETWEEN_PARTICIPANTS) * person + sqrt(1 - BETWEEN_PARTICIPANTS) * reading


def _normal(*causes: str) -> float:
    digest = hashlib.sha256(json.dumps(causes).encode()).digest()
    # 53 bits fill a float's mantissa; the half keeps clear of 0 and 1, where a normal has no value.
    fraction = ((int.from_bytes(digest[:8]) >> 11) + 0.5) / 2**53
    return _STANDARD_NORMAL.inv_cdf(fraction)


LONGEST_S = 180.0
# Below this a detector's find is noise rather than a word: it found 0 s in 19 files of noise and
# tones, and 0.4 s in 18 minutes of music.
NO_SPEECH_S = 0.4
SCARCE_SPEECH_S = 11.0
NEARLY_TOO_LONG_S = 179.75
QUIET_DBFS = -45.0
CLIPPED_FRACTION = 0.01
LOW_SAMPLE_RATE_HZ = 16_000
NOISY_DISTANCE_DB = 10.0


@dataclass(frozen=True, slots=True)
class Assessment:
    """What its audio means for a run: an error, or scores, perhaps with warnings."""

    error_code: str | None = None
    error_reason: str | None = None
    warnings: tuple[str, ...] = ()
    duration_s: float = 0.0


def assess(facts: AudioFacts, least_speech_s: float = 10.0) -> Assessment:
    """Decide about audio; the first rule that matches wins."""
    duration_s, speech_s = facts.duration_s or 0.0, facts.speech_s or 0.0
    if facts.problem is not None:
        code, reason = "RECORDING_INVALID_FORMAT", f"Unsupported recording: {facts.problem}"
    elif duration_s > LONGEST_S:
        code = "RECORDING_TOO_LONG"
        reason = f"The recording lasts {duration_s:.1f} s; at most {LONGEST_S:.0f} s are allowed."
    elif speech_s < NO_SPEECH_S:
        code, reason = "TRANSCRIPTION_FAILED", "No speech was found in the recording."
    elif speech_s < least_speech_s:
        code = "RECORDING_TOO_SHORT"
        reason = f"Only {speech_s:.1f} s of speech; at least {least_speech_s:g} s are needed."
    else:
        return Assessment(warnings=_warnings(facts), duration_s=duration_s)
    return Assessment(f"ERR_{code}", reason, duration_s=duration_s)


def _warnings(facts: AudioFacts) -> tuple[str, ...]:
    level, noise = facts.level_dbfs, facts.noise_floor_dbfs
    noisy = level is not None and noise is not None and level - noise < NOISY_DISTANCE_DB
    warnings = {
        "Little speech: scores may be unreliable.": (
            facts.speech_counted_to_end and (facts.speech_s or 0.0) < SCARCE_SPEECH_S
        ),
        "The recording is close to the longest that is allowed.": (
            (facts.duration_s or 0.0) >= NEARLY_TOO_LONG_S
        ),
        "The recording is very quiet.": level is not None and level < QUIET_DBFS,
        "The recording is clipped.": (facts.clipped_fraction or 0.0) > CLIPPED_FRACTION,
        "The recording is noisy.": noisy,
        "The sample rate is low.": (facts.sample_rate_hz or 0) < LOW_SAMPLE_RATE_HZ,
    }
    return tuple(words for words, applies in warnings.items() if applies)


class RunState(StrEnum):
    """States of a model run, in Helios' words."""

    CREATED = "CREATED"
    RUNNING = "RUNNING"
    COMPLETE_OK = "COMPLETE_OK"
    COMPLETE_ERROR = "COMPLETE_ERROR"


@dataclass(slots=True)
class Run:
    """One model run and what has happened to it; times are seconds since the epoch."""

    run_id: str
    user_label: str
    delete_data: bool
    created_at: float
    sha256: str | None = None
    picked_up_at: float = math.inf
    processed_at: float = math.inf


class RunStore:
    """All model runs of a sandbox."""

    def __init__(self, settings: SandboxSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._runs: dict[str, Run] = {}
        # By SHA-256: what the examination found, and when, in seconds since the epoch.
        self._assessments: dict[str, tuple[Assessment, float]] = {}

    def create(self, user_label: str, *, delete_data: bool) -> Run:
        """Create a run."""
        run = Run(str(uuid.uuid4()), user_label, delete_data, self._clock())
        self._runs[run.run_id] = run
        return run

    def find(self, run_id: str) -> Run | None:
        """Look up a run; None when it does not exist, or its data were deleted."""
        run = self._runs.get(run_id)
        if run and run.delete_data and self._clock() >= self.completed_at(run) + RETENTION_S:
            return None
        return run

    def receive(self, run: Run, sha256: str) -> bool:
        """Take audio for a run, in place of other while it is CREATED; False when it is not used."""
        if self.state(run) is not RunState.CREATED:
            return False
        if run.sha256 != sha256:
            if run.sha256 is None:
                run.picked_up_at = self._clock() + self._settings.pickup_s
            run.sha256 = sha256
            run.processed_at = run.picked_up_at + self._processing_s(sha256)
        return True

    def assessed(self, sha256: str, assessment: Assessment) -> None:
        """Note what the examination of some audio found."""
        self._assessments[sha256] = (assessment, self._clock())

    def assessment(self, run: Run) -> Assessment | None:
        """Give what decides how a run ends; None until its audio was examined."""
        found = self._assessments.get(run.sha256 or "")
        return None if found is None else found[0]

    def completed_at(self, run: Run) -> float:
        """Give the time at which a run completes; infinite until its audio was examined."""
        found = self._assessments.get(run.sha256 or "", (None, math.inf))
        return max(run.processed_at, found[1])

    def state(self, run: Run) -> RunState:
        """Give the state of a run now."""
        now = self._clock()
        if now < run.picked_up_at:
            return RunState.CREATED
        assessment = self.assessment(run)
        if assessment is None or now < self.completed_at(run):
            return RunState.RUNNING
        return RunState.COMPLETE_OK if assessment.error_code is None else RunState.COMPLETE_ERROR

    def _processing_s(self, sha256: str) -> float:
        draw = Random(f"0:{sha256}")  # noqa: S311 (has to be repeatable)
        factor = math.exp(self._settings.processing_spread * draw.gauss(0.0, 1.0))
        return self._settings.processing_s * factor
