"""Real speech from the demo cohort, and a way to write it in any format."""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
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


@pytest.fixture(scope="session")
def speech() -> Sound:
    """17 seconds of speech from the demo cohort, mono at 16 kHz."""
    with av.open(RECORDINGS / "007_visit1.flac") as opened:
        frames = [frame.to_ndarray() for frame in opened.decode(audio=0)]
        rate = opened.streams.audio[0].rate
    samples = np.concatenate(frames, axis=1).astype(np.float32) / 32768
    return Sound(samples[:1], rate)


@pytest.fixture(scope="session")
def files(speech: Sound) -> dict[str, bytes]:
    """Write the same speech in each format that Helios takes, by ``audio_format``."""
    return {
        name: encode(speech, container, codec, rate)
        for name, (container, codec, rate) in WAYS.items()
    }


@pytest.fixture(scope="session")
def encoder() -> Callable[..., bytes]:
    return encode


@pytest.fixture(scope="session")
def wav_writer() -> Callable[..., bytes]:
    return wav


@pytest.fixture(scope="session")
def sound_type() -> type[Sound]:
    return Sound
