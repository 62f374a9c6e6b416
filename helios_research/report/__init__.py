"""One HTML file about a study, to mail, read on a phone and print. It loads nothing from elsewhere."""

import logging
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FunctionLoader, StrictUndefined

from helios_research._util.files import replaced
from helios_research._version import __version__
from helios_research.errors import storage_errors
from helios_research.report.blocks import Block
from helios_research.report.data import ReportData, report_data
from helios_research.report.overview import at_a_glance, columns, errors, methods
from helios_research.report.participants import missing, participants, recording_flow
from helios_research.report.scores import comparisons, over_time, scores
from helios_research.results.codebook import NOT_MEDICAL

__all__ = ["write_report"]

_log = logging.getLogger(__name__)


def write_report(
    results: pd.DataFrame | str | PathLike[str],
    path: str | PathLike[str],
    *,
    tags: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    biomarkers: Sequence[str] | None = None,
    hide_small_cells: bool = False,
) -> Path:
    """Write a report about a study: one HTML file to mail, read on a phone and print.

    It contains what was submitted, when and with what outcome, Table 1, missing scores, figures
    and comparisons by tag, change over time, every error with its remedy, the methods and the
    codebook. It contains no audio, no transcripts, no labels of participants and none of the
    researcher's own columns except tags. It needs no network and no scripts.

    It takes some seconds, most of them for the figures, and about a quarter of a minute for
    100,000 recordings and three tags. Each step is logged at the level INFO.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or the path of a
        ``results.parquet``.
    path
        The HTML file. An existing file is replaced when the new one is complete.
    tags
        The columns by which results are shown; by default those that the Parquet file lists.
    provenance
        What the report says about the study: ``study``, ``base_url``, ``source``, ``tags``. By
        default what the Parquet file says about it.
    biomarkers
        The biomarkers with figures; None means mental strain and the five bucketed ones. The
        comparisons always have all biomarkers.
    hide_small_cells
        Whether groups of fewer than five participants are hidden: they are pooled with the next
        larger one, and cells of Table 1 that would reveal them are hidden.

    Raises
    ------
    ResultsError
        The results cannot be read, or a column is missing.
    StudyStorageError
        The file cannot be written there.

    Examples
    --------
    >>> write_report("datasets/shift_study_results.parquet", "report.html")  # doctest: +SKIP
    """
    target = Path(path).expanduser()
    page = _render(
        report_data(
            results,
            tags=tags,
            biomarkers=biomarkers,
            provenance=provenance,
            hide_small_cells=hide_small_cells,
        )
    )
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
    return environment.get_template("report.html").render(
        title=data.provenance.get("study") or "Voice biomarkers",
        synthetic=data.synthetic,
        not_medical=NOT_MEDICAL,
        sections=_sections(data),
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        version=__version__,
        style=style,
        # The page may use this style and the pictures in it, and nothing else.
        style_hash=b64encode(sha256(style.encode()).digest()).decode(),
    )


def _template(name: str) -> str:
    place = files("helios_research.report") / "templates" / name
    return place.read_text(encoding="utf-8")


def _sections(data: ReportData) -> list[tuple[str, str, Sequence[Block]]]:
    """Give the anchor, the title and the blocks of each section."""
    # The steps that take long are logged before they start.
    _log.info("Report: missing scores")
    missing_scores, unequal = missing(data)
    _log.info("Report: comparisons")
    compared, cautions = comparisons(data)
    _log.info("Report: figures of the scores")
    figures = scores(data)
    _log.info("Report: figures over time")
    figures_over_time = over_time(data)
    by_tags = f"Scores by {', '.join(data.tags)}" if data.tags else "Scores"
    return [
        ("glance", "At a glance", at_a_glance(data, [*unequal, *cautions])),
        ("participants", "Who took part", participants(data)),
        ("flow", "From the manifest to scores", recording_flow(data)),
        ("missing", "Missing scores", missing_scores),
        ("scores", by_tags, figures),
        ("comparisons", "Comparisons", compared),
        ("time", "Over time", figures_over_time),
        ("errors", "Errors and what to do about them", errors(data)),
        ("methods", "Methods", methods(data)),
        ("codebook", "Codebook", columns(data)),
    ]
