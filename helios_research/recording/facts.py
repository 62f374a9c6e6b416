"""What is known about one recording, as plain values that can be pickled and stored."""

from dataclasses import dataclass

MEASURING_VERSION = 2
"""Raised whenever the same bytes would be measured differently, so that caches start afresh."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """A cheap identity of a recording: enough to tell that it is the same and not written to."""

    size_bytes: int | None
    version: str

    def __str__(self) -> str:
        size = "" if self.size_bytes is None else str(self.size_bytes)
        return f"{size}:{self.version}"

    @classmethod
    def parse(cls, text: str) -> "Stamp":
        """Read a stamp back from the text that ``str(stamp)`` gave."""
        size, _, version = text.partition(":")
        return cls(int(size) if size else None, version)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a recording is, without decoding it."""

    sha256: str
    size_bytes: int
    stamp: Stamp
    media_type: str | None
    audio_format: str | None


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What the bytes of one recording really hold.

    Attributes
    ----------
    sha256
        SHA-256 of all its bytes, in hexadecimal digits.
    size_bytes
        Number of bytes read.
    stamp
        Its cheap identity when it was read.
    media_type
        Media type to upload it with, or None when it is not one of the six formats.
    audio_format
        Container and codec found in the bytes, such as ``wav/pcm`` or ``ogg/opus``; the container
        alone where nothing could be decoded; None when even that is unknown.
    duration_s
        Decoded length in seconds. Beyond the time that is decoded (181 s), the length of the
        packets that follow.
    sample_rate_hz
        Sample rate in Hz, or None when nothing could be decoded.
    channels
        Number of channels, or None when nothing could be decoded.
    level_dbfs
        RMS level of the loudest channel in dBFS, or None when nothing could be decoded.
    clipped_fraction
        Samples at full scale as a share (0 to 1) of all samples, or None.
    noise_floor_dbfs
        Level in dBFS below which the quietest tenth of all 50 ms frames lies, or None.
    speech_s
        Seconds of speech counted, or None when nothing could be decoded.
    speech_counted_to_end
        False where counting stopped because there was clearly enough speech.
    problem
        Why it could not be decoded, in words; None when it could.
    damaged_packets
        Packets that the decoder refused.
    has_video
        True when it also holds moving pictures (cover art does not count).
    cancels_out
        True when its channels are in opposite phase, so that a mono downmix is close to silence.
    invalid_samples
        Samples that are not finite numbers; they are measured as silence.
    missing_s
        Seconds that its header promises and that are not there, as of a file of which only a part
        was copied; 0 where its header does not say.
    """

    sha256: str
    size_bytes: int
    stamp: Stamp
    media_type: str | None
    audio_format: str | None
    duration_s: float | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    level_dbfs: float | None = None
    clipped_fraction: float | None = None
    noise_floor_dbfs: float | None = None
    speech_s: float | None = None
    speech_counted_to_end: bool = True
    problem: str | None = None
    damaged_packets: int = 0
    has_video: bool = False
    cancels_out: bool = False
    invalid_samples: int = 0
    missing_s: float = 0.0
