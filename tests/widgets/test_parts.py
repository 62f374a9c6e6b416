"""Text stays text, and no callback fails mutely."""

import threading

import pytest

from helios_research.errors import ApiKeyError
from helios_research.widgets.base.panel import Guard, StatusLine, cut


@pytest.fixture
def status() -> StatusLine:
    return StatusLine()


def test_text_is_never_markup() -> None:
    assert cut('<b title="x">&') == "&lt;b title=&quot;x&quot;&gt;&amp;"


def test_long_text_is_cut_with_the_whole_at_hand() -> None:
    assert cut("a <long> label", 8) == '<span title="a &lt;long&gt; label">a &lt;long…</span>'


def test_a_status_is_told_to_screen_readers_as_text(status: StatusLine) -> None:
    status.tell("<b>Done</b>")
    assert status.widget.value == (
        '<div role="status" class="helios-status">&lt;b&gt;Done&lt;/b&gt;</div>'
    )
    status.fail("Not done.")
    assert "helios-failed" in status.widget.value
    status.clear()
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
