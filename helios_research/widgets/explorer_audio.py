"""Listening to a recording: only files of this machine, compressed where they are large."""

import base64
import io
from html import escape
from pathlib import Path

import av

# A Jupyter server drops messages beyond 1 MB a second, over 3 seconds (its default
# iopub_data_rate_limit); text in base64 is a third longer than the bytes.
LARGEST_BYTES = 2_000_000
# Helios takes no longer recordings.
LONGEST_S = 180
_OPUS_HZ = 16_000
_BITS_PER_S = 32_000

_MEDIA_TYPES = {
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".mp4": "audio/mp4",
    ".m4a": "audio/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".webm": "audio/webm",
    ".wav": "audio/wav",
}


def player_html(location: object, folder: Path) -> str:
    """Make a player for a recording, where its file is at hand."""
    if not isinstance(location, str) or not location.strip():
        return ""
    if "://" in location:
        return _sentence("The recording is not on this machine, so it is not played here.")
    path = _found(location, folder)
    if path is None:
        return _sentence("The audio file is not at hand, so it cannot be played here.")
    try:
        return _audio_html(path, location)
    except (OSError, av.error.FFmpegError) as error:
        return _sentence(f"The audio file cannot be played: {error.strerror or error}.")


def _found(name: str, folder: Path) -> Path | None:
    for path in (Path(name).expanduser(), folder / name):
        try:
            if path.is_file():
                return path
        except (OSError, ValueError):  # a name that no file can have
            continue
    return None


def _audio_html(path: Path, name: str) -> str:
    if path.stat().st_size <= LARGEST_BYTES:
        content, kind = path.read_bytes(), _MEDIA_TYPES.get(path.suffix.lower(), "audio/wav")
        note = ""
    else:
        content, kind = compressed(path), "audio/ogg"
        note = _sentence(
            f"Compressed for listening here, at most {LONGEST_S // 60} minutes; the file itself is "
            f"{path}."
        )
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<audio controls preload="metadata" aria-label="Recording {escape(name)}" '
        f'src="data:{kind};base64,{data}"></audio>{note}'
    )


def compressed(path: Path) -> bytes:
    """Make a recording small enough to travel to the browser."""
    small = io.BytesIO()
    resampler = av.AudioResampler(format="s16", layout="mono", rate=_OPUS_HZ)
    with av.open(str(path)) as source, av.open(small, "w", format="ogg") as target:
        # The quickest setting: speech sounds the same, and a click should not take seconds.
        quick = {"compression_level": "0"}
        stream = target.add_stream("libopus", rate=_OPUS_HZ, layout="mono", options=quick)
        stream.bit_rate = _BITS_PER_S
        for frame in source.decode(audio=0):
            if frame.time is not None and frame.time > LONGEST_S:
                break
            for resampled in resampler.resample(frame):
                target.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            target.mux(stream.encode(resampled))
        target.mux(stream.encode(None))
    return small.getvalue()


def _sentence(text: str) -> str:
    return f'<p class="helios-muted">{escape(text)}</p>'
