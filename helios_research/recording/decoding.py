"""From a container's bytes to blocks of samples, with FFmpeg's decoders through PyAV."""

from collections.abc import Iterator
from dataclasses import dataclass, field
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

from helios_research.recording.container import Container
from helios_research.recording.hashing import SeekableFile

DECODED_AT_MOST_S = 181.0
"""Decoding stops here, one second past the longest recording that Helios takes (3 minutes)."""

# Gathering large blocks makes the whole pass twice as fast as going frame by frame (measured).
_BLOCK_SAMPLES = 65_536
_IO_BUFFER_BYTES = 262_144
# No recorder is outside of this; a header with 1 Hz would make 16,000 samples out of each of its own.
_PLAUSIBLE_RATES_HZ = range(1_000, 1_000_001)
# WAV comes in packets of 4 kB by default, which makes a long file slow to count through. With large
# packets FFmpeg looks for other codecs in megabytes of samples, unless told not to: 350 ms or 3 ms.
_DEMUXER_OPTIONS = {"wav": {"max_size": "65536", "probesize": "32768"}}


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive samples."""

    samples: NDArray[np.float32]
    sample_rate_hz: int


class _UndecodableError(Exception):
    """Nothing in the recording can be decoded, and the message says why."""


class _Gatherer:
    """Gathers frames to large blocks of floats, at their own sample rate."""

    def __init__(self) -> None:
        self._resampler: AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None

    def add(self, frame: AudioFrame) -> Iterator[Block]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        # Chained Ogg files may change rate and channels half-way.
        if self._resampler is None or shape != self._shape:
            yield from self.flush()
            self._resampler = AudioResampler(
                "flt", frame.layout, frame.sample_rate, frame_size=_BLOCK_SAMPLES
            )
            self._shape = shape
        # Gaps between time stamps would be filled with silence.
        frame.pts = None
        yield from map(_block, self._resampler.resample(frame))

    def flush(self) -> Iterator[Block]:
        if self._resampler is not None:
            yield from map(_block, self._resampler.resample(None))


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
    problem: str | None = None
    _gatherer: _Gatherer = field(default_factory=_Gatherer, repr=False)

    def blocks(self) -> Iterator[Block]:
        """Decode the recording, block by block, in constant memory."""
        try:
            with av.open(
                self.file,
                format=self.container.demuxer,
                options=_DEMUXER_OPTIONS.get(self.container.name, {}),
                metadata_errors="replace",
                buffer_size=_IO_BUFFER_BYTES,
            ) as opened:
                yield from self._decoded(cast("InputContainer", opened))
        except _UndecodableError as error:
            self.problem = str(error)
        except av.error.InvalidDataError as error:
            self.problem = f"it cannot be decoded: it is damaged or incomplete ({error.strerror})"
        except av.error.FFmpegError as error:
            self.problem = f"it cannot be decoded ({error.strerror})"
        # Whatever broken bytes make a decoder raise is a fact about the recording.
        except Exception as error:  # noqa: BLE001
            self.problem = f"it cannot be decoded ({type(error).__name__}: {error})"

    def _decoded(self, opened: InputContainer) -> Iterator[Block]:
        self.has_video = any(
            not stream.disposition & Disposition.attached_pic for stream in opened.streams.video
        )
        if not opened.streams.audio:
            raise _UndecodableError("it holds no audio")
        stream = opened.streams.audio[0]
        # Typed as always there, but missing where FFmpeg has no decoder for the stream.
        context = cast("AudioCodecContext | None", stream.codec_context)
        if context is None:
            raise _UndecodableError("its audio is in a codec that is not known here")
        context.thread_count = 1
        self.codec = context.codec.canonical_name
        tick_s = float(stream.time_base or 0)
        for packet in opened.demux(stream):
            if self.duration_s <= DECODED_AT_MOST_S:
                yield from self._frames_of(context, packet)
            else:
                self.duration_s += (packet.duration or 0) * tick_s
        yield from self._gatherer.flush()

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
                raise _UndecodableError(f"it claims a sample rate of {frame.sample_rate} Hz")
            self.duration_s += frame.samples / frame.sample_rate
            self.sample_rate_hz = self.sample_rate_hz or frame.sample_rate
            self.channels = self.channels or frame.layout.nb_channels
            yield from self._gatherer.add(frame)


def _block(frame: AudioFrame) -> Block:
    # Interleaved, because PyAV 18.1 crashes the process on planar frames of eight channels or more.
    interleaved = cast("NDArray[np.float32]", frame.to_ndarray())
    samples = interleaved.reshape(-1, frame.layout.nb_channels).T
    return Block(np.ascontiguousarray(samples), frame.sample_rate)
