"""The controls of an explorer: rows of chips, and the choice of recordings and of a figure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import ipywidgets
import numpy as np

from helios_research._util.text import natural_key
from helios_research.analysis.prepared import Flags, Floats
from helios_research.errors import ResultsError
from helios_research.widgets.base import (
    BoundedFloatText,
    Button,
    Combobox,
    ControlGroup,
    DatePicker,
    Dropdown,
    Guard,
    SelectMultiple,
    markup,
    shortened,
)
from helios_research.widgets.explorer.figure import FORMATS, FigureKind, FigureView
from helios_research.widgets.explorer.selection import (
    MISSING_WORDS,
    Condition,
    DayBetween,
    ExplorerState,
    OneOf,
    ScoreBetween,
)
from helios_research.widgets.explorer.source import counts_of, label_of

_LONGEST_CHIP = 44
# More suggestions than anyone reads only slow the browser; any label can still be typed.
_MOST_SUGGESTED = 1_000
_LONGEST_OPTION = 32
_BINS = 20
_NO_COLOUR = "one colour"
_WIDE = {"description_width": "6.2em"}

# Of every score; a filter of it would be no filter.
_WHOLE_RANGE = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Chip:
    """A small button, with a longer tip."""

    words: str
    tip: str
    is_on: bool = False


class ChipRow:
    """A label and chips that can be clicked: ``act`` gets the place of the chip, from 0."""

    def __init__(self, guard: Guard, act: Callable[[int], None]) -> None:
        self._guard = guard
        self._act = act
        self._buttons: list[Button] = []
        self._label = ipywidgets.Label()
        self.widget = ipywidgets.HBox([self._label])
        self.widget.add_class("helios-chips")

    def show(self, label: str, chips: Sequence[Chip]) -> None:
        """Show other chips; buttons that are too many stay, hidden, to be used again."""
        self._label.value = label
        for place in range(len(self._buttons), len(chips)):
            button = Button(layout=ipywidgets.Layout(width="auto"))
            button.add_class("helios-chip")
            button.on_click(self._guard(lambda _, place=place: self._act(place)))
            self._buttons.append(button)
        self.widget.children = (self._label, *self._buttons)
        for place, button in enumerate(self._buttons):
            button.layout.display = "" if place < len(chips) else "none"
        for button, chip in zip(self._buttons, chips, strict=False):
            button.description, button.tooltip = shortened(chip.words, _LONGEST_CHIP), chip.tip
            (button.add_class if chip.is_on else button.remove_class)("helios-chip-on")


class FilterPanel(ControlGroup):
    """Controls that choose recordings."""

    def __init__(
        self,
        state: ExplorerState,
        guard: Guard,
        set_filter: Callable[[str, Condition | None], None],
    ) -> None:
        super().__init__()
        self._state = state
        self._set_filter = set_filter
        self._make()
        for control, act in (
            (self.column, self._offer_values),
            (self.levels, self._choose_values),
            (self.participant, self._add_participants),
            (self.first_day, self._choose_days),
            (self.last_day, self._choose_days),
            (self.score, self._offer_range),
            (self.low, self._choose_range),
            (self.high, self._choose_range),
        ):
            self._follow(guard, control, act)
        self.show(state)

    def _make(self) -> None:
        source, full = self._state.source, ipywidgets.Layout(width="auto")
        look = {"style": _WIDE, "layout": full}
        self.column = Dropdown(description="Filter by", options=source.tags, **look)
        self.levels = SelectMultiple(
            description="Values", rows=5, tooltip="Hold Ctrl to choose several", **look
        )
        labels = sorted(map(str, source.table["user_label"].dropna().unique()), key=natural_key)
        self._labels = frozenset(labels)
        self.participant = Combobox(
            description="Participant",
            options=labels[:_MOST_SUGGESTED],
            placeholder="P001, P002",
            continuous_update=False,
            **look,
        )
        self.first_day = DatePicker(description="From day", **look)
        self.last_day = DatePicker(description="To day", **look)
        options = [(label_of(name), name) for name in source.biomarkers]
        self.score = Dropdown(description="Score", options=options, **look)
        limits = dict(zip(("min", "max"), _WHOLE_RANGE, strict=True)) | {"step": 0.05} | look
        self.low = BoundedFloatText(description="At least", **limits)
        self.high = BoundedFloatText(description="At most", value=_WHOLE_RANGE[1], **limits)
        self._histogram = markup()
        days = [self.first_day, self.last_day] if source.day_column else []
        scores = [self.score, self._histogram, self.low, self.high]
        parts = [self.column, self.levels, self.participant, *days, *scores]
        self.widget = ipywidgets.VBox([markup("<h2>Choose recordings</h2>"), *parts])
        self.widget.add_class("helios-filters")

    def show(self, state: ExplorerState) -> None:
        """Let the controls show which filters are on, and the histogram which rows they leave."""
        self._state = state
        with self._setting():
            self._offer_values()
            self._offer_range()
            days = state.filters.get(state.source.day_column or "")
            between = days if isinstance(days, DayBetween) else DayBetween("", None, None)
            self.first_day.value, self.last_day.value = between.first, between.last

    def _offer_values(self) -> None:
        column = self.column.value
        counts = counts_of(self._state.source.table[column])
        options = [(_option(value, count), value) for value, count in counts]
        chosen = self._state.filters.get(column)
        values = chosen.values if isinstance(chosen, OneOf) else ()
        with self._setting():
            if self.levels.options != tuple(options):
                self.levels.options = options
            self.levels.value = tuple(value for value in values if value in dict(counts))

    def _choose_values(self) -> None:
        column, values = self.column.value, tuple(self.levels.value)
        self._set_filter(column, OneOf(column, values) if values else None)

    def _add_participants(self) -> None:
        typed = [label.strip() for label in self.participant.value.split(",") if label.strip()]
        # A label may have a comma in it.
        whole = self.participant.value.strip()
        wanted = [whole] if whole in self._labels else typed
        unknown = [label for label in wanted if label not in self._labels]
        if unknown:
            message = (
                f"No participant is called {unknown[0]!r}: choose from the list, or type a label "
                "exactly as it is in the results."
            )
            raise ResultsError(message)
        before = self._state.filters.get("user_label")
        known = before.values if isinstance(before, OneOf) else ()
        with self._setting():
            self.participant.value = ""
        if wanted:
            together = tuple(dict.fromkeys([*known, *wanted]))
            self._set_filter("user_label", OneOf("user_label", together))

    def _choose_days(self) -> None:
        column = self._state.source.day_column or ""
        days = DayBetween(column, self.first_day.value, self.last_day.value)
        self._set_filter(column, days if days.first or days.last else None)

    def _offer_range(self) -> None:
        name, state = self.score.value, self._state
        chosen = state.filters.get(name)
        between = chosen if isinstance(chosen, ScoreBetween) else ScoreBetween(name, *_WHOLE_RANGE)
        with self._setting():
            self.low.value, self.high.value = between.low, between.high
        scores = state.source.table[name].to_numpy(dtype=np.float64, na_value=np.nan)
        self._histogram.value = histogram_html(scores, state.mask, label_of(name))

    def _choose_range(self) -> None:
        name, limits = self.score.value, (self.low.value, self.high.value)
        self._set_filter(name, None if limits == _WHOLE_RANGE else ScoreBetween(name, *limits))


class FigurePanel(ControlGroup):
    """Controls that choose a figure."""

    def __init__(
        self,
        state: ExplorerState,
        guard: Guard,
        change: Callable[[FigureView], None],
    ) -> None:
        super().__init__()
        self._change = change
        source, view = state.source, state.view
        kinds = [kind for kind in FigureKind if kind.is_possible(source.table)]
        options = [(label_of(name), name) for name in source.biomarkers]
        look = {"style": _WIDE, "layout": ipywidgets.Layout(width="auto")}
        tags = [(shortened(name, _LONGEST_OPTION), name) for name in source.tags]
        named = [(kind.value, kind) for kind in kinds]
        self.kind = Dropdown(description="Figure", options=named, value=view.kind, **look)
        self.tag = Dropdown(description="Group by", options=tags, value=view.tag, **look)
        self.colour = Dropdown(description="Colour", options=[(_NO_COLOUR, ""), *tags], **look)
        self.biomarkers = SelectMultiple(
            description="Scores",
            options=options,
            value=view.biomarkers,
            rows=4,
            tooltip="Hold Ctrl to choose several",
            **look,
        )
        self._mark_unused()
        for control in (self.kind, self.tag, self.colour, self.biomarkers):
            self._follow(guard, control, self._choose)
        self.file_format = Dropdown(
            description="Save as",
            options=[(name.upper(), name) for name in FORMATS],
            style=_WIDE,
            layout=ipywidgets.Layout(width="12em"),
        )
        self.save = Button(description="Save the figure", layout=ipywidgets.Layout(width="auto"))
        left = ipywidgets.VBox([self.kind, self.tag, self.colour])
        self.widget = ipywidgets.HBox([left, self.biomarkers])
        self.widget.add_class("helios-choices")

    def _choose(self) -> None:
        if not self.biomarkers.value:
            message = "Choose at least one score for the figure."
            raise ResultsError(message)
        self._mark_unused()
        self._change(
            # "" is one colour: a Dropdown would show None as nothing chosen.
            FigureView(
                self.kind.value,
                tuple(self.biomarkers.value),
                self.tag.value,
                self.colour.value or None,
            )
        )

    def _mark_unused(self) -> None:
        kind = self.kind.value
        self.tag.disabled = not kind.groups
        self.colour.disabled = not kind.has_scores
        self.biomarkers.disabled = not kind.has_scores


def histogram_html(scores: Floats, shown: Flags, label: str) -> str:
    """Draw how often each score occurs: among the recordings shown, and behind it among all.

    Each has its own scale, so that the shape of a few among very many can be seen too.
    """
    there = ~np.isnan(scores)
    words = (
        f"{label}, from 0 to 1: {(there & shown).sum():,} scores shown (in front) of "
        f"{there.sum():,} (behind), each to its own scale"
    )
    bars = _bars(scores[there], "helios-bin helios-all") + _bars(
        scores[there & shown], "helios-bin"
    )
    return (
        f'<svg class="helios-histogram" viewBox="0 0 200 33" role="img" '
        f'aria-label="{escape(words)}" preserveAspectRatio="none"><title>{escape(words)}</title>'
        f"{bars}</svg>"
    )


def _bars(scores: Floats, classes: str) -> str:
    counts, _ = np.histogram(scores, bins=_BINS, range=_WHOLE_RANGE)
    heights = 32 * counts / max(1, int(counts.max(initial=0)))
    return "".join(
        f'<rect x="{place * 10}" y="{32 - height:.1f}" width="9" height="{height:.1f}" '
        f'class="{classes}"/>'
        for place, height in enumerate(heights)
    )


def _option(value: str | None, count: int) -> str:
    text = MISSING_WORDS if value is None else value
    return f"{shortened(text, _LONGEST_OPTION)} ({count:,})"
