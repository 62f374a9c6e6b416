"""One recording's bytes: where they are, what they really are, and what can be heard in them."""

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from helios_research.errors import RecordingUnavailableError
from helios_research.recording.decoding import Container, Decoding, refuse_other_files, sniff
from helios_research.recording.source import (
    HashingReader,
    SeekableFile,
    Stamp,
    is_remote,
    open_recording,
    read_blocks,
    stamp_of,
    unavailable,
    without_secrets,
)
from helios_research.recording.speech import SoundLevels, SpeechMeter

__all__ = [
    "MEASURING_VERSION",
    "AudioFacts",
    "Container",
    "Fingerprint",
    "Stamp",
    "examine",
    "fingerprint",
    "is_remote",
    "read_blocks",
    "sniff",
    "stamp_of",
    "without_secrets",
]

MEASURING_VERSION = 3
"""Increased when the same bytes are measured differently, so that cached checks are not used."""


_UNKNOWN = Container("")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a recording is, without decoding it."""

    sha256: str
    size_bytes: int
    stamp: Stamp  # its size and version when it was read
    media_type: str | None  # None when it is not one of the six formats
    audio_format: str | None  # container and codec, such as wav/pcm; without decoding the former


@dataclass(frozen=True, slots=True)
class AudioFacts(Fingerprint):
    """What the bytes of one recording contain; what was measured is None where nothing was decoded."""

    # Beyond the time that is decoded (181 s), the length of the packets that follow.
    duration_s: float | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    level_dbfs: float | None = None  # RMS level of the loudest channel
    clipped_fraction: float | None = None  # samples at full scale as a share (0 to 1) of all
    noise_floor_dbfs: float | None = None  # the quietest tenth of all 50 ms frames is below it
    speech_s: float | None = None
    speech_counted_to_end: bool | None = None  # False where there was clearly enough before
    problem: str | None = None  # why it could not be decoded, in words
    damaged_packets: int = 0  # those that the decoder refused
    has_video: bool = False  # cover art does not count
    cancels_out: bool = False  # channels in opposite phase: a mono downmix is close to silence
    invalid_samples: int = 0  # not finite numbers; they are measured as silence
    # Seconds that its header declares and that are not there; infinite where it gives no length, but
    # the recording ends in the middle of a frame, page or block.
    missing_s: float = 0.0
    hidden_s: float = 0.0  # seconds that an edit list trimmed away, but that are still in the file
    is_two_voices: bool = False  # each of two channels is loud where the other is quiet


def fingerprint(location: str) -> Fingerprint:
    """Read a recording once, without decoding it."""
    with _opened(location) as (reader, stamp):
        container = sniff(reader) or _UNKNOWN
        name = container.name or None
        return Fingerprint(*reader.finish(), stamp, container.media_type, name)


def examine(
    source: str | SeekableFile, *, full_speech: bool = False, enough_speech_s: float = 12.0
) -> AudioFacts:
    """Hash and decode a recording in one pass and in constant memory."""
    with _opened(source) as (reader, stamp):
        container = sniff(reader) or _UNKNOWN
        heard: dict[str, Any] = {}
        if container.demuxer is not None:
            heard = _heard(reader, container, None if full_speech else enough_speech_s)
        sha256, size_bytes = reader.finish()
    if container is _UNKNOWN:
        heard = {"problem": "its bytes are not in any known audio format"}
    elif container.demuxer is None:
        heard = {"problem": f"it is in {container.name.upper()} format"}
    if size_bytes == 0:
        heard = {"problem": "it is empty (zero bytes)"}
    name = heard.pop("audio_format", container.name or None)
    return AudioFacts(sha256, size_bytes, stamp, container.media_type, name, **heard)


@contextmanager
def _opened(source: str | SeekableFile) -> Iterator[tuple[HashingReader, Stamp]]:
    location = without_secrets(source) if isinstance(source, str) else "in memory"
    with ExitStack() as stack:
        file: SeekableFile
        if isinstance(source, str):
            file, stamp = stack.enter_context(open_recording(source))
        else:
            file, stamp = source, Stamp(source.seek(0, io.SEEK_END), "")
        reader = HashingReader(file)
        try:
            refuse_other_files(reader, location)
            yield reader, stamp
        except Exception as error:
            if reader.failure is None:
                raise
            if is_remote(location):
                raise unavailable(location, reader.failure, is_remote=True) from error
            reason = f"could not be read to its end ({reader.failure})"
            remedy = "check the drive and try again"
            raise RecordingUnavailableError(location, reason, remedy) from error


def _heard(reader: HashingReader, container: Container, enough_s: float | None) -> dict[str, Any]:
    """Decode a recording; one of which only a part can be decoded has no ``problem``."""
    decoding, levels, speech = Decoding(reader, container), SoundLevels(), SpeechMeter(enough_s)
    for block in decoding.blocks():
        speech.add(levels.add(block), block.sample_rate_hz)
    speech.finish()
    facts = {
        "audio_format": _format(container, decoding.codec),
        "damaged_packets": decoding.damaged_packets,
        "has_video": decoding.has_video,
    }
    if not levels.has_samples:
        return facts | {"problem": decoding.problem or "no sound could be decoded from it"}
    return facts | {
        "duration_s": decoding.duration_s,
        "sample_rate_hz": decoding.sample_rate_hz,
        "channels": decoding.channels,
        "level_dbfs": levels.level_dbfs,
        "clipped_fraction": levels.clipped_fraction,
        "noise_floor_dbfs": levels.noise_floor_dbfs,
        "speech_s": speech.speech_s,
        "speech_counted_to_end": not speech.has_enough,
        "damaged_packets": decoding.damaged_packets + (decoding.problem is not None),
        "cancels_out": levels.cancels_out,
        "invalid_samples": levels.invalid_samples,
        "missing_s": decoding.missing_s,
        "hidden_s": decoding.hidden_s,
        "is_two_voices": levels.is_two_voices,
    }


def _format(container: Container, codec: str | None) -> str:
    if codec is not None and codec.startswith(("pcm_s", "pcm_u", "pcm_f")):
        codec = "pcm"
    return container.name if codec in (None, container.name) else f"{container.name}/{codec}"
