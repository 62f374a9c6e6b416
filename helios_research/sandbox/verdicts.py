"""What the service says about audio: an error code, or warnings, or nothing.

Helios documents 10 seconds of speech and 3 minutes in all. How it counts a second of speech and
when it warns is not documented: the other thresholds here are ours, so that the way of a warned
or refused recording can be tried out.
"""

from dataclasses import dataclass

from helios_research.recording import AudioFacts

LONGEST_S = 180.0
LEAST_SPEECH_S = 10.0
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
class Verdict:
    """What becomes of a run because of its audio."""

    error_code: str | None = None
    error_reason: str | None = None
    warnings: tuple[str, ...] = ()
    duration_s: float = 0.0


def judge(facts: AudioFacts) -> Verdict:
    """Decide about audio; the first rule that matches wins."""
    duration_s, speech_s = facts.duration_s or 0.0, facts.speech_s or 0.0
    if facts.problem is not None:
        failure = ("ERR_RECORDING_INVALID_FORMAT", f"Unsupported recording: {facts.problem}")
    elif duration_s > LONGEST_S:
        failure = (
            "ERR_RECORDING_TOO_LONG",
            f"The recording lasts {duration_s:.1f} s; at most {LONGEST_S:.0f} s are allowed.",
        )
    elif speech_s < NO_SPEECH_S:
        failure = ("ERR_TRANSCRIPTION_FAILED", "No speech was found in the recording.")
    elif speech_s < LEAST_SPEECH_S:
        failure = (
            "ERR_RECORDING_TOO_SHORT",
            f"Only {speech_s:.1f} s of speech; at least {LEAST_SPEECH_S:.0f} s are needed.",
        )
    else:
        return Verdict(warnings=_cautions(facts), duration_s=duration_s)
    return Verdict(*failure, duration_s=duration_s)


def _cautions(facts: AudioFacts) -> tuple[str, ...]:
    level, noise = facts.level_dbfs, facts.noise_floor_dbfs
    noisy = level is not None and noise is not None and level - noise < NOISY_DISTANCE_DB
    cautions = {
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
    return tuple(words for words, applies in cautions.items() if applies)
