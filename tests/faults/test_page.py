"""The page about faults says what the tests prove, and leaves no cell out."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"


@pytest.fixture
def proved(request, matrix):
    """The cells of all tests; they are there only where the whole matrix was collected."""
    files = {path for path in Path(__file__).parent.rglob("test_*.py") if path != Path(__file__)}
    if not files <= {item.path for item in request.session.items}:
        pytest.skip("needs the whole of tests/faults")
    return [cell for item in request.session.items for cell in matrix.cells_of(item)]


def test_every_cell_has_a_test_or_a_reason_why_it_cannot_be_met(matrix, proved) -> None:
    assert matrix.unaccounted(proved) == []


def test_the_page_says_what_the_tests_prove(request, matrix, proved) -> None:
    if request.config.getoption("--fault-page", default=None) is not None:
        pytest.skip("the page is being written")
    message = "docs/faults.md is not what the tests say: run `make faults`"
    assert PAGE.read_text(encoding="utf-8") == matrix.page_of(proved), message


def test_a_word_that_is_no_column_of_the_matrix_is_refused(matrix) -> None:
    with pytest.raises(ValueError, match="'download' is none of: create, upload, poll"):
        matrix.Cell("download", "HTTP 500", "tried again", "…")
