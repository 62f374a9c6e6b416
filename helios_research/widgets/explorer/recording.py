"""One recording of an explorer: walking from one to the next, its details, and listening to it."""

import base64
import io
from collections.abc import Callable
from html import escape
from pathlib import Path

import av
import ipywidgets
import numpy as np

from helios_research.analysis.prepared import Codes, Flags
from helios_research.errors import ResultsError
from helios_research.recording.decoding import sniff
from helios_research.widgets.base import BoundedIntText, Button, ControlGroup, Guard, markup
from helios_research.widgets.explorer.detail import Details
from helios_research.widgets.explorer.source import ResultsSource

_CHOOSE = '<p class="helios-muted">Choose a recording by its number in the table above.</p>'
_COMPARING = (
    '<p class="helios-muted" role="status">Computing the baselines of all participants …</p>'
)

# A Jupyter server drops messages beyond 1 MB a second, over 3 seconds (its default
# iopub_data_rate_limit); text in base64 is a third longer than the bytes.
LARGEST_BYTES = 2_000_000
# Helios accepts no longer recordings.
LONGEST_S = 180
_OPUS_HZ = 16_000
_BITS_PER_S = 32_000


class RecordingPart(ControlGroup):
    """One recording in detail, with previous and next in the order of the table.

    ``order`` gives that order as places in the selection, from 0; ``mark`` is called with the
    place shown, or None. ``position`` is the row of the results that is shown, from 0, or None.
    """

    def __init__(
        self,
        source: ResultsSource,
        guard: Guard,
        order: Callable[[], Codes],
        mark: Callable[[int | None], None],
    ) -> None:
        super().__init__()
        self._source = source
        self._details = Details(source)
        self._order = order
        self._mark = mark
        self._rows: Codes = np.arange(0)
        self.position: int | None = None
        narrow = ipywidgets.Layout(width="auto")
        self.number = BoundedIntText(
            description="Recording no.",
            min=0,
            max=0,
            style={"description_width": "7.5em"},
            layout=ipywidgets.Layout(width="14em"),
        )
        self.previous = Button(description="Previous recording", layout=narrow)
        self.next = Button(description="Next recording", layout=narrow)
        self.previous.on_click(guard(lambda _: self._step(-1)))
        self.next.on_click(guard(lambda _: self._step(1)))
        self._follow(guard, self.number, self._typed)
        self.content = markup(_CHOOSE)
        self.audio = markup()
        walk = ipywidgets.HBox([self.number, self.previous, self.next])
        walk.layout.flex_flow = "row wrap"
        head = markup("<h2>One recording</h2>")
        self.widget = ipywidgets.VBox([head, walk, self.audio, self.content])

    def select_from(self, rows: Codes) -> None:
        """Walk through other rows of the results; the recording shown stays if it is among them."""
        self._rows = rows
        place = _first(rows == self.position)
        with self._setting():
            self.number.max = len(rows)
            self.number.value = 0 if place is None else place + 1
        if place is None:
            self._show_nothing()
        else:
            self._mark(place)
        self._mark_ends()

    def show(self, place: int) -> None:
        """Show the recording at a place of the selection, from 0."""
        if not 0 <= place < len(self._rows):
            message = f"There is no recording number {place + 1} in the selection."
            raise ResultsError(message)
        self.position = int(self._rows[place])
        with self._setting():
            self.number.value = place + 1
        self._mark(place)
        self._mark_ends()
        self.audio.add_class("helios-audio")
        if not self._details.is_ready:
            self.content.value = _COMPARING
        self.content.value = self._details.html(self.position)
        located = self._source.locations
        location = None if located is None else located.iloc[self.position]
        self.audio.value = player_html(location, self._source.folder)

    def _typed(self) -> None:
        number = self.number.value
        if number == 0:
            self._show_nothing()
            self._mark(None)
            self._mark_ends()
        else:
            self.show(number - 1)

    def _step(self, by: int) -> None:
        order = self._order()
        here = self._here(order)
        there = (0 if by > 0 else len(order) - 1) if here is None else here + by
        if 0 <= there < len(order):
            self.show(int(order[there]))

    def _here(self, order: Codes) -> int | None:
        place = _first(self._rows == self.position)
        return None if place is None else _first(order == place)

    def _mark_ends(self) -> None:
        order = self._order()
        here = self._here(order)
        self.previous.disabled = not len(order) or here == 0
        self.next.disabled = not len(order) or here == len(order) - 1

    def _show_nothing(self) -> None:
        self.position = None
        self.content.value = _CHOOSE
        self.audio.value = ""
        self.audio.remove_class("helios-audio")


def _first(marks: Flags) -> int | None:
    """Find the first place that is marked; None where no place is."""
    return int(marks.argmax()) if marks.any() else None


# --- listening: files on this machine only, compressed where they are large -----------------------


def player_html(location: object, folder: Path) -> str:
    """Make a player for a recording whose file is on this machine; a sentence where it is not."""
    if not isinstance(location, str) or not location.strip():
        return ""
    if "://" in location:
        return _sentence("The recording is not on this machine, so it is not played here.")
    path = _found(location, folder)
    if path is None:
        return _sentence("The audio file was not found, so it cannot be played here.")
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
        f'<audio controls preload="metadata" aria-label="Recording {escape(name)}" '
        f'src="data:{kind};base64,{data}"></audio>{note}'
    )


def compressed(path: Path) -> bytes:
    """Make a recording small enough to send to the browser."""
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
