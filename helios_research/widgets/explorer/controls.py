"""The controls of an explorer: the choice of recordings and of a figure."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import ipywidgets
import numpy as np

from helios_research._util.text import natural_key
from helios_research.analysis.prepared import Flags, Floats
from helios_research.columns import BIOMARKERS_BY_NAME
from helios_research.errors import ResultsError
from helios_research.widgets import base
from helios_research.widgets.base import Clickable, ControlGroup, Guard, button_html
from helios_research.widgets.explorer.figure import FigureKind, FigureView
from helios_research.widgets.explorer.selection import (
    Condition,
    DayBetween,
    ExplorerState,
    NumberBetween,
    OneOf,
)
from helios_research.widgets.explorer.source import label_of, value_words

# More suggestions than anyone reads only slow the browser; any label can still be typed.
_MOST_SUGGESTED = 1_000
_LONGEST_OPTION, _LONGEST_LEVEL = 32, 19
_BINS = 20
_NO_COLOUR = "no colour"
_control = partial(base.control, label_width="6.2em")


class FilterPanel(ControlGroup):
    """Controls that choose recordings; the levels and the histogram are clicked."""

    def __init__(
        self,
        state: ExplorerState,
        guard: Guard,
        set_filter: Callable[[str, Condition | None], None],
    ) -> None:
        super().__init__()
        self._state = state
        self._set_filter = set_filter
        self._make(guard)
        for control, act in (
            (self.column, self._offer_values),
            (self.participant, self._add_participants),
            (self.first_day, self._choose_days),
            (self.last_day, self._choose_days),
            (self.score, self._offer_range),
            (self.low, self._choose_range),
            (self.high, self._choose_range),
        ):
            self._follow(guard, control, act)

    def _make(self, guard: Guard) -> None:
        source = self._state.source
        self.column = _control(ipywidgets.Dropdown, "Filter by", options=_named(source.tags))
        self.levels = Clickable(guard, level=lambda place: self._choose_level(int(place)))
        labels = sorted(map(str, source.table["user_label"].dropna().unique()), key=natural_key)
        self._labels = frozenset(labels)
        self.participant = _control(
            ipywidgets.Combobox,
            "Participant",
            options=labels[:_MOST_SUGGESTED],
            placeholder="P001, P002",
        )
        self.first_day = _control(ipywidgets.DatePicker, "From day")
        self.last_day = _control(ipywidgets.DatePicker, "To day")
        self.score = _control(ipywidgets.Dropdown, "Number", options=_named(source.numbers))
        self.low = _control(ipywidgets.FloatText, "At least", step=0.05)
        self.high = _control(ipywidgets.FloatText, "At most", step=0.05)
        self.histogram = Clickable(guard, bin=lambda place: self._choose_bin(int(place)))
        days = [self.first_day, self.last_day] if source.day_column else []
        numbers = [self.score, self.histogram, self.low, self.high]
        parts = [self.column, self.levels, self.participant, *days, *numbers]
        self.widget = ipywidgets.VBox([base.markup("<h2>Choose recordings</h2>"), *parts])
        self.widget.add_class("helios-filters")

    def show(self, state: ExplorerState) -> None:
        """Let the controls show which filters are on, and how many recordings each choice leaves."""
        self._state = state
        with self._setting():
            self._offer_values()
            self._offer_range()
            days = state.filters.get(state.source.day_column or "")
            between = days if isinstance(days, DayBetween) else DayBetween("", None, None)
            self.first_day.value, self.last_day.value = between.first, between.last

    def _chosen(self, column: str) -> tuple[str | None, ...]:
        condition = self._state.filters.get(column)
        return condition.values if isinstance(condition, OneOf) else ()

    def _offer_values(self) -> None:
        column = self.column.value
        names, codes = self._state.source.levels(column)
        total = np.bincount(codes, minlength=len(names))
        left = np.bincount(codes[self._state.without(column)], minlength=len(names))
        chosen, most = self._chosen(column), total.max()
        buttons = [
            button_html(
                f"level:{place}",
                value_words(column, name),
                tip=str(name) if column == "error_code" else "",
                after=_count_html(int(left[place]), int(total[place]), int(most)),
                pressed=name in chosen,
                classes="helios-level",
                longest=_LONGEST_LEVEL,
            )
            for place, name in enumerate(names)
        ]
        self.levels.value = (
            '<div class="helios-levels helios-scroll" data-scroll data-arrows role="group" '
            f'aria-label="Values">{"".join(buttons)}</div>'
        )

    def _choose_level(self, place: int) -> None:
        column = self.column.value
        name, values = self._state.source.levels(column)[0][place], self._chosen(column)
        others = tuple(value for value in values if value != name)
        now = others if name in values else (*values, name)
        self._set_filter(column, OneOf(column, now) if now else None)

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
        with self._setting():
            self.participant.value = ""
        if wanted:
            together = tuple(dict.fromkeys([*self._chosen("user_label"), *wanted]))
            self._set_filter("user_label", OneOf("user_label", together))

    def _choose_days(self) -> None:
        column = self._state.source.day_column or ""
        days = DayBetween(column, self.first_day.value, self.last_day.value)
        self._set_filter(column, days if days.first or days.last else None)

    @property
    def _ends(self) -> tuple[float, float]:
        """The lowest and the highest number there are, or can be; a filter of both is none."""
        name = self.score.value
        if name in BIOMARKERS_BY_NAME:
            return 0.0, 1.0
        numbers = self._state.source.table[name]
        return float(numbers.min()), float(numbers.max())

    @property
    def _edges(self) -> Floats:
        edges = np.linspace(*self._ends, _BINS + 1)
        edges[1:-1] = edges[1:-1].round(9)
        return edges

    def _offer_range(self) -> None:
        name, state = self.score.value, self._state
        chosen = state.filters.get(name)
        low, high = (chosen.low, chosen.high) if isinstance(chosen, NumberBetween) else self._ends
        with self._setting():
            self.low.value, self.high.value = low, high
        numbers = state.source.table[name].to_numpy(dtype=np.float64, na_value=np.nan)
        self.histogram.value = histogram_html(
            numbers, state.without(name), self._edges, (low, high)
        )

    def _choose_bin(self, place: int) -> None:
        name, (low, high) = self.score.value, self._edges[place : place + 2].tolist()
        is_last = place == _BINS - 1
        bin_ = NumberBetween(name, low, high, "both" if is_last else "left")
        self._set_filter(name, None if self._state.filters.get(name) == bin_ else bin_)

    def _choose_range(self) -> None:
        name, limits = self.score.value, (self.low.value, self.high.value)
        self._set_filter(name, None if limits == self._ends else NumberBetween(name, *limits))


class FigurePanel(ControlGroup):
    """Controls that choose a figure."""

    def __init__(
        self, state: ExplorerState, guard: Guard, change: Callable[[FigureView], None]
    ) -> None:
        super().__init__()
        self._change = change
        source, view = state.source, state.view
        kinds = [kind for kind in FigureKind if kind.is_possible(source.table)]
        tags = _named(source.tags)
        named = [(kind.value, kind) for kind in kinds]
        self.kind = _control(ipywidgets.Dropdown, "Figure", options=named, value=view.kind)
        self.tag = _control(ipywidgets.Dropdown, "Group by", options=tags, value=view.tag)
        self.colour = _control(ipywidgets.Dropdown, "Colour", options=[(_NO_COLOUR, ""), *tags])
        self.biomarkers = _control(
            ipywidgets.SelectMultiple,
            "Scores",
            options=_named(source.biomarkers),
            value=view.biomarkers,
            rows=4,
            tooltip="Hold Ctrl to choose several",
        )
        self._mark_unused()
        for control in (self.kind, self.tag, self.colour, self.biomarkers):
            self._follow(guard, control, self._choose)
        self.widget = ipywidgets.VBox([self.kind, self.tag, self.colour, self.biomarkers])

    def show(self, view: FigureView) -> None:
        """Let the controls show a view that was not chosen with them."""
        with self._setting():
            self.kind.value, self.tag.value = view.kind, view.tag
            self.colour.value, self.biomarkers.value = view.colour or "", view.biomarkers
        self._mark_unused()

    def _choose(self) -> None:
        if not self.biomarkers.value:
            message = "Choose at least one score for the figure."
            raise ResultsError(message)
        self._mark_unused()
        # "" is no colour: a Dropdown would show None as nothing chosen.
        kind, tag, colour = self.kind.value, self.tag.value, self.colour.value or None
        self._change(FigureView(kind, tuple(self.biomarkers.value), tag, colour))

    def _mark_unused(self) -> None:
        kind = self.kind.value
        self.tag.disabled = not kind.groups
        self.colour.disabled = not kind.has_scores
        self.biomarkers.disabled = not kind.has_scores


def histogram_html(
    numbers: Floats, shown: Flags, edges: Floats, chosen: tuple[float, float]
) -> str:
    """Draw how often numbers occur: among the recordings shown, and behind it among all.

    Each has its own scale, so that the shape of a few among very many can be seen too.
    """
    every, front = (np.histogram(each, bins=edges)[0] for each in (numbers, numbers[shown]))
    bars = []
    for place, (low, high) in enumerate(pairwise(edges.tolist())):
        words = f"{low:.3g} to {high:.3g}: {count_words(int(front[place]), int(every[place]))}"
        behind, before = (100 * counts[place] / max(1, counts.max()) for counts in (every, front))
        is_on = chosen[0] <= low and high <= chosen[1]
        bars.append(
            f'<button type="button" data-click="bin:{place}" title="{words}" aria-label="{words}" '
            f'aria-pressed="{str(is_on).lower()}"><i style="height: {behind:.0f}%"></i>'
            f'<b style="height: {before:.0f}%"></b></button>'
        )
    return (
        f'<div class="helios-histogram" data-arrows role="group" aria-label="How often each '
        f'number occurs">{"".join(bars)}</div>'
    )


def count_words(shown: int, total: int) -> str:
    """Word how many of some recordings are shown."""
    return f"{total:,}" if shown == total else f"{shown:,} of {total:,}"


def _count_html(shown: int, total: int, most: int) -> str:
    bar = f'<i style="width: {100 * total / most:.0f}%"></i><b style="width: {100 * shown / most:.0f}%"></b>'
    return f'<span class="helios-count">{count_words(shown, total)}</span>{bar}'


def _named(columns: Sequence[str]) -> list[tuple[str, str]]:
    return [(base.shortened(label_of(name), _LONGEST_OPTION), name) for name in columns]
