"""One HTML file about a study, to mail, read on a phone and print. It loads nothing from elsewhere."""

import logging
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from jinja2 import Environment, FunctionLoader, StrictUndefined

from helios_research._util.files import replaced
from helios_research._version import __version__
from helios_research.errors import storage_errors
from helios_research.report.blocks import Block
from helios_research.report.data import ReportData, report_data
from helios_research.report.participants import errors, missing, participants, recording_flow
from helios_research.report.scores import cautions, over_time, scores
from helios_research.report.sentences import columns, finding, in_full, methods
from helios_research.results.codebook import NOT_MEDICAL

__all__ = ["write_report"]

_log = logging.getLogger(__name__)


def write_report(  # noqa: PLR0913 - each is a setting
    results: pd.DataFrame | str | PathLike[str],
    path: str | PathLike[str],
    *,
    by: str | Sequence[str] | None = None,
    primary: str | None = None,
    family: Sequence[str] | None = None,
    reference: str | None = None,
    order: Sequence[str] | None = None,
    title: str | None = None,
    labels: Mapping[str, str] | None = None,
    biomarkers: Sequence[str] | None = None,
    provenance: Mapping[str, Any] | None = None,
    hide_small_cells: bool = False,
    expected: int | pd.DataFrame | None = None,
    warned: Literal["keep", "drop"] = "keep",
) -> Path:
    """Write a report about a study: one HTML file to mail, read on a phone and print.

    It opens with the finding on the primary outcome and the cautions; then come the methods, who
    took part, what happened to the recordings, missing scores, figures and comparisons by each
    column, change over visits, and errors with their remedies. The full methods and the codebook
    are an appendix. It contains no audio, no transcripts, no labels of participants and none of
    the researcher's own columns except those in ``by``. It needs no network and no scripts.

    It takes some seconds, most of them for the figures. Each step is logged at the level INFO.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or the path of a
        ``results.parquet``.
    path
        The HTML file. An existing file is replaced when the new one is complete.
    by
        The columns by which results are shown and compared, tags or not; None means the tags that
        the Parquet file lists. A column that runs with time, such as the visit, is shown as change.
    primary
        The primary outcome, a biomarker; None means mental strain.
    family
        The biomarkers whose p-values are corrected together, as for ``analysis.compare_by_tag``.
    reference
        The level that others are compared with, in each column that has it; None means the first.
    order
        Levels in the order wanted, of all columns in ``by``; levels that are not named follow.
    title
        The title; None means the study's name.
    labels
        The text to show for a level, a column in ``by`` or a biomarker.
    biomarkers
        The biomarkers with figures; None means mental strain and the five bucketed ones. The
        comparisons always have all biomarkers.
    provenance
        What the report says about the study: ``study``, ``base_url``, ``source``, ``tags``. By
        default what the Parquet file says about it.
    hide_small_cells
        Whether groups of fewer than five participants are hidden: they are pooled with the next
        larger one, and cells of tables that would reveal them are hidden.
    expected
        The recordings that each participant should have, as for ``analysis.attrition``.
    warned
        "keep" or "drop" scores with a warning of Helios. The primary outcome is also compared the
        other way.

    Raises
    ------
    ResultsError
        The results cannot be read, a column is missing, or a setting is not valid.
    StudyStorageError
        The file cannot be written there.

    Examples
    --------
    >>> write_report("datasets/shift_study_results.parquet", "report.html")  # doctest: +SKIP
    """
    settings = {name: value for name, value in locals().items() if name not in {"results", "path"}}
    target = Path(path).expanduser()
    page = _render(report_data(results, **settings | {"labels": labels or {}}))
    with storage_errors(target), replaced(target) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    return target


def _render(data: ReportData) -> str:
    style = _template("style.css")
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html").render(
        title=data.settings.title or data.provenance.get("study") or "Voice biomarkers",
        synthetic=data.prepared.source_note,
        not_medical=NOT_MEDICAL,
        sections=_sections(data),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=__version__,
        style=style,
        # The page may use this style and the pictures in it, and nothing else.
        style_hash=b64encode(sha256(style.encode()).digest()).decode(),
    )
    return page.replace(" %", "\N{NO-BREAK SPACE}%")


def _template(name: str) -> str:
    place = files("helios_research.report") / "templates" / name
    return place.read_text(encoding="utf-8")


def _sections(data: ReportData) -> list[tuple[str, str, Sequence[Block]]]:
    """Give the anchor, the title and the blocks of each section."""
    # The steps that take long are logged before they start.
    _log.info("Report: comparisons")
    careful = cautions(data)
    _log.info("Report: missing scores")
    missing_scores, unequal = missing(data)
    _log.info("Report: figures of the scores")
    by_columns = scores(data)
    _log.info("Report: figures over time")
    figures_over_time = over_time(data)
    by = f"Scores by {', '.join(data.by)}" if data.by else "Scores"
    return [
        ("finding", "Finding", finding(data, [*unequal, *careful])),
        ("methods", "Methods", methods(data)),
        ("participants", "Who took part", participants(data)),
        ("flow", "From the manifest to scores", recording_flow(data)),
        ("missing", "Missing scores", missing_scores),
        ("scores", by, by_columns),
        ("time", "Over time", figures_over_time),
        ("errors", "Errors and what to do about them", errors(data)),
        ("in-full", "Appendix A: methods in full", in_full(data)),
        ("codebook", "Appendix B: codebook", columns(data)),
    ]
