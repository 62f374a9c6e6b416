"""The report as one HTML file that asks no other host for anything."""

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
from helios_research.report.blocks import ReportSection
from helios_research.report.data import ReportData, report_data
from helios_research.report.overview import at_a_glance, columns, errors, methods
from helios_research.report.participants import missing, participants, recording_flow
from helios_research.report.scores import comparisons, over_time, scores
from helios_research.results.codebook import NOT_MEDICAL

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

    It holds what was submitted and when, what became of it, Table 1, missing scores, figures and
    comparisons by tag, change over time, every error with what to do about it, the methods and
    the codebook. It holds no audio, no transcripts, no labels of participants and none of the
    researcher's own columns except tags. It needs no network and no scripts.

    It takes some seconds, most of them for the figures; of 100,000 recordings by three tags, about
    a quarter of a minute. What is being made is logged at the level INFO.

    Parameters
    ----------
    results
        One row per recording (``columns.RESULTS`` and the manifest's columns), or the path of a
        ``results.parquet``.
    path
        Where the file is to be; one that is there is replaced once the new one is complete.
    tags
        The columns by which results are shown; by default those that the Parquet file names.
    provenance
        What is known of the study: ``study``, ``base_url``, ``source``, ``tags``. By default what
        the Parquet file says of itself.
    biomarkers
        The scores that have figures; None means mental strain and the five bucketed ones.
        Comparisons have all biomarkers.
    hide_small_cells
        Whether groups of fewer than five participants are kept out of sight: they are pooled with
        the next larger one, and cells of Table 1 that would give them away are hidden.

    Returns
    -------
    Path
        Where the file is.

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
    data = report_data(
        results,
        tags=tags,
        biomarkers=biomarkers,
        provenance=provenance,
        hide_small_cells=hide_small_cells,
    )
    page = render(data)
    with storage_errors(target), replaced(target) as unfinished:
        unfinished.write_text(page, encoding="utf-8")
    return target


def render(data: ReportData) -> str:
    """Write the page."""
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
        # The page may use this style and pictures that are inside it, and nothing else.
        style_hash=b64encode(sha256(style.encode()).digest()).decode(),
    )


def _template(name: str) -> str:
    place = files("helios_research.report") / "templates" / name
    return place.read_text(encoding="utf-8")


def _sections(data: ReportData) -> list[ReportSection]:
    # What takes long is told before it is begun, for whoever listens.
    _log.info("Report: missing scores")
    missing_scores, unequal = missing(data)
    _log.info("Report: comparisons")
    compared, cautions = comparisons(data)
    _log.info("Report: figures of the scores")
    figures = scores(data)
    _log.info("Report: figures over time")
    course = over_time(data)
    return [
        at_a_glance(data, [*unequal, *cautions]),
        participants(data),
        recording_flow(data),
        missing_scores,
        figures,
        compared,
        course,
        errors(data),
        methods(data),
        columns(data),
    ]
