"""Synthetic scores: deterministic, plausible in shape, and about nobody.

A score depends on the audio's bytes and on who is said to speak, and on nothing else: not on
tags, demographics, order or time. So an analysis that finds a difference between two arms of
sandbox results has found chance.

Each dimension is a standard normal latent value made of a part that all dimensions share and a
part of its own. 70 % of the variance of both lies between participants, 30 % between the
recordings of one participant. The continuous ("uniform") score is the latent value's normal
probability, hence uniform from 0 to 1 over a population; the bucketed score is its quarter; mental
strain is the mean of the five. The proportions are our choice, not properties of Helios.
"""

import hashlib
import json
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean

BETWEEN_PARTICIPANTS = 0.7
SHARED_BY_DIMENSIONS = 0.4
LEVELS = (0.0, 0.33, 0.66, 1.0)
TRANSCRIPT_MARK = "SYNTHETIC TRANSCRIPT"

_DIMENSIONS = ("distress", "stress", "exhaustion", "sleep_propensity", "low_self_esteem")
_STANDARD_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Scores:
    """The synthetic scores of one section, each from 0 to 1."""

    mental_strain: float
    distress: float
    stress: float
    exhaustion: float
    sleep_propensity: float
    low_self_esteem: float
    uniform_distress: float
    uniform_stress: float
    uniform_exhaustion: float
    uniform_sleep_propensity: float
    uniform_low_self_esteem: float


def expected_scores(sha256: str, user_label: str, *, section: int = 0) -> Scores:
    """Compute the scores that the sandbox gives."""
    shared = _latent("shared", sha256, user_label, section)
    uniform = {}
    for name in _DIMENSIONS:
        own = _latent(name, sha256, user_label, section)
        latent = sqrt(SHARED_BY_DIMENSIONS) * shared + sqrt(1 - SHARED_BY_DIMENSIONS) * own
        uniform[name] = round(_STANDARD_NORMAL.cdf(latent), 4)
    return Scores(
        mental_strain=round(fmean(uniform.values()), 4),
        **{name: level_of(value) for name, value in uniform.items()},
        **{f"uniform_{name}": value for name, value in uniform.items()},
    )


def level_of(uniform: float) -> float:
    """Put a continuous score into its level."""
    return LEVELS[min(int(uniform * len(LEVELS)), len(LEVELS) - 1)]


def transcript(sha256: str, duration_s: float) -> str:
    """Word what stands in for a transcript."""
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
