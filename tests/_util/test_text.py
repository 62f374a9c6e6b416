"""How text is compared, ordered and written."""

import ast
from datetime import UTC, datetime

import pytest

from helios_research._util.text import (
    as_seen,
    composed,
    counted,
    duration,
    in_local_time,
    literal,
    natural_key,
    reveal,
)


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12_000, "12,000 rows")]
)
def test_things_are_counted_in_words(number: int, words: str) -> None:
    assert counted(number, "row") == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (99, "99 s"), (100, "2 min"), (5_900, "98 min"), (7_260, "2 h 01 min")],
)
def test_lengths_of_time_are_worded_as_people_say_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_an_accent_is_the_same_however_it_is_encoded() -> None:
    assert composed("Zoe\u0308") == composed("Zo\u00eb")
    assert composed("zoe") != composed("Zoe")


def test_levels_are_in_the_order_of_the_numbers_in_them() -> None:
    ordered = ["-1", "2", "10", "nan", "visit 2", "Visit 10"]
    assert sorted(set(ordered), key=natural_key) == ordered


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("night", '"night"'),
        ('a "night"', "'a \"night\"'"),
        ("it's", '"it\'s"'),
        ("C:\\data\n", '"C:\\\\data\\n"'),
        (["a", 1], '["a", 1]'),
        (("a",), '["a"]'),
        ({"user_label": "id", "n": None}, '{"user_label": "id", "n": None}'),
        (True, "True"),
    ],
)
def test_a_value_is_written_as_python_reads_it(value: object, written: str) -> None:
    assert literal(value) == written
    assert ast.literal_eval(written) == (list(value) if isinstance(value, tuple) else value)


def test_a_moment_is_worded_as_the_readers_clock_shows_it() -> None:
    moment = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert in_local_time(moment) == moment.astimezone().strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("text", "seen", "revealed"),
    [
        ("P01", "P01", "P01"),
        (" P  01 ", "P 01", " P  01 "),
        ("P\u200b01\ufeff", "P01", "P⟨U+200B⟩01⟨U+FEFF⟩"),
        ("\u3000P\u202f01", "P 01", "⟨U+3000⟩P⟨U+202F⟩01"),
        ("a\u2011b\u2013c", "a-b-c", "a⟨U+2011⟩b⟨U+2013⟩c"),
        ("Zoe\u0308", "Zo\u00eb", "Zoe⟨U+0308⟩"),
        ("e\u200d\u0301", "\u00e9", "e⟨U+200D⟩⟨U+0301⟩"),
        ("Zo\u00eb 音声 हिन्दी", "Zo\u00eb 音声 हिन्दी", "Zo\u00eb 音声 हिन्दी"),
    ],
)
def test_what_cannot_be_seen_of_a_text_can_be_named(text: str, seen: str, revealed: str) -> None:
    assert as_seen(text) == as_seen(seen) == seen
    assert reveal(text) == revealed


def test_a_decomposed_accent_is_written_so_that_pasting_keeps_it() -> None:
    assert literal({"Zoe\u0308": "Zo\u00eb"}) == '{"Zoe\\u0308": "Zo\u00eb"}'
