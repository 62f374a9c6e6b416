"""The part of an explorer that shows one recording, and walks from one to the next."""

from collections.abc import Callable

import ipywidgets

from helios_research.analysis.prepared import Codes
from helios_research.errors import ResultsError
from helios_research.widgets.base.controls import BoundedIntText, Button
from helios_research.widgets.base.panel import Guard, markup
from helios_research.widgets.explorer.detail import Details, player_html
from helios_research.widgets.explorer.source import Source

_CHOOSE = '<p class="helios-muted">Choose a recording by its number in the table above.</p>'
_COMPARING = '<p class="helios-muted" role="status">Working out everyone\'s baselines …</p>'


class RecordingPart:
    """One recording in detail, with previous and next in the order of the table."""

    def __init__(
        self,
        source: Source,
        guard: Guard,
        order: Callable[[], Codes],
        mark: Callable[[int | None], None],
    ) -> None:
        self._source = source
        self._details = Details(source)
        self._order = order
        self._mark = mark
        self._rows: Codes | None = None
        self._is_setting = False
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
        self.number.observe(guard(lambda change: self._typed(change["new"])), "value")
        self.content = markup(_CHOOSE)
        self.audio = markup()
        walk = ipywidgets.HBox([self.number, self.previous, self.next])
        walk.layout.flex_flow = "row wrap"
        head = markup("<h2>One recording</h2>")
        self.widget = ipywidgets.VBox([head, walk, self.audio, self.content])

    def select_from(self, rows: Codes) -> None:
        """Let another selection be walked through; what is shown stays if it is in it."""
        self._rows = rows
        place = None if self.position is None else self._place_of(self.position)
        self._is_setting = True
        try:
            self.number.max = len(rows)
            self.number.value = 0 if place is None else place + 1
        finally:
            self._is_setting = False
        if place is None:
            self._show_nothing()
        else:
            self._mark(place)
        self._mark_ends()

    def show(self, place: int) -> None:
        """Show a recording."""
        rows = self._rows
        if rows is None or not 0 <= place < len(rows):
            message = f"There is no recording number {place + 1} in the selection."
            raise ResultsError(message)
        self.position = int(rows[place])
        self._is_setting = True
        try:
            self.number.value = place + 1
        finally:
            self._is_setting = False
        self._mark(place)
        self._mark_ends()
        self.audio.add_class("helios-audio")
        if not self._details.is_ready:
            self.content.value = _COMPARING
        self.content.value = self._details.html(self.position)
        located = self._source.locations
        location = None if located is None else located.iloc[self.position]
        self.audio.value = player_html(location, self._source.folder)

    def _typed(self, number: int) -> None:
        if self._is_setting:
            return
        if number == 0:
            self._show_nothing()
            self._mark(None)
            self._mark_ends()
        else:
            self.show(number - 1)

    def _step(self, by: int) -> None:
        order = self._order()
        if not len(order):
            return
        here = self._here(order)
        there = (0 if by > 0 else len(order) - 1) if here is None else here + by
        if 0 <= there < len(order):
            self.show(int(order[there]))

    def _here(self, order: Codes) -> int | None:
        place = None if self.position is None else self._place_of(self.position)
        if place is None:
            return None
        return int((order == place).argmax())

    def _place_of(self, position: int) -> int | None:
        rows = self._rows
        if rows is None or not len(rows):
            return None
        place = int(rows.searchsorted(position))
        return place if place < len(rows) and rows[place] == position else None

    def _mark_ends(self) -> None:
        order = self._order()
        here = self._here(order) if len(order) else None
        self.previous.disabled = not len(order) or here == 0
        self.next.disabled = not len(order) or here == len(order) - 1

    def _show_nothing(self) -> None:
        self.position = None
        self.content.value = _CHOOSE
        self.audio.value = ""
        self.audio.remove_class("helios-audio")
