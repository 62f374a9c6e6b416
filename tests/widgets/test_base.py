"""Controls do not echo, text stays text, callbacks fail in a sentence, and panels leave a picture."""

import threading
from collections.abc import Iterator
from html import escape

import ipywidgets
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from helios_research.errors import ApiKeyError
from helios_research.widgets import base
from helios_research.widgets.base import Guard, Panel, StatusLine, _take_place, close_tree, cut

KINDS = ["Button", "Checkbox", "Combobox", "DatePicker", "Dropdown", "SelectMultiple", "Text"]


@pytest.mark.parametrize("name", KINDS)
def test_a_control_does_not_echo_and_is_otherwise_ipywidgets_own(name: str) -> None:
    theirs = getattr(ipywidgets, name)()
    ours = base.no_echo(type(theirs))()
    assert ours.trait_metadata("description", "echo_update", default=True) is False
    assert theirs.trait_metadata("description", "echo_update", default=True) is not False
    assert ours.get_state().keys() == theirs.get_state().keys()
    for part in ("_model_name", "_model_module", "_view_name", "_view_module"):
        assert getattr(ours, part) == getattr(theirs, part)


def test_a_change_from_the_front_end_is_not_sent_back() -> None:
    assert methods_sent(base.no_echo(ipywidgets.Text)) == []
    assert methods_sent(ipywidgets.Text) == ["echo_update"]


def methods_sent(kind: type) -> list[str]:
    """What a control sends when a person types."""
    sent: list[str] = []
    text = kind()
    text._send = lambda message, **_: sent.append(message["method"])
    text.set_state({"value": "typed"})
    return sent


# --- text and callbacks ---------------------------------------------------------------------------


@pytest.fixture
def status() -> StatusLine:
    return StatusLine()


def test_text_is_never_markup() -> None:
    assert cut('<b title="x">&') == "&lt;b title=&quot;x&quot;&gt;&amp;"


def test_long_text_is_cut_with_the_whole_at_hand() -> None:
    assert cut("a <long> label", 8) == '<span title="a &lt;long&gt; label">a &lt;l…bel</span>'


def test_a_status_is_told_to_screen_readers_as_text(status: StatusLine) -> None:
    status.show("<b>Done</b>")
    assert status.widget.value == (
        '<div role="status" class="helios-status">&lt;b&gt;Done&lt;/b&gt;</div>'
    )
    status.show("Not done.", failed=True)
    assert "helios-failed" in status.widget.value
    status.show("")
    assert status.text == ""
    assert 'role="status"' in status.widget.value


def test_what_goes_wrong_in_a_callback_is_said(status: StatusLine) -> None:
    def fail(_: object) -> None:
        raise KeyError("arm")

    Guard(status)(fail)(None)
    assert status.text == "This did not work: 'arm' (KeyError)."


def test_an_error_of_ours_is_said_in_its_own_words(status: StatusLine) -> None:
    def fail() -> None:
        raise ApiKeyError.missing()

    Guard(status)(fail)()
    assert status.text == str(ApiKeyError.missing())


def test_an_error_without_words_is_named(status: StatusLine) -> None:
    def fail() -> None:
        raise ValueError

    Guard(status)(fail)()
    assert status.text == "This did not work: ValueError."


def test_callbacks_run_one_at_a_time(status: StatusLine) -> None:
    """Front ends call them on any thread."""
    guard, seen, first_is_in = Guard(status), [], threading.Event()

    def slow() -> None:
        seen.append("begin")
        first_is_in.set()
        threading.Event().wait(0.05)
        seen.append("end")

    threads = [threading.Thread(target=guard(slow)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["begin", "end"] * 3


def test_a_panel_is_marked_as_busy_only_while_a_callback_takes_long(
    status: StatusLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("helios_research.widgets.base.BUSY_S", 0.01)
    guard, marked = Guard(status), []

    def is_marked(wait_s: float) -> None:
        threading.Event().wait(wait_s)
        marked.append("helios-busy" in status.widget._dom_classes)

    slow, quick = guard(is_marked), guard(is_marked)
    guard(slow)(0.3)
    quick(0)
    assert marked == [True, False]
    assert "helios-busy" not in status.widget._dom_classes


# --- panels ---------------------------------------------------------------------------------------


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
        panel.render_static_soon()
    assert panel._renewal is not None
    panel._renewal.join(timeout=30)
    (bundle,) = handle.bundles
    assert "Hello Cem" in bundle["text/html"]


def test_nothing_is_renewed_after_the_end() -> None:
    panel, handle = Greeting(), Handle()
    panel._handles.append(handle)
    panel.render_static_soon()
    panel.close()
    assert panel._renewal is not None
    panel._renewal.join(timeout=30)
    assert len(handle.bundles) == 1, "closing leaves the last picture"


def test_the_picture_is_renewed_where_the_panel_is_shown() -> None:
    panel, handle = Greeting(), Handle()
    panel._handles.append(handle)
    panel.name = "all"
    panel.render_static()
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
    first, second, third = Greeting("1"), Greeting("2"), Greeting("3")
    runs = iter([("cell", 1), ("cell", 1), ("cell", 2), ("another", 3)])
    monkeypatch.setattr(base, "_SHOWN", {})
    monkeypatch.setattr("helios_research.widgets.base._running_cell", lambda: next(runs))
    for panel in (first, second, third):
        _take_place(panel)
        panel._handles.append(Handle())
    assert first.is_closed
    assert second.is_closed
    assert not third.is_closed
    _take_place(Greeting("4"))
    assert not third.is_closed


def test_a_panel_that_another_cell_shows_too_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = Greeting()
    runs = iter([("one", 1), ("two", 2), ("one", 3)])
    monkeypatch.setattr(base, "_SHOWN", {})
    monkeypatch.setattr("helios_research.widgets.base._running_cell", lambda: next(runs))
    for shown_panel in (panel, panel):
        _take_place(shown_panel)
        panel._handles.append(Handle())
    _take_place(Greeting("new"))
    assert not panel.is_closed


def test_a_tree_can_be_closed_twice() -> None:
    box = ipywidgets.VBox([ipywidgets.Button()])
    close_tree(box)
    close_tree(box)
