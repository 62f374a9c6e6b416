"""Listening to a recording: only files of this machine, and only what a browser takes at once."""

import base64
from html import escape
from pathlib import Path

# A Jupyter server drops messages beyond 1 MB a second, over 3 seconds (its default
# iopub_data_rate_limit); text in base64 is a third longer than the bytes.
LARGEST_BYTES = 2_000_000

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
    """Make a player for a recording, where its file is at hand.

    Parameters
    ----------
    location
        Its path or URL, as the results have it.
    folder
        Where relative paths start, beside the working directory.

    Returns
    -------
    str
        An audio player, which starts nothing by itself and repeats nothing, or a sentence that
        says why there is none; empty where the results name no file.
    """
    if not isinstance(location, str) or not location.strip():
        return ""
    if "://" in location:
        return _sentence("The recording is not on this machine, so it is not played here.")
    path = _found(location, folder)
    if path is None:
        return _sentence("The audio file is not at hand, so it cannot be played here.")
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        return _sentence(
            f"The audio file has {size / 1e6:,.1f} MB, too much for a notebook: open {path} with "
            "another player."
        )
    return _audio_html(path, location)


def _found(name: str, folder: Path) -> Path | None:
    for path in (Path(name).expanduser(), folder / name):
        try:
            if path.is_file():
                return path
        except (OSError, ValueError):  # a name that no file can have
            continue
    return None


def _audio_html(path: Path, name: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        return _sentence(f"The audio file cannot be read: {error.strerror or error}.")
    kind = _MEDIA_TYPES.get(path.suffix.lower(), "audio/wav")
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<audio controls preload="metadata" aria-label="Recording {escape(name)}" '
        f'src="data:{kind};base64,{data}"></audio>'
    )


def _sentence(text: str) -> str:
    return f'<p class="helios-muted">{escape(text)}</p>'
