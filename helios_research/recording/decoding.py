"""From a recording's bytes to blocks of samples: the container by its content, decoded by FFmpeg (PyAV)."""

import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import av
import numpy as np
from av.audio import AudioFrame, AudioStream
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from numpy.typing import NDArray

from helios_research.errors import RecordingUnavailableError
from helios_research.recording.source import SeekableFile

_ID3_HEADER_BYTES = 10
_MOST_ID3_TAGS = 8
_SEARCHED_FOR_MP3_BYTES = 65_536
_SEARCHED_FOR_MARKUP_BYTES = 1_024
_EBML_SEARCHED_BYTES = 256
_ADTS_MASK, _ADTS_SYNC = 0xFFF6, 0xFFF0

# ISO/IEC 11172-3 and 13818-3, layer III: kbit/s by index, for MPEG-1 and for MPEG-2 and 2.5.
_MP3_KBITS = (
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_MPEG1_SAMPLE_RATES_HZ = (44_100, 48_000, 32_000)


@dataclass(frozen=True, slots=True)
class Container:
    """A kind of file that can hold audio."""

    name: str
    demuxer: str | None = None  # None where it is not decoded
    media_type: str | None = None  # that of the six that Helios' documentation names


WAV = Container("wav", "wav", "audio/wav")
FLAC = Container("flac", "flac", "audio/flac")
MP3 = Container("mp3", "mp3", "audio/mpeg")
MP4 = Container("mp4", "mov", "audio/mp4")
OGG = Container("ogg", "ogg", "audio/ogg")
WEBM = Container("webm", "matroska", "audio/webm")
ADTS = Container("adts", "aac")
QUICKTIME = Container("mov", "mov")
MOBILE = Container("3gp", "mov")

_BY_MAGIC = (
    (b"fLaC", FLAC),
    (b"OggS", OGG),
    (b"FORM", Container("aiff")),
    (b"\x30\x26\xb2\x75", Container("wma")),
    (b".snd", Container("au")),
    (b"caff", Container("caf")),
    (b"#!AMR", Container("amr")),
    (b"riff\x2e\x91\xcf\x11", Container("w64")),
    (b"NIST_1A", Container("nist sphere")),
    (b"\x02dss", Container("dss")),
    (b"\x03ds2", Container("ds2")),
    (b"\x07ds2", Container("ds2")),
)

_BY_BRAND = {
    (b"3gp", b"3g2"): MOBILE,
    (b"qt  ",): QUICKTIME,
    (b"hei", b"avif", b"mif1"): Container("heif"),
}

_NO_AUDIO = (
    (
        re.compile(rb"(\xef\xbb\xbf)?\s*<[!?a-zA-Z]"),
        "is a web page, not a recording",
        "use the link that downloads the file itself, without a page or a login before it",
    ),
    (
        re.compile(rb"\0\x05\x16\x07"),
        "is a companion that macOS writes beside a file, not a recording",
        "name the file itself, without ._ before its name",
    ),
    # Within an archive there may be what looks like the frames of an MP3.
    (re.compile(rb"PK\x03\x04"), "is a ZIP archive", "unpack it, and name the recording in it"),
)


def refuse_other_files(file: SeekableFile, location: str) -> None:
    """Refuse what is known to hold no audio, so that it is neither sent nor compared."""
    head = _read_at(file, 0, _SEARCHED_FOR_MARKUP_BYTES)
    for magic, reason, remedy in _NO_AUDIO:
        if magic.match(head):
            raise RecordingUnavailableError(location, reason, remedy)


def sniff(file: SeekableFile) -> Container | None:
    """Recognise a file's container by its bytes; None where no known one fits."""
    start = _skip_id3(file)
    head = _read_at(file, start, 64)
    for magic, container in _BY_MAGIC:
        if head.startswith(magic):
            return container
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return {b"WAVE": WAV, b"AVI ": Container("avi")}.get(head[8:12])
    if head[4:8] == b"ftyp":
        known = _BY_BRAND.items()
        return next((kind for brands, kind in known if head[8:12].startswith(brands)), MP4)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _by_doctype(_read_at(file, start, _EBML_SEARCHED_BYTES))
    return _by_frames(file, start)


def _by_doctype(head: bytes) -> Container | None:
    # EBML element 0x4282 is the DocType; its length is one byte here as no name is longer than 126.
    at = head.find(b"\x42\x82")
    if at < 0 or at + 3 > len(head):
        return None
    length = head[at + 2] & 0x7F
    doctype = head[at + 3 : at + 3 + length].rstrip(b"\0")
    return {b"webm": WEBM, b"matroska": Container("matroska")}.get(doctype)


def _skip_id3(file: SeekableFile) -> int:
    start = 0
    for _ in range(_MOST_ID3_TAGS):
        header = _read_at(file, start, _ID3_HEADER_BYTES)
        if len(header) < _ID3_HEADER_BYTES or not header.startswith(b"ID3"):
            break
        # Four bytes of seven bits each.
        start += _ID3_HEADER_BYTES
        start += sum(
            (byte & 0x7F) << shift for byte, shift in zip(header[6:], (21, 14, 7, 0), strict=True)
        )
    return start


def _by_frames(file: SeekableFile, start: int) -> Container | None:
    """Find MPEG audio by two frame headers that agree, since it has no magic bytes of its own."""
    data = _read_at(file, start, _SEARCHED_FOR_MP3_BYTES)
    if _is_adts(data):
        return ADTS
    at = data.find(b"\xff")
    while at >= 0:
        length = _mp3_frame_bytes(data[at : at + 4])
        if length and _same_stream(data[at : at + 4], data[at + length : at + length + 4]):
            return MP3
        at = data.find(b"\xff", at + 1)
    return None


def _is_adts(data: bytes) -> bool:
    if len(data) < 7 or int.from_bytes(data[:2]) & _ADTS_MASK != _ADTS_SYNC:
        return False
    length = (data[3] & 0x03) << 11 | data[4] << 3 | data[5] >> 5
    following = data[length : length + 2]
    return length > 7 and int.from_bytes(following) & _ADTS_MASK == _ADTS_SYNC


def _mp3_frame_bytes(header: bytes) -> int:
    """Length of the layer III frame that begins with these four bytes, or 0 if none does."""
    if len(header) < 4 or header[1] & 0xE0 != 0xE0 or header[1] & 0x06 != 0x02:
        return 0
    version, bit_rate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bit_rate in (0, 15) or rate == 3:
        return 0
    is_mpeg1 = version == 3
    kbits = _MP3_KBITS[not is_mpeg1][bit_rate - 1]
    sample_rate_hz = _MPEG1_SAMPLE_RATES_HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    padding = header[2] >> 1 & 1
    return (144 if is_mpeg1 else 72) * kbits * 1000 // sample_rate_hz + padding


def _same_stream(first: bytes, second: bytes) -> bool:
    """Whether two frame headers share version, layer and sample rate."""
    return (
        _mp3_frame_bytes(second) > 0
        and first[1] & 0xFE == second[1] & 0xFE
        and first[2] & 0x0C == second[2] & 0x0C
    )


def _read_at(file: SeekableFile, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


_LONGEST_OGG_PAGE_BYTES = 65_307
_MOST_ELEMENTS = 1_000_000
# With less missing than this, how much it is says little.
_TORN_S = 1.0


def _is_torn(file: SeekableFile, container: Container, last: "Packet[AudioStream]") -> bool:
    """Whether a file ends in the middle of a frame, page or block; ``last`` is its last packet."""
    if container is MP3:
        return _mp3_frame_bytes(bytes(last)[:4]) > last.size
    if container is OGG:
        return _is_ogg_torn(file)
    if container is WEBM:
        return _is_webm_torn(file)
    return container.demuxer == MP4.demuxer and last.is_corrupt


def _is_ogg_torn(file: SeekableFile) -> bool:
    size = file.seek(0, io.SEEK_END)
    tail = _read_at(file, max(0, size - _LONGEST_OGG_PAGE_BYTES), _LONGEST_OGG_PAGE_BYTES)
    _, found, page = tail.rpartition(b"OggS\0")
    # Then come 21 bytes, how many lengths of packets follow, these lengths, and the packets.
    short = len(page) < 22 or len(page) < 22 + page[21] + sum(page[22 : 22 + page[21]])
    return bool(found) and short


def _is_webm_torn(file: SeekableFile) -> bool:
    size, at = file.seek(0, io.SEEK_END), 0
    for _ in range(_MOST_ELEMENTS):
        head = _read_at(file, at, 12)
        # An element is an id, the length of what follows and that; each begins with its own width.
        width = 9 - head[0].bit_length() if head else 0
        if at >= size or width > 4:
            return at > size
        if len(head) <= width:
            return True
        length_bytes = 9 - head[width].bit_length()
        unknown = (1 << 7 * length_bytes) - 1
        length = int.from_bytes(head[width : width + length_bytes]) & unknown
        # What was written live does not know its own length: its parts follow.
        at += width + length_bytes + (length if length != unknown else 0)
    return False


# What recorders write into a WAV while they do not know its length yet: about the largest number of
# bytes that a signed or an unsigned 32-bit field holds.
_NOT_KNOWN_YET = 0x7FFF_0000
# Other demuxers estimate a length, or take it from the last packet that is there.
_COUNTING = {"wav", "flac", "mov"}

DECODED_AT_MOST_S = 181.0
"""Decoding stops here, one second past the longest recording that Helios accepts (3 minutes)."""

# Gathering large blocks makes the whole pass twice as fast as going frame by frame (measured).
_BLOCK_SAMPLES = 65_536
_IO_BUFFER_BYTES = 262_144
# No recorder is outside of this; a header with 1 Hz would make 16,000 samples out of each of its own.
_PLAUSIBLE_RATES_HZ = range(1_000, 1_000_001)
# WAV comes in packets of 4 kB by default, which makes a long file slow to count through. With large
# packets FFmpeg searches megabytes of samples for other codecs, unless probesize limits it: 350 ms or 3 ms.
_DEMUXER_OPTIONS = {"wav": {"max_size": "65536", "probesize": "32768"}}


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive samples."""

    samples: NDArray[np.float32]
    sample_rate_hz: int


class _UndecodableError(Exception):
    """Nothing in the recording can be decoded; the message says why."""


@dataclass(slots=True)
class Decoding:
    """One pass over a recording; its attributes fill while ``blocks`` is consumed."""

    file: SeekableFile
    container: Container
    codec: str | None = None
    duration_s: float = 0.0
    sample_rate_hz: int | None = None
    channels: int | None = None
    damaged_packets: int = 0
    has_video: bool = False
    missing_s: float = 0.0
    hidden_s: float = 0.0
    problem: str | None = None
    _resampler: AudioResampler | None = None
    _shape: tuple[str, str, int] | None = None

    def blocks(self) -> Iterator[Block]:
        """Decode the recording, block by block, in constant memory."""
        try:
            with self._open(_DEMUXER_OPTIONS.get(self.container.name, {})) as opened:
                yield from self._decoded(opened)
        except _UndecodableError as error:
            self.problem = str(error)
        except av.error.InvalidDataError as error:
            self.problem = (
                "it cannot be decoded: it was not finished, not copied whole or is damaged "
                f"({error.strerror}). Copy it again"
            )
        except av.error.FFmpegError as error:
            self.problem = f"it cannot be decoded ({error.strerror})"
        # What broken bytes make a decoder raise is a fact about the recording.
        except Exception as error:  # noqa: BLE001
            self.problem = f"it cannot be decoded ({type(error).__name__}: {error})"

    def _open(self, options: dict[str, str]) -> InputContainer:
        self.file.seek(0)
        opened = av.open(
            self.file,
            format=self.container.demuxer,
            options=options,
            metadata_errors="replace",
            buffer_size=_IO_BUFFER_BYTES,
        )
        return cast("InputContainer", opened)

    def _decoded(self, opened: InputContainer) -> Iterator[Block]:
        self.has_video = any(
            not stream.disposition & Disposition.attached_pic for stream in opened.streams.video
        )
        if not opened.streams.audio:
            raise _UndecodableError("it contains no audio")
        # A context is missing where FFmpeg has no decoder, as for Apple's spatial sound.
        tracks = [track for track in opened.streams.audio if cast("object", track.codec_context)]
        if not tracks:
            raise _UndecodableError("its audio codec is not supported")
        track, context = tracks[0], tracks[0].codec_context
        context.thread_count = 1
        self.codec = context.codec.canonical_name
        last = None
        for packet in opened.demux(track):
            last = packet if packet.size else last
            if self.duration_s <= DECODED_AT_MOST_S:
                yield from self._frames_of(context, packet)
            else:
                self.duration_s += float((packet.duration or 0) * (track.time_base or 0))
        yield from self._flush()
        if last is not None and self.duration_s:
            self.missing_s = self._missing_s(opened, track, last)
            self.hidden_s = self._hidden_s(opened, track)

    def _missing_s(
        self, opened: InputContainer, track: AudioStream, last: "Packet[AudioStream]"
    ) -> float:
        """Seconds that the header declares and that are not there; infinite where it gives no length."""
        ticks = track.duration if self.container.demuxer in _COUNTING else None
        declared_s = float((ticks or 0) * (track.time_base or 0))
        if self.container is WEBM and len(opened.streams) == 1:
            declared_s = (opened.duration or 0) / av.time_base
        if self.container is WAV and track.bit_rate:
            # FFmpeg counts what is there. The size in a header leaves out its first 8 bytes.
            size = int.from_bytes(_read_at(self.file, 4, 4), "little") + 8
            absent = size - self.file.seek(0, io.SEEK_END) if size < _NOT_KNOWN_YET else 0
            # Of a packet that is cut, an older FFmpeg decodes nothing, so its end says too much.
            return max(0.0, declared_s + max(0, absent) * 8 / track.bit_rate - self.duration_s)
        end_s = float(((last.pts or 0) + (last.duration or 0)) * (track.time_base or 0))
        missing_s = declared_s - max(end_s, self.duration_s)
        if missing_s < _TORN_S and _is_torn(self.file, self.container, last):
            return math.inf
        return max(0.0, missing_s)

    def _hidden_s(self, opened: InputContainer, track: AudioStream) -> float:
        """Seconds that an edit list keeps from being played."""
        if self.container.demuxer != MP4.demuxer:
            return 0.0
        place = opened.streams.audio.index(track)
        with self._open({"ignore_editlist": "1"}) as whole:
            ticks = (whole.streams.audio[place].duration or 0) - (track.duration or 0)
            return max(0.0, float(ticks * (track.time_base or 0)))

    def _frames_of(
        self, context: AudioCodecContext, packet: "Packet[AudioStream]"
    ) -> Iterator[Block]:
        try:
            frames = context.decode(packet)
        except av.error.FFmpegError:
            self.damaged_packets += 1
            return
        for frame in frames:
            if frame.sample_rate not in _PLAUSIBLE_RATES_HZ:
                raise _UndecodableError(f"its header gives a sample rate of {frame.sample_rate} Hz")
            self.duration_s += frame.samples / frame.sample_rate
            self.sample_rate_hz = self.sample_rate_hz or frame.sample_rate
            self.channels = self.channels or frame.layout.nb_channels
            yield from self._gathered(frame)

    def _gathered(self, frame: AudioFrame) -> Iterator[Block]:
        """Gather frames into large blocks of floats, at their own sample rate."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        # Chained Ogg files may change rate and channels half-way.
        if self._resampler is None or shape != self._shape:
            yield from self._flush()
            self._shape = shape
            self._resampler = AudioResampler(
                "flt", frame.layout, frame.sample_rate, frame_size=_BLOCK_SAMPLES
            )
        # Gaps between time stamps would be filled with silence.
        frame.pts = None
        yield from map(_block, self._resampler.resample(frame))

    def _flush(self) -> Iterator[Block]:
        if self._resampler is not None:
            yield from map(_block, self._resampler.resample(None))


def _block(frame: AudioFrame) -> Block:
    # Interleaved, because PyAV 18.1 crashes the process on planar frames of eight channels or more.
    interleaved = cast("NDArray[np.float32]", frame.to_ndarray())
    samples = interleaved.reshape(-1, frame.layout.nb_channels).T
    return Block(np.ascontiguousarray(samples), frame.sample_rate)
