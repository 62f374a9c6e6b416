"""A panel leaves a picture in the notebook, and nothing in memory once it is closed."""

from collections.abc import Iterator
from html import escape

import ipywidgets
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from helios_research.widgets.base.panel import Panel, _Shown, close_tree


class Greeting(Panel):
    def __init__(self, name: str = "you") -> None:
        self.name = name
        super().__init__([ipywidgets.HBox([ipywidgets.Button(description=name)])])

    def static_html(self) -> str:
        return f"<p>Hello {escape(self.name)}</p>"

    def __repr__(self) -> str:
        return f"<Greeting {self.name}>"


class Handle:
    """What `display` gives, and remembers."""

    def __init__(self) -> None:
        self.bundles: list[dict] = []

    def update(self, bundle: dict, *, raw: bool) -> None:
        assert raw
        self.bundles.append(bundle)


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """An IPython as a notebook's kernel has one, without its history on the disk."""
    settings = Config({"HistoryManager": {"enabled": False}})
    yield InteractiveShell.instance(config=settings)
    InteractiveShell.clear_instance()


def test_a_saved_notebook_holds_a_picture_beside_the_widget() -> None:
    bundle = Greeting("<you>")._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "<Greeting <you>>"
    assert "<p>Hello &lt;you&gt;</p>" in bundle["text/html"]


def test_the_picture_is_an_output_of_its_own_below_the_widget(shell: InteractiveShell) -> None:
    with capture_output() as shown:
        Greeting().show()
    live, still = (output.data for output in shown.outputs)
    assert set(live) == {"application/vnd.jupyter.widget-view+json", "text/plain"}
    assert set(still) == {"text/html", "text/plain"}


def test_vs_code_gets_one_output_since_it_cannot_hide_a_second(shell: InteractiveShell) -> None:
    shell.user_ns["__vsc_ipynb_file__"] = "study.ipynb"
    with capture_output() as shown:
        Greeting().show()
    assert len(shown.outputs) == 1
    assert set(shown.outputs[0].data) == {
        "application/vnd.jupyter.widget-view+json",
        "text/html",
        "text/plain",
    }


def test_quick_changes_renew_the_picture_once_when_they_have_settled() -> None:
    panel, handle = Greeting(), Handle()
    panel._handles.append(handle)
    for name in ("Ann", "Ben", "Cem"):
        panel.name = name
        panel.freeze_soon()
    assert panel._renewal is not None
    panel._renewal.join(timeout=30)
    (bundle,) = handle.bundles
    assert "Hello Cem" in bundle["text/html"]


def test_nothing_is_renewed_after_the_end() -> None:
    panel, handle = Greeting(), Handle()
    panel._handles.append(handle)
    panel.freeze_soon()
    panel.close()
    assert panel._renewal is not None
    panel._renewal.join(timeout=30)
    assert len(handle.bundles) == 1, "closing leaves the last picture"


def test_the_picture_is_renewed_where_the_panel_is_shown() -> None:
    panel, handle = Greeting(), Handle()
    panel._handles.append(handle)
    panel.name = "all"
    panel.freeze()
    assert "Hello all" in handle.bundles[-1]["text/html"]


def test_a_closed_panel_is_only_its_picture() -> None:
    panel, handle = Greeting(), Handle()
    panel._handles.append(handle)
    panel.close()
    panel.close()
    assert panel.is_closed
    assert len(handle.bundles) == 1
    assert set(handle.bundles[0]) == {"text/plain", "text/html"}


def test_closing_lets_go_of_every_widget_inside() -> None:
    panel = Greeting()
    button = panel.widget.children[1].children[0]
    parts = [panel.widget, button, button.layout, button.style]
    assert all(part.comm is not None for part in parts)
    panel.close()
    assert all(part.comm is None for part in parts)


def test_a_cell_that_runs_again_closes_what_it_had_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, first, second, third = _Shown(), Greeting("1"), Greeting("2"), Greeting("3")
    runs = iter([("cell", 1), ("cell", 1), ("cell", 2), ("another", 3)])
    monkeypatch.setattr("helios_research.widgets.base.panel._running_cell", lambda: next(runs))
    for panel in (first, second, third):
        shown.take_place(panel)
        panel._handles.append(Handle())
    assert first.is_closed
    assert second.is_closed
    assert not third.is_closed
    shown.take_place(Greeting("4"))
    assert not third.is_closed


def test_a_panel_that_another_cell_shows_too_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, panel = _Shown(), Greeting()
    runs = iter([("one", 1), ("two", 2), ("one", 3)])
    monkeypatch.setattr("helios_research.widgets.base.panel._running_cell", lambda: next(runs))
    for shown_panel in (panel, panel):
        shown.take_place(shown_panel)
        panel._handles.append(Handle())
    shown.take_place(Greeting("new"))
    assert not panel.is_closed


def test_a_tree_can_be_closed_twice() -> None:
    box = ipywidgets.VBox([ipywidgets.Button()])
    close_tree(box)
    close_tree(box)
