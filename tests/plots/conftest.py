"""Results tables for the tests of the figures, and what a figure says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from helios_research import plots
from helios_research.columns import BIOMARKERS, BUCKET_LEVELS

STUDY = Path(__file__).parents[2] / "datasets" / "shift_study_results.parquet"

Draw = Callable[..., object]

# Every public function, with what it needs besides the results.
DRAWINGS: dict[str, Draw] = {
    "scores_by_tag": lambda table, **more: plots.scores_by_tag(table, "arm", **more),
    "scores_by_tag, bucketed": lambda table, **more: plots.scores_by_tag(
        table, "arm", biomarkers="stress", **more
    ),
    "scores_by_tag, coloured": lambda table, **more: plots.scores_by_tag(
        table, "arm", hue="visit", **more
    ),
    "score_over_time": lambda table, **more: plots.score_over_time(table, hue="arm", **more),
    "score_over_time, by tag": lambda table, **more: plots.score_over_time(
        table, biomarkers="stress", by="arm", hue="visit", **more
    ),
    "scores_by_hours_awake": lambda table, **more: plots.scores_by_hours_awake(
        table, hue="arm", **more
    ),
    "biomarker_correlations": lambda table, **more: plots.biomarker_correlations(
        table, biomarkers=["mental_strain", "stress", "uniform_stress"], **more
    ),
    "outcomes_by_tag": lambda table, **more: plots.outcomes_by_tag(table, "arm", **more),
    "flow_diagram": plots.flow_diagram,
}


@pytest.fixture
def drawings() -> dict[str, Draw]:
    """Give all ways to make a figure by their names."""
    return DRAWINGS


@pytest.fixture(params=DRAWINGS)
def make(request: pytest.FixtureRequest) -> Draw:
    """Give each way to make a figure in turn, not yet drawn: enough to read what is in it."""

    def made(table: pd.DataFrame, **more: object) -> Axes:
        ax = DRAWINGS[request.param](table, **more)
        assert isinstance(ax, Axes)
        return ax

    return made


@pytest.fixture
def draw(make: Draw) -> Draw:
    """Give each way to draw in turn; it draws the figure but for its pixels."""

    def drawn(table: pd.DataFrame, **more: object) -> Axes:
        ax = make(table, **more)
        assert isinstance(ax, Axes)
        ax.get_figure(root=True).draw_without_rendering()
        return ax

    return drawn


@pytest.fixture(scope="session")
def study() -> pd.DataFrame:
    """Read the synthetic shift study; tests that change it take a copy."""
    return pd.read_parquet(STUDY)


@pytest.fixture(scope="session")
def make_results() -> Callable[..., pd.DataFrame]:
    """Give a maker of scored results with all biomarkers; columns may be put in their place."""

    def make(count: int, *, each: int = 2, **columns: object) -> pd.DataFrame:
        rng = np.random.default_rng(3)
        wake = pd.Timestamp("2026-03-02 07:00") + pd.to_timedelta(np.arange(count) // each, "D")
        later = wake + pd.to_timedelta(rng.uniform(0, 12, count), "h")
        scores = {
            marker.name: rng.choice(BUCKET_LEVELS, count) if marker.bucketed else rng.random(count)
            for marker in BIOMARKERS
        }
        table = pd.DataFrame(
            {
                "recording_id": [f"r{number}" for number in range(count)],
                "user_label": pd.Series([f"P{n // each}" for n in range(count)], dtype="str"),
                "outcome": pd.Series(["scored"] * count, dtype="str"),
                "error_code": pd.Series([None] * count, dtype="str"),
                "recording_time": pd.Series(later.strftime("%Y-%m-%dT%H:%M:%S"), dtype="str"),
                "wake_time": pd.Series(wake.strftime("%Y-%m-%dT%H:%M:%S"), dtype="str"),
                "arm": pd.Series(["night" if n % 2 else "day" for n in range(count)], dtype="str"),
                "visit": pd.Series([str(n % each + 1) for n in range(count)], dtype="str"),
                "source": pd.Series(["thymia"] * count, dtype="str"),
                **scores,
            }
        )
        return table.assign(**columns)

    return make


def words_of(ax: Axes) -> str:
    """Join all that is written in the figure, its line breaks taken for spaces."""
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    texts = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    return " | ".join(" ".join(text.split()) for text in texts if text.strip())


@pytest.fixture
def words() -> Callable[[Axes], str]:
    """Give the reader of figures."""
    return words_of
