"""Real speech from the demo cohort, and ways to write it as what recorders and phones write."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RECORDINGS = Path(__file__).parents[2] / "datasets" / "demo_cohort" / "recordings"

# Container and codec as FFmpeg names them when writing, and the sample rate that they take.
WAYS = {
    "wav/pcm": ("wav", "pcm_s16le", 16_000),
    "flac": ("flac", "flac", 16_000),
    "mp3": ("mp3", "libmp3lame", 16_000),
    "mp4/aac": ("mp4", "aac", 16_000),
    "ogg/opus": ("ogg", "libopus", 48_000),
    "ogg/vorbis": ("ogg", "vorbis", 16_000),
    "webm/opus": ("webm", "libopus", 48_000),
}


@dataclass(frozen=True)
class Sound:
    """Samples of shape (channels, samples), full scale is 1."""

    samples: NDArray[np.float32]
    rate: int

    def first(self, seconds: float) -> "Sound":
        return Sound(self.samples[:, : int(seconds * self.rate)], self.rate)


def encode(
    sound: Sound, container: str, codec: str, rate: int | None = None, **options: str
) -> bytes:
    """Write a sound as a file in memory."""
    file = io.BytesIO()
    channels = sound.samples.shape[0]
    layout = {1: "mono", 2: "stereo"}.get(channels, f"{channels}c")
    # FFmpeg's own Vorbis encoder, the one in PyAV's wheels, takes stereo only and calls itself
    # experimental.
    written = "stereo" if codec == "vorbis" else layout
    own = {"strict": "experimental"} if codec == "vorbis" else {}
    with av.open(file, "w", format=container, options=options) as opened:
        stream = opened.add_stream(codec, rate=rate or sound.rate, options=own, layout=written)
        interleaved = np.ascontiguousarray(sound.samples.T.reshape(1, -1), dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
        frame.sample_rate = sound.rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            opened.mux(packet)
    return file.getvalue()


def wav(
    sound: Sound, *, dtype: str = "<i2", size: int | None = None, rate: int | None = None
) -> bytes:
    """Write a WAV file by hand, so that its header can lie."""
    samples = sound.samples.T
    data = (samples * 32767 if dtype == "<i2" else samples).astype(dtype).tobytes()
    width, channels = np.dtype(dtype).itemsize, sound.samples.shape[0]
    tag = 3 if dtype == "<f4" else 1
    stated = len(data) if size is None else size
    rate = sound.rate if rate is None else rate
    per_s = rate * channels * width % 2**32
    form = struct.pack("<HHIIHH", tag, channels, rate, per_s, channels * width, width * 8)
    riff = min(stated + 36, 2**32 - 1) if stated else 0
    head = b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + b"data" + struct.pack("<I", stated) + data


def demo_speech() -> Sound:
    """Read 17 seconds of speech from the demo cohort, mono at 16 kHz."""
    with av.open(RECORDINGS / "007_visit1.flac") as opened:
        frames = [frame.to_ndarray() for frame in opened.decode(audio=0)]
        rate = opened.streams.audio[0].rate
    samples = np.concatenate(frames, axis=1).astype(np.float32) / 32768
    return Sound(samples[:1], rate)


def sphere(sound: Sound) -> bytes:
    """Write NIST SPHERE, as in corpora of speech."""
    lines = [
        "NIST_1A",
        "   1024",
        "channel_count -i 1",
        f"sample_count -i {sound.samples.size}",
        f"sample_rate -i {sound.rate}",
        "sample_n_bytes -i 2",
        "sample_byte_format -s2 01",
        "end_head",
    ]
    header = "\n".join(lines).encode().ljust(1024)
    return header + (sound.samples[0] * 32767).astype("<i2").tobytes()


def with_spatial_track(sound: Sound, place: int) -> bytes:
    """Write QuickTime with two tracks, one of them in Apple's codec of spatial sound (0: the first)."""
    file = io.BytesIO()
    with av.open(file, "w", format="mov") as opened:
        streams = [opened.add_stream("aac", rate=sound.rate, layout="mono") for _ in range(2)]
        for stream in streams:
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound.samples), format="flt", layout="mono"
            )
            frame.sample_rate = sound.rate
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                opened.mux(packet)
    before, *tracks = file.getvalue().split(b"stsd")
    tracks[place] = tracks[place].replace(b"mp4a", b"apac").replace(b"esds", b"free")
    return b"stsd".join([before, *tracks])


def trimmed(m4a: bytes, *, from_s: float, played_s: float, rate: int = 16_000) -> bytes:
    """Let the edit list of an M4A play a part only, as trimming does."""
    # After type, version, flags and the number of entries: milliseconds, and the first sample.
    at = m4a.index(b"elst") + 12
    entry = struct.pack(">Ii", round(played_s * 1000), round(from_s * rate))
    return m4a[:at] + entry + m4a[at + 8 :]
