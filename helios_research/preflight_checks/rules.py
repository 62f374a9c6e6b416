"""Which answer Helios is expected to give to a recording: every threshold with its unit and source."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple
from urllib.parse import urlsplit

from helios_research.codes import HeliosCode
from helios_research.columns import LEAST_SPEECH_S, LONGEST_RECORDING_S, Verdict
from helios_research.recording import AudioFacts

_ACCEPTED_FORMATS = ("wav/pcm", "flac", "mp3", "mp4/aac", "ogg/opus", "ogg/vorbis", "webm/opus")
"""The containers in Helios' documentation with the codecs that are usual in them."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a recording passes, is borderline, or is refused.

    The first three limits are Helios' own, from its documentation. What Helios counts as a second
    of speech is not documented: `Study.compare_preflight` compares these limits with its answers.

    Attributes
    ----------
    longest_s
        Longest recording, in seconds. Source: Helios, "under 3 minutes in all".
    least_speech_s
        Least speech, in seconds. Source: Helios, "at least 10 seconds of speech".
    no_speech_s
        With less speech than this, in seconds, nothing is transcribed. Source: noise, tones and
        hum gave 0 s in each of 19 files and 18 minutes of music gave 0.4 s in all, so this much
        may be a mistake of the detector.
    longest_margin_s
        A length this close to its limit, in seconds, is borderline. Source: AAC decodes up to
        0.07 s longer than it was recorded, and decoders differ on padding.
    speech_margin_s
        An amount of speech this close to its limit, in seconds, is borderline. Source: the mean
        absolute error on 1,260 stressed signals is 0.46 s; 98 % of the amounts that are at least
        1 s away from the limit fall on their right side.
    enough_speech_s
        Counting stops at this much speech, in seconds, unless the full count is asked for.
        Source: twice the margin above the limit.
    quiet_dbfs
        Below this level, in dBFS, a recording may score badly. Source: our choice; speech at
        16 bits has then no more than 46 dB above the rounding noise (-96 dBFS).
    clipped_fraction
        Above this share (0 to 1) of samples at full scale, a recording may score badly. Source:
        our choice; one sample in a hundred is heard as distortion.
    noise_distance_db
        A recording whose noise floor is closer to its level than this, in dB, may score badly.
        Source: our choice; speech with its pauses has 15 dB and more between them.
    missing_s
        A recording of which more than this is missing by its own header, in seconds, was cut off; one
        that holds so much more than is played was trimmed. Source: our choice; far more than what
        encoders pad.
    lowest_sample_rate_hz
        Below this sample rate, in Hz, a recording may score badly. Source: that of the telephone.
    time_limit_s
        Checking one recording may take this long, in seconds, before it is given up. Source: a
        recording of 60 s takes 0.2 s; the rest is for slow networks.
    """

    longest_s: float = LONGEST_RECORDING_S
    least_speech_s: float = LEAST_SPEECH_S
    no_speech_s: float = 0.4
    longest_margin_s: float = 0.25
    speech_margin_s: float = 1.0
    enough_speech_s: float = 12.0
    quiet_dbfs: float = -50.0
    clipped_fraction: float = 0.01
    noise_distance_db: float = 6.0
    missing_s: float = 0.5
    lowest_sample_rate_hz: int = 8_000
    time_limit_s: float = 120.0

    def __post_init__(self) -> None:
        least = self.least_speech_s + self.speech_margin_s
        if self.enough_speech_s < least:
            message = (
                f"enough_speech_s is {self.enough_speech_s}, but counting has to continue to "
                f"least_speech_s + speech_margin_s = {least} to know whether there is enough: "
                f"set it to {least} or more."
            )
            raise ValueError(message)


DEFAULT_THRESHOLDS = Thresholds()

_EXTENSIONS = {
    "wav": {".wav", ".wave"},
    "flac": {".flac"},
    "mp3": {".mp3"},
    "mp4": {".mp4", ".m4a", ".m4b", ".m4v"},
    "ogg": {".ogg", ".oga", ".opus", ".ogv"},
    "webm": {".webm", ".weba"},
}
_ALL_EXTENSIONS = frozenset().union(*_EXTENSIONS.values())

MISNAMED = "Its name ends in"

_TO_WAV = "Convert it to WAV, for example with `ffmpeg -i FILE FILE.wav`."
_DICTATION = "Dictation recorders of Olympus, Philips and Grundig write it. Export it as WAV from their program."
_ADVICE = {
    "3gp": f"Android phones write it. {_TO_WAV}",
    "amr": f"Older phones and messengers write it. {_TO_WAV}",
    "mov": "QuickTime, iPhone cameras and spatial Voice Memos write it. Export it as M4A.",
    "nist sphere": f"Speech corpora use it. {_TO_WAV}",
    "dss": _DICTATION,
    "ds2": _DICTATION,
    "heif": "It is a picture.",
}
"""What a researcher knows of containers that Helios does not list, and what to do."""


class Prediction(NamedTuple):
    """What is expected of one recording."""

    verdict: Verdict
    code: str | None
    reason: str


def predict(facts: AudioFacts, thresholds: Thresholds, name: str = "") -> Prediction:
    """Predict the answer of Helios to a recording. The first rule that matches decides."""
    doubts: list[str] = []
    if facts.problem is None:
        doubts += _doubts_on_format(facts)
        doubts += _doubts_on_wholeness(facts, thresholds)
        doubts += _doubts_on_sound(facts, thresholds)
    accepted = Prediction(Verdict.WARN if doubts else Verdict.OK, None, "")
    rules = (_undecodable, _too_long, _too_little_speech)
    refusals = filter(None, (rule(facts, thresholds) for rule in rules))
    verdict, code, reason = next(refusals, accepted)
    sentences = [reason, *doubts, misnamed(facts.audio_format, name)]
    return Prediction(verdict, code, " ".join(filter(None, sentences)))


def _undecodable(facts: AudioFacts, _: Thresholds) -> Prediction | None:
    if facts.problem is None:
        return None
    reason = f"Not a recording that Helios accepts: {facts.problem}.{_advice(facts)}"
    return Prediction(Verdict.FAIL, HeliosCode.INVALID_FORMAT.value, reason)


def _advice(facts: AudioFacts) -> str:
    container = (facts.audio_format or "").partition("/")[0]
    if container in _EXTENSIONS or not container:
        return ""
    return " " + _ADVICE.get(container, _TO_WAV)


def _too_long(facts: AudioFacts, thresholds: Thresholds) -> Prediction | None:
    length, limit = facts.duration_s or 0.0, thresholds.longest_s
    if length <= limit - thresholds.longest_margin_s:
        return None
    borderline = length <= limit + thresholds.longest_margin_s
    return Prediction(
        Verdict.WARN if borderline else Verdict.FAIL,
        HeliosCode.TOO_LONG.value if length > limit else None,
        f"It is {_long(length)} long, {'close to' if borderline else 'over'} the limit of "
        f"{limit:g} s.",
    )


def _long(length_s: float) -> str:
    minutes, hours = length_s / 60, length_s / 3600
    if hours >= 2:
        return f"{hours:.1f} hours"
    return f"{minutes:.0f} minutes" if minutes >= 10 else f"{length_s:.2f} s"


def _too_little_speech(facts: AudioFacts, thresholds: Thresholds) -> Prediction | None:
    speech, least = facts.speech_s or 0.0, thresholds.least_speech_s
    if speech >= least + thresholds.speech_margin_s:
        return None
    is_close = speech >= least - thresholds.speech_margin_s
    # Speech that only the downmix loses may still be heard by a service that takes one channel.
    verdict = Verdict.WARN if is_close or facts.cancels_out else Verdict.FAIL
    if speech < thresholds.no_speech_s:
        code = HeliosCode.TRANSCRIPTION_FAILED.value
        return Prediction(verdict, code, "No speech was found in it.")
    return Prediction(
        verdict,
        HeliosCode.TOO_SHORT.value if speech < least else None,
        f"It contains about {speech:.1f} s of speech, {'close to' if is_close else 'under'} the "
        f"{least:g} s that are needed.",
    )


def _doubts_on_format(facts: AudioFacts) -> Iterator[str]:
    if facts.audio_format not in _ACCEPTED_FORMATS:
        yield (
            f"It is {facts.audio_format}, which is not among the formats that Helios lists."
            f"{_advice(facts)}"
        )
    if facts.has_video:
        yield "It is a video: only its sound is of use, and sending it shows the person's face."
    if facts.cancels_out:
        yield (
            "Its channels are in opposite phase and cancel each other out when they are mixed: "
            "send one channel only."
        )
    if facts.is_two_voices:
        yield (
            "Its two channels hold different speech, as of an interviewer and a participant: send "
            "the participant's channel alone."
        )


def _doubts_on_wholeness(facts: AudioFacts, thresholds: Thresholds) -> Iterator[str]:
    length_s = facts.duration_s or 0.0
    is_cut = facts.missing_s > thresholds.missing_s
    if is_cut:
        declared_s, why = length_s + facts.missing_s, "it ends in the middle of a block"
        if math.isfinite(declared_s):
            why = f"by its own header it is {_long(declared_s)} long, but only {length_s:.2f} s are there"
        yield f"It seems to be cut off: {why}. Copy it again."
    if facts.hidden_s > thresholds.missing_s:
        yield (
            f"It was trimmed: {length_s:.2f} s are played, but {facts.hidden_s:.2f} s more are "
            "still in the file and would be sent. Export it anew to leave them out."
        )
    # The part in which it was cut off has been mentioned.
    damaged = facts.damaged_packets - is_cut
    if damaged > 0:
        what = f"{damaged:,} parts of it" if damaged > 1 else "a part of it"
        left_out = "were left out" if damaged > 1 else "was left out"
        yield f"It is damaged: {what} could not be decoded and {left_out}."
    if facts.invalid_samples:
        yield f"{facts.invalid_samples:,} of its samples are not numbers; they count as silence."


def _doubts_on_sound(facts: AudioFacts, thresholds: Thresholds) -> Iterator[str]:
    level, floor = facts.level_dbfs or 0.0, facts.noise_floor_dbfs or 0.0
    if level < thresholds.quiet_dbfs:
        yield f"It is very quiet ({level:.0f} dBFS)."
    elif level - floor < thresholds.noise_distance_db:
        yield (
            f"It may be noisy: its quietest parts ({floor:.0f} dBFS) are almost as loud as the "
            f"whole ({level:.0f} dBFS)."
        )
    if (facts.clipped_fraction or 0.0) > thresholds.clipped_fraction:
        yield f"It is clipped: {facts.clipped_fraction:.1%} of its samples are at full scale."
    if (facts.sample_rate_hz or 0) < thresholds.lowest_sample_rate_hz:
        yield f"Its sample rate is low ({facts.sample_rate_hz} Hz)."


def misnamed(audio_format: str | None, name: str) -> str:
    """Write the note for an extension that does not fit the bytes. Harmless, as the bytes decide."""
    path = urlsplit(name).path if "://" in name else name
    extension = PurePath(path).suffix.lower()
    fitting = _EXTENSIONS.get((audio_format or "").partition("/")[0])
    if fitting is None or extension in fitting or extension not in _ALL_EXTENSIONS:
        return ""
    return f"{MISNAMED} {extension}, but its bytes are {audio_format}."
