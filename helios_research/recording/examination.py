"""One pass over a recording: its hash, its true format, and what can be heard in it."""

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from helios_research.errors import RecordingUnavailableError
from helios_research.recording.decoding import Container, Decoding, declared_duration_s, sniff
from helios_research.recording.source import (
    Fingerprint,
    HashingReader,
    SeekableFile,
    Stamp,
    open_recording,
    without_secrets,
)
from helios_research.recording.speech import SoundLevels, SpeechMeter

MEASURING_VERSION = 2
"""Increased when the same bytes are measured differently, so that cached checks are not used."""


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What the bytes of one recording really contain.

    What was measured is None where nothing could be decoded.
    """

    sha256: str
    size_bytes: int
    # Its size and version when it was read.
    stamp: Stamp
    # None when it is not one of the six formats.
    media_type: str | None
    # Container and codec, such as wav/pcm; the container alone where nothing could be decoded.
    audio_format: str | None
    # Beyond the time that is decoded (181 s), the length of the packets that follow.
    duration_s: float | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    # RMS level of the loudest channel.
    level_dbfs: float | None = None
    # Samples at full scale as a share (0 to 1) of all samples.
    clipped_fraction: float | None = None
    # The quietest tenth of all 50 ms frames is below this level.
    noise_floor_dbfs: float | None = None
    speech_s: float | None = None
    # False where counting stopped because there was clearly enough speech.
    speech_counted_to_end: bool = True
    # Why it could not be decoded, in words; None when it could.
    problem: str | None = None
    # Packets that the decoder refused.
    damaged_packets: int = 0
    # Cover art does not count.
    has_video: bool = False
    # Whether channels are in opposite phase, so that a mono downmix is close to silence.
    cancels_out: bool = False
    # Samples that are not finite numbers; they are measured as silence.
    invalid_samples: int = 0
    # Seconds that its header declares and that are not there; 0 where its header gives no length.
    missing_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Heard:
    """What one decoding pass measured."""

    decoding: Decoding
    levels: SoundLevels
    speech: SpeechMeter


def fingerprint(location: str) -> Fingerprint:
    """Read a recording once, without decoding it."""
    with _opened(location) as (reader, stamp):
        container = sniff(reader)
        sha256, size_bytes = reader.finish()
    return Fingerprint(
        sha256=sha256,
        size_bytes=size_bytes,
        stamp=stamp,
        media_type=container.media_type if container else None,
        audio_format=container.name if container else None,
    )


def examine(
    source: str | SeekableFile, *, full_speech: bool = False, enough_speech_s: float = 12.0
) -> AudioFacts:
    """Hash and decode a recording in one pass and in constant memory."""
    with _opened(source) as (reader, stamp):
        container = sniff(reader)
        heard, declared_s = None, None
        if container is not None and container.demuxer is not None:
            declared_s = declared_duration_s(reader, container)
            heard = _listen(reader, container, None if full_speech else enough_speech_s)
        sha256, size_bytes = reader.finish()
    facts = AudioFacts(
        sha256=sha256,
        size_bytes=size_bytes,
        stamp=stamp,
        media_type=container.media_type if container else None,
        audio_format=_format(container, heard.decoding if heard else None),
        problem=_problem(size_bytes, container),
    )
    return facts if heard is None else _with_heard(facts, heard, declared_s)


@contextmanager
def _opened(source: str | SeekableFile) -> Iterator[tuple[HashingReader, Stamp]]:
    with ExitStack() as stack:
        file: SeekableFile
        if isinstance(source, str):
            file, stamp = stack.enter_context(open_recording(source))
        else:
            file, stamp = source, Stamp(source.seek(0, io.SEEK_END), "")
        reader = HashingReader(file)
        try:
            yield reader, stamp
        except Exception as error:
            if reader.failure is None:
                raise
            raise RecordingUnavailableError(
                without_secrets(source) if isinstance(source, str) else "in memory",
                f"could not be read to its end ({reader.failure})",
                "check the drive or the network and try again",
            ) from error


def _listen(reader: HashingReader, container: Container, enough_s: float | None) -> _Heard:
    reader.seek(0)
    heard = _Heard(Decoding(reader, container), SoundLevels(), SpeechMeter(enough_s))
    for block in heard.decoding.blocks():
        mono = heard.levels.add(block)
        heard.speech.add(mono, block.sample_rate_hz)
    heard.speech.finish()
    return heard


def _format(container: Container | None, decoding: Decoding | None) -> str | None:
    if container is None:
        return None
    if decoding is None or decoding.codec is None:
        return container.name
    codec = "pcm" if decoding.codec.startswith(("pcm_s", "pcm_u", "pcm_f")) else decoding.codec
    return container.name if codec == container.name else f"{container.name}/{codec}"


def _problem(size_bytes: int, container: Container | None) -> str | None:
    if size_bytes == 0:
        return "it is empty (zero bytes)"
    if container is None:
        return "its bytes are not in any known audio format"
    if container.demuxer is None:
        return f"it is in {container.name.upper()} format"
    return None


def _with_heard(facts: AudioFacts, heard: _Heard, declared_s: float | None) -> AudioFacts:
    """Add what was heard; a recording of which a part was decoded has no ``problem``."""
    decoding, levels, speech = heard.decoding, heard.levels, heard.speech
    if not levels.has_samples:
        problem = decoding.problem or "no sound could be decoded from it"
        return replace(
            facts,
            problem=problem,
            damaged_packets=decoding.damaged_packets,
            has_video=decoding.has_video,
        )
    return replace(
        facts,
        duration_s=decoding.duration_s,
        sample_rate_hz=decoding.sample_rate_hz,
        channels=decoding.channels,
        level_dbfs=levels.level_dbfs,
        clipped_fraction=levels.clipped_fraction,
        noise_floor_dbfs=levels.noise_floor_dbfs,
        speech_s=speech.speech_s,
        speech_counted_to_end=not speech.has_enough,
        damaged_packets=decoding.damaged_packets + (decoding.problem is not None),
        has_video=decoding.has_video,
        cancels_out=levels.cancels_out,
        invalid_samples=levels.invalid_samples,
        missing_s=max(0.0, (declared_s or 0.0) - decoding.duration_s),
    )
