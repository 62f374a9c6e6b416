"""One recording of an explorer: walking from one to the next, its details, and listening to it."""

import base64
import io
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import av
import ipywidgets
import numpy as np

from helios_research.analysis.prepared import Codes, Flags
from helios_research.errors import ResultsError
from helios_research.recording.decoding import sniff
from helios_research.recording.source import is_remote
from helios_research.widgets.base import ControlGroup, Guard, button, control, markup
from helios_research.widgets.base.table import PagedTable
from helios_research.widgets.explorer.detail import Details
from helios_research.widgets.explorer.source import ResultsSource

if TYPE_CHECKING:
    from av import AudioFrame

_CHOOSE = '<p class="helios-muted">Click a row of the table, or type its number.</p>'

# A Jupyter server drops messages beyond 1 MB a second, over 3 seconds (its default
# iopub_data_rate_limit); text in base64 is a third longer than the bytes.
LARGEST_BYTES = 2_000_000
# Helios accepts no longer recordings.
LONGEST_S = 180
_OPUS_HZ = 16_000
_BITS_PER_S = 32_000
_WAVE_HZ, _WAVE_BARS = 4_000, 240


class RecordingPart(ControlGroup):
    """One recording in detail, with previous and next in the order of the table.

    ``position`` is the row of the results that is shown, from 0, or None.
    """

    def __init__(self, source: ResultsSource, guard: Guard, table: PagedTable) -> None:
        super().__init__()
        self._source = source
        self._details = Details(source)
        self._table = table
        self._rows: Codes = np.arange(0)
        self.position: int | None = None
        look = {"width": "11em", "label_width": "7em"}
        self.number = control(ipywidgets.Text, "Recording no.", **look)
        tip = "Show the {} recording of the table"
        back, on = (tip.format(which) for which in ("previous", "next"))
        self.previous = button(guard, "Previous", lambda: self._step(-1), tooltip=back)
        self.next = button(guard, "Next", lambda: self._step(1), tooltip=on)
        self._follow(guard, self.number, self._typed)
        self.why, self.audio, self.content = markup(_CHOOSE), markup(), markup()
        walk = ipywidgets.HBox([self.number, self.previous, self.next])
        walk.layout.flex_flow = "row wrap"
        self.widget = ipywidgets.VBox([walk, self.why, self.audio, self.content])

    def select_from(self, rows: Codes) -> None:
        """Walk through other rows of the results; the recording shown stays if it is among them."""
        self._rows = rows
        place = _first(rows == self.position)
        with self._setting():
            self.number.value = "" if place is None else str(place + 1)
        if place is None:
            self._show_nothing()
        else:
            self._table.mark(place)
        self._mark_ends()

    def show(self, place: int) -> None:
        """Show the recording at a place of the selection, from 0."""
        if not 0 <= place < len(self._rows):
            message = f"There is no recording no. {place + 1}: choose 1 to {len(self._rows):,}."
            raise ResultsError(message)
        self.position = int(self._rows[place])
        with self._setting():
            self.number.value = str(place + 1)
        self._table.mark(place)
        self._mark_ends()
        self.why.value = self._details.why_html(self.position)
        located = self._source.locations
        location = None if located is None else located.iloc[self.position]
        self.audio.value = player_html(location, self._source.folder)
        self.content.value = self._details.html(self.position)

    def _typed(self) -> None:
        typed = self.number.value.strip().replace(",", "")
        if typed:
            self.show(int(typed) - 1 if typed.isdecimal() else -1)
        else:
            self._show_nothing()
            self._table.mark(None)
            self._mark_ends()

    def _step(self, by: int) -> None:
        order, here = self._table.order, self._here()
        there = (0 if by > 0 else len(order) - 1) if here is None else here + by
        if 0 <= there < len(order):
            self.show(int(order[there]))

    def _here(self) -> int | None:
        place = _first(self._rows == self.position)
        return None if place is None else _first(self._table.order == place)

    def _mark_ends(self) -> None:
        order, here = self._table.order, self._here()
        self.previous.disabled = not len(order) or here == 0
        self.next.disabled = not len(order) or here == len(order) - 1

    def _show_nothing(self) -> None:
        self.position = None
        self.why.value, self.audio.value, self.content.value = _CHOOSE, "", ""


def _first(marks: Flags) -> int | None:
    """Find the first place that is marked; None where no place is."""
    return int(marks.argmax()) if marks.any() else None


# --- listening: files on this machine only, compressed where they are large -----------------------


def player_html(location: object, folder: Path) -> str:
    """Make a player for a recording whose file is on this machine; a sentence where it is not."""
    if not isinstance(location, str) or not location.strip():
        return ""
    if is_remote(location):
        return _sentence("The recording is not on this machine, so it is not played here.")
    path = _found(location, folder)
    if path is None:
        return _sentence(
            f"The audio file {location} was not found in {folder}, so it cannot be played here: "
            'give its folder, as in Explorer(results, recordings="folder").'
        )
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
        content, note = path.read_bytes(), ""
    else:
        content = compressed(path)
        note = _sentence(
            f"Compressed for listening here, at most {LONGEST_S // 60} minutes; the file itself is "
            f"{path}."
        )
    container = sniff(io.BytesIO(content))
    kind = (container and container.media_type) or "audio/wav"
    data = base64.b64encode(content).decode("ascii")
    return (
        f'{_waveform_html(content)}<audio controls preload="metadata" '
        f'aria-label="Recording {escape(name)}" src="data:{kind};base64,{data}"></audio>{note}'
    )


def _waveform_html(content: bytes) -> str:
    """Draw how loud a recording is over its time; nothing where it cannot be decoded."""
    try:
        samples = [frame.to_ndarray()[0] for frame in _resampled(io.BytesIO(content), _WAVE_HZ)]
    except av.error.FFmpegError:
        return ""
    if not samples:
        return ""
    parts = np.array_split(np.abs(np.concatenate(samples).astype(np.float64)), _WAVE_BARS)
    peaks = np.array([part.max(initial=0) for part in parts])
    heights = (10 * peaks / max(1.0, peaks.max())).round(1)
    bars = "".join(f"M{place} {-high}V{high}" for place, high in enumerate(heights.tolist()))
    return (
        f'<svg class="helios-wave" viewBox="-1 -11 {_WAVE_BARS + 1} 22" role="img" '
        f'preserveAspectRatio="none" aria-label="Waveform"><path d="{bars}"/></svg>'
    )


def compressed(path: Path) -> bytes:
    """Make a recording small enough to send to the browser."""
    small = io.BytesIO()
    with av.open(small, "w", format="ogg") as target:
        # The quickest setting: speech sounds the same, and a click should not take seconds.
        quick = {"compression_level": "0"}
        stream = target.add_stream("libopus", rate=_OPUS_HZ, layout="mono", options=quick)
        stream.bit_rate = _BITS_PER_S
        for frame in _resampled(str(path), _OPUS_HZ):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return small.getvalue()


def _resampled(recording: str | io.BytesIO, rate_hz: int) -> Iterator["AudioFrame"]:
    """Decode as much of a recording as Helios accepts, in one channel."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
    with av.open(recording, "r") as source:
        for frame in source.decode(audio=0):
            if frame.time is not None and frame.time > LONGEST_S:
                break
            yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _sentence(text: str) -> str:
    return f'<p class="helios-muted">{escape(text)}</p>'
