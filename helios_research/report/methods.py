"""The methods, for a journal in one paragraph and in full in the appendix, and the codebook."""

import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version

import pandas as pd

from helios_research._util.text import counted
from helios_research._version import __version__
from helios_research.analysis.prepared import count_reasons
from helios_research.columns import Outcome, Source
from helios_research.report.blocks import SAY, Block, Bullets, Text, in_words, listed, table_of
from helios_research.report.data import CHANGE, Found, ReportData
from helios_research.results.codebook import NOT_MEDICAL, codebook, declared_in_words, span
from helios_research.results.shapes import describe_results

_SAY = SAY["methods"]
_LIBRARIES = ("pandas", "numpy", "scipy", "matplotlib")
_EXCLUDED = "excluded: "


def methods(data: ReportData) -> Sequence[Block]:
    """Write the methods in one paragraph."""
    return [Text(" ".join(_sentences(data)))]


def excluded(data: ReportData) -> dict[str, int]:
    """Count the scored recordings that the researchers excluded, by reason."""
    why = data.prepared.excluded[data.table["outcome"] == Outcome.SCORED].dropna()
    return count_reasons(why[why.str.startswith(_EXCLUDED)].str.removeprefix(_EXCLUDED))


def _sentences(data: ReportData) -> Iterator[str]:
    yield from _scoring(data)
    if data.n_with(Outcome.SCORED):
        yield _SAY["estimand"]
        yield from _tests(data)
        yield from _recordings(data)
    if data.settings.hide_small_cells:
        yield _SAY["small_cells"]
    libraries = listed(f"{name} {version(name)}" for name in _LIBRARIES)
    python = sys.version.split()[0]
    yield _SAY["software"].format(version=__version__, python=python, libraries=libraries)


def _scoring(data: ReportData) -> Iterator[str]:
    scored, sources = data.n_with(Outcome.SCORED), data.prepared.sources
    if not scored and not data.column("created_at").notna().any():
        yield _SAY["not_sent"]
        return
    is_sandbox = sources == [Source.SANDBOX.value]
    service = "the sandbox (synthetic scores)" if is_sandbox else "thymia's Helios"
    if at := data.provenance.get("base_url"):
        service = f"{service} at {at}"
    yield _SAY["scored" if scored else "sent"].format(service=service)
    tags = data.provenance.get("tags") or ()
    yield _SAY["with_tags" if tags else "without_tags"].format(tags=listed(tags))
    if declared := declared_in_words(data.provenance):
        yield _SAY["declared"].format(declared=declared)
    if when := span(data.column("run_at")):
        yield _SAY["processed"].format(when=when)
    if again := int((data.column("attempts") > 1).sum()):
        yield _SAY["again"].format(recordings=counted(again, "recording"))


def _tests(data: ReportData) -> Iterator[str]:
    tables: dict[str, Found | None] = {**data.compared, "": data.found.get(CHANGE)}
    found = {name: own for name, own in tables.items() if isinstance(own, pd.DataFrame)}
    done = {name: own for name, own in found.items() if own["p"].notna().any()}
    if not done:
        return
    yield _SAY["primary"].format(primary=data.label(data.primary).lower())
    for name, own in done.items():
        if not name:
            case = "change" if data.dividing else "change_alone"
            yield _SAY[case].format(over=data.repeating, column=data.dividing)
            if own["contrast"].str.startswith("trend").any():
                yield _SAY["trend"].format(over=data.repeating)
            continue
        reference = in_words(name, str(own["reference"].iloc[0]))
        for test in filter(_SAY.get, own["test"].unique()):
            yield _SAY[test].format(column=name, reference=reference)
    tested = pd.concat(done.values()).dropna(subset="p")
    for is_bucketed, case in ((False, "points"), (True, "ranks")):
        if (tested["bucketed"] == is_bucketed).any():
            yield _SAY[case]
    family = tested["biomarker"][tested["role"] == "family"].unique()
    labels = listed(data.label(name).lower() for name in family)
    yield _SAY["family" if len(family) else "no_family"].format(family=labels)


def _recordings(data: ReportData) -> Iterator[str]:
    unscored = len(data.table) - int(data.prepared.counts.sum())
    case, total = "unscored" if unscored else "all_scored", counted(len(data.table), "recording")
    yield _SAY[case].format(unscored=f"{unscored:,}", total=total)
    case = f"warned_{data.settings.warned}" if data.warned.any() else "no_warning"
    yield _SAY[case].format(warned=counted(int(data.warned.sum()), "scored recording"))
    if data.main and data.warned.any():
        yield _SAY["sensitivity"]
    if reasons := excluded(data):
        named = listed(f"{number:,} {reason}" for reason, number in reasons.items())
        number = counted(sum(reasons.values()), "scored recording")
        yield _SAY["excluded"].format(recordings=number, reasons=named)
    if withdrawn := int(data.provenance.get("withdrawn") or 0):
        yield _SAY["withdrawn"].format(withdrawn=f"{withdrawn:,}")


def in_full(data: ReportData) -> Sequence[Block]:
    """Give what each analysis says about its method."""
    analyses = {**data.found, **{f"Scores by {name}": own for name, own in data.compared.items()}}
    about = {
        name: own.attrs["method"] for name, own in analyses.items() if not isinstance(own, str)
    }
    items = tuple(f"{name}: {method}" for name, method in about.items())
    return [Bullets(items), Text(NOT_MEDICAL, look="caution")]


def columns(data: ReportData) -> Sequence[Block]:
    """Give the codebook of the results."""
    sent = [tag for tag in data.provenance.get("tags") or () if tag in data.given.columns]
    book = codebook(describe_results(data.given, sent), values_of=data.by.values())
    book["origin"] = book["origin"].replace("helios_research", "the toolkit")
    book["filled"] = book["filled"].map("{:,}".format)
    return [table_of(book, "Columns of the results")]
