"""What decides a verdict: every number in one place, with its unit and its source."""

from dataclasses import dataclass

ACCEPTED_FORMATS = frozenset(
    {
        "wav/pcm",
        "flac",
        "mp3",
        "mp4/aac",
        "ogg/opus",
        "ogg/vorbis",
        "webm/opus",
    }
)
"""The containers in Helios' documentation with the codecs that are usual in them."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a recording passes, is borderline, or is refused.

    The first three limits are Helios' own, from its documentation. What Helios counts as a second
    of speech is not documented: compare ``speech_s`` with the codes it gave to your recordings,
    and change these numbers if they disagree.

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
        A recording of which more than this is missing by its own header, in seconds, was cut off.
        Source: our choice; far more than what encoders pad.
    lowest_sample_rate_hz
        Below this sample rate, in Hz, a recording may score badly. Source: that of the telephone.
    time_limit_s
        Checking one recording may take this long, in seconds, before it is given up. Source: a
        recording of 60 s takes 0.2 s; the rest is for slow networks.
    """

    longest_s: float = 180.0
    least_speech_s: float = 10.0
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
                f"enough_speech_s is {self.enough_speech_s}, but counting has to go on to "
                f"least_speech_s + speech_margin_s = {least} to tell whether there is enough: "
                f"set it to {least} or more."
            )
            raise ValueError(message)


DEFAULT_THRESHOLDS = Thresholds()
