"""From a container's bytes to blocks of samples, with FFmpeg's decoders through PyAV."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import av
import numpy as np
from av.audio import AudioStream
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from helios_research.recording.container import Container

DECODED_AT_MOST_S = 181.0
"""Decoding stops here, one second past the longest recording that Helios takes (3 minutes)."""

# Asking the decoder for large blocks makes the whole pass twice as fast as frame by frame (measured).
_BLOCK_SAMPLES = 65_536
_IO_BUFFER_BYTES = 262_144
# Without it a WAV file comes in packets of 4 kB, which makes a long one slow to count through.
_DEMUXER_OPTIONS = {"wav": {"max_size": "262144"}}


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive samples.

    Attributes
    ----------
    samples
        32-bit floats, full scale is 1, of shape (channels, samples).
    sample_rate_hz
        Sample rate in Hz.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int


@dataclass(slots=True)
class Decoding:
    """One pass over a recording; its attributes fill while ``blocks`` is consumed.

    Attributes
    ----------
    file
        The recording, seekable.
    container
        Its container, as told from its bytes; a demuxer is never guessed, so that a text file
        cannot be taken for a playlist that names other files.
    codec
        FFmpeg's name of the codec.
    duration_s
        Seconds decoded, and beyond ``DECODED_AT_MOST_S`` the seconds in the packets that follow.
    sample_rate_hz
        Sample rate in Hz of the first audio stream.
    channels
        Channels of the first audio stream.
    damaged_packets
        Packets that the decoder refused.
    has_video
        True when there are moving pictures, too.
    problem
        Why nothing (more) could be decoded; None when all went well.
    """

    file: BinaryIO
    container: Container
    codec: str | None = None
    duration_s: float = 0.0
    sample_rate_hz: int | None = None
    channels: int | None = None
    damaged_packets: int = 0
    has_video: bool = False
    problem: str | None = None
    _resampler: AudioResampler | None = field(default=None, repr=False)
    _shape: tuple[str, str, int] | None = field(default=None, repr=False)

    def blocks(self) -> Iterator[Block]:
        """Decode the recording, block by block, in constant memory.

        Yields
        ------
        Block
            The next samples, up to ``DECODED_AT_MOST_S`` in all.
        """
        try:
            yield from self._decoded()
        # Whatever broken bytes make a decoder raise is a fact about the recording.
        except Exception as error:  # noqa: BLE001
            self.problem = f"{type(error).__name__}: {error}"

    def _decoded(self) -> Iterator[Block]:
        with av.open(
            self.file,
            format=self.container.demuxer,
            options=_DEMUXER_OPTIONS.get(self.container.name, {}),
            metadata_errors="replace",
            buffer_size=_IO_BUFFER_BYTES,
        ) as opened:
            self.has_video = any(
                not stream.disposition & av.stream.Disposition.attached_pic
                for stream in opened.streams.video
            )
            if not opened.streams.audio:
                self.problem = "it holds no audio stream"
                return
            stream = opened.streams.audio[0]
            stream.codec_context.thread_count = 1
            self.codec = stream.codec_context.codec.canonical_name
            for packet in opened.demux(stream):
                if self.duration_s <= DECODED_AT_MOST_S:
                    yield from self._decode(stream, packet)
                elif packet.duration and packet.time_base:
                    self.duration_s += float(packet.duration * packet.time_base)
            yield from self._resampled(None)

    def _decode(self, stream: AudioStream, packet: av.Packet) -> Iterator[Block]:
        try:
            frames = stream.decode(packet)
        except av.error.InvalidDataError:
            self.damaged_packets += 1
            return
        for frame in frames:
            if not frame.samples or not frame.sample_rate:
                continue
            self.duration_s += frame.samples / frame.sample_rate
            yield from self._resampled(frame)

    def _resampled(self, frame: av.AudioFrame | None) -> Iterator[Block]:
        """Gather frames to large blocks of floats; None flushes what was gathered."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate) if frame else None
        if self._resampler and shape != self._shape:
            # Chained Ogg files may change rate and channels half-way.
            yield from map(_block, self._resampler.resample(None))
            self._resampler = None
        if frame is None:
            return
        if self._resampler is None:
            self._resampler = AudioResampler(
                "fltp", frame.layout, frame.sample_rate, frame_size=_BLOCK_SAMPLES
            )
            self._shape = shape
            self.sample_rate_hz = self.sample_rate_hz or frame.sample_rate
            self.channels = self.channels or len(frame.layout.channels)
        frame.pts = None
        yield from map(_block, self._resampler.resample(frame))


def _block(frame: av.AudioFrame) -> Block:
    return Block(frame.to_ndarray(), frame.sample_rate)
