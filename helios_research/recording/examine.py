"""One pass over a recording: its hash, its true format, and what can be heard in it."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import BinaryIO

from helios_research.errors import RecordingUnavailableError
from helios_research.recording.container import Container, sniff
from helios_research.recording.decoding import Decoding
from helios_research.recording.facts import AudioFacts, Fingerprint, Stamp
from helios_research.recording.levels import Levels
from helios_research.recording.source import open_recording, shown
from helios_research.recording.speech import SpeechMeter

_BLOCK_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class _Heard:
    """What one decoding pass measured."""

    decoding: Decoding
    levels: Levels
    speech: SpeechMeter


def fingerprint(location: str) -> Fingerprint:
    """Read a recording once, without decoding it.

    Parameters
    ----------
    location
        Absolute path or URL.

    Returns
    -------
    Fingerprint
        Its hash, size, stamp and container.

    Raises
    ------
    RecordingUnavailableError
        It cannot be read.
    """
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
    source: str | BinaryIO, *, full_speech: bool = False, enough_speech_s: float = 12.0
) -> AudioFacts:
    """Hash and decode a recording in one pass and in constant memory.

    Parameters
    ----------
    source
        Absolute path, URL, or a seekable file.
    full_speech
        Count speech to the end instead of stopping at ``enough_speech_s``.
    enough_speech_s
        Seconds of speech at which counting stops.

    Returns
    -------
    AudioFacts
        What the bytes hold; where they cannot be decoded, ``problem`` says why.

    Raises
    ------
    RecordingUnavailableError
        The bytes cannot be read at all.
    """
    with _opened(source) as (reader, stamp):
        container = sniff(reader)
        heard = None
        if container is not None and container.demuxer is not None:
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
    return facts if heard is None else _with_heard(facts, heard)


class _HashingReader(io.RawIOBase):
    """A file that is hashed while others read it, each byte once and in order.

    A decoder that jumps about (MP4 keeps its index at the end) leaves gaps, which ``finish``
    reads afterwards. A failure to read is kept, because decoders turn it into another one.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._hash = hashlib.sha256()
        self._hashed = 0
        self.failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        try:
            at = self._file.tell()
            data = self._file.read(size)
        except Exception as error:
            self.failure = error
            raise
        if at <= self._hashed < at + len(data):
            self._hash.update(memoryview(data)[self._hashed - at :])
            self._hashed = at + len(data)
        return data

    def finish(self) -> tuple[str, int]:
        """Hash what was not read yet; return the digest and the number of bytes."""
        if self.failure is not None:
            raise self.failure
        self.seek(self._hashed)
        while self.read(_BLOCK_BYTES):
            pass
        return self._hash.hexdigest(), self._hashed


@contextmanager
def _opened(source: str | BinaryIO) -> Iterator[tuple[_HashingReader, Stamp]]:
    if not isinstance(source, str):
        yield _HashingReader(source), Stamp(source.seek(0, io.SEEK_END), "")
        return
    with open_recording(source) as (file, stamp):
        reader = _HashingReader(file)
        try:
            yield reader, stamp
        except Exception:
            if reader.failure is None:
                raise
            raise RecordingUnavailableError(
                shown(source),
                f"could not be read to its end ({reader.failure})",
                "check the drive or the network and try again",
            ) from reader.failure


def _listen(reader: _HashingReader, container: Container, enough_s: float | None) -> _Heard:
    reader.seek(0)
    heard = _Heard(Decoding(reader, container), Levels(), SpeechMeter(enough_s))
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
        return "its bytes are not in any audio format that is known here"
    if container.demuxer is None:
        return f"it is a {container.name} file"
    return None


def _with_heard(facts: AudioFacts, heard: _Heard) -> AudioFacts:
    """Add what was heard; a recording of which a part was decoded has no ``problem``."""
    decoding, levels, speech = heard.decoding, heard.levels, heard.speech
    if decoding.duration_s == 0:
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
    )
