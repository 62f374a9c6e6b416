"""What a report says: the finding and the cautions, the methods for a journal and in full, the codebook."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import pandas as pd

from helios_research._util.text import counted
from helios_research._version import __version__
from helios_research.analysis.change import MINUS
from helios_research.analysis.prepared import count_reasons
from helios_research.columns import Outcome, Source
from helios_research.report import blocks
from helios_research.report.blocks import SAY, Block, Bullets, Text, listed
from helios_research.report.data import ALL, CHANGE, Found, ReportData
from helios_research.report.scores import score_picture
from helios_research.report.small_cells import is_few
from helios_research.results.codebook import NOT_MEDICAL, codebook, declared_in_words, span
from helios_research.results.shapes import describe_results

_FINDING, _METHODS = SAY["finding"], SAY["methods"]
_MOST_NAMED = 3
_LIBRARIES = ("pandas", "numpy", "scipy", "matplotlib")
_EXCLUDED = "excluded: "

Row = dict[Any, Any]


# --- the finding ----------------------------------------------------------------------------------


def finding(data: ReportData, cautions: Iterable[str]) -> Sequence[Block]:
    """Say what was compared, by how much, how sure it is, and how many people it is about."""
    made: list[Block] = [Text(" ".join(sentences(data)), look="finding")]
    if data.biomarkers and data.primary and data.n_with(Outcome.SCORED):
        by = "" if data.opening == ALL else f" by {data.opening}"
        picture = score_picture(data, data.opening, data.primary)
        title = f"{data.label(data.primary)}{by}"
        made.append(blocks.pictures_of([picture], title, elsewhere=data.left, wide=True))
    if careful := tuple(dict.fromkeys([*_cautions(data), *cautions])):
        made += [Text("Cautions", look="heading"), Bullets(careful, look="caution")]
    return made


def sentences(data: ReportData) -> Iterator[str]:
    """Give the three sentences, or say that nothing can be compared."""
    rows, changes = _rows(data, data.compared.get(data.main)), _rows(data, data.found.get(CHANGE))
    if rows:
        groups = _groups(rows)
        yield _FINDING["compared"].format(outcome=data.label(data.primary), groups=groups)
        yield _difference(rows, "it")
    elif changes:
        people = counted(changes[0]["participants_level"], "participant")
        outcome = data.label(data.primary)
        yield _FINDING["followed"].format(outcome=outcome, over=data.repeating, people=people)
    else:
        yield _FINDING["nothing"].format(why=_why_not(data))
    if changes:
        yield _change(changes)
    elif others := _without_warned(data):
        warned = counted(int(data.warned.sum()), "recording")
        case = f"warned_{data.settings.warned}"
        yield _FINDING[case].format(warned=warned, each=listed(map(_size, others)))
    elif total := len(data.table):
        unscored = total - int(data.prepared.counts.sum())
        case = "unscored" if unscored else "all_scored"
        yield _FINDING[case].format(unscored=f"{unscored:,}", total=counted(total, "recording"))


def _rows(data: ReportData, found: Found | None) -> list[Row]:
    """Take the comparisons of the primary outcome that may be shown; of changes, the last."""
    if found is None or isinstance(found, str):
        return []
    own = found[(found["biomarker"] == data.primary) & found["effect"].notna()]
    n_tests = int(own["p"].notna().sum())
    if data.settings.hide_small_cells:
        few = own[["participants_reference", "participants_level"]].apply(is_few)
        own = own[~few.any(axis=1)]
    if "contrast" in own.columns:
        own = own[own["contrast"].eq(own["contrast"].iloc[-1:].squeeze())]
    return [{**row, "n_tests": n_tests} for row in own.to_dict("records")]


def _without_warned(data: ReportData) -> list[Row]:
    if not data.main or not data.warned.any():
        return []
    return _rows(data, data.compare(data.main, other_way=True))[:_MOST_NAMED]


def _difference(rows: list[Row], what: str) -> str:
    clear = sum(_is_clear(row) for row in rows)
    case = "difference" if clear else f"difference{'s' * (len(rows) > 1)}_unclear"
    return _FINDING[case if len(rows) <= _MOST_NAMED else "many"].format(
        reference=_name(rows[0], "reference"),
        what=what,
        each=listed(map(_size, rows)),
        clear=clear,
        number=len(rows),
    )


def _change(rows: list[Row]) -> str:
    later, _, first = rows[0]["contrast"].partition(f" {MINUS} ")
    per = f"from {first} to {later}" if first else later.removeprefix("trend ")
    if rows[0]["reference"]:
        return _difference(rows, f"the change {per}")
    case = "change" if _is_clear(rows[0]) else "change_unclear"
    return _FINDING[case].format(per=per, each=_size(rows[0]))


def _why_not(data: ReportData) -> str:
    if not data.n_with(Outcome.SCORED) or not data.primary:
        return _FINDING["no_scores"]
    tried = [*data.compared.values(), data.found.get(CHANGE)]
    reasons = [*data.notes, *(found for found in tried if isinstance(found, str))]
    return next(iter(reasons), _FINDING["too_few" if data.by else "no_column"])


# --- parts of a row -------------------------------------------------------------------------------


def _estimate(row: Row) -> tuple[float, float, float]:
    name = "effect" if row["bucketed"] else "difference"
    return row[name], row[f"{name}_low"], row[f"{name}_high"]


def _is_clear(row: Row) -> bool:
    _, low, high = _estimate(row)
    return low > 0 or high < 0


def _size(row: Row) -> str:
    """Write how much a level differs, and how sure that is."""
    estimate, low, high = _estimate(row)
    digits = 2 if row["bucketed"] else 3
    more = "higher" if estimate > 0 else "lower"
    level = f" in {_name(row, 'level')}" if row["reference"] else ""
    several = row["n_tests"] > 1
    p = blocks.p_in_words(row["p_holm"], "p (Holm)") if several else blocks.p_in_words(row["p"])
    within = f"95 % interval {blocks.interval(low, high, digits)}"
    effect = f"{row['effect_name']} {blocks.decimal(row['effect'])}"
    if row["bucketed"]:
        return f"{more}{level} ({effect}; {within}; {p})"
    least = f"less than {10.0**-digits:g}"
    points = blocks.decimal(abs(estimate), digits) if round(estimate, digits) else least
    return f"{points} points {more}{level} ({within}; {effect}; {p})"


def _name(row: Row, side: str) -> str:
    return blocks.in_words(str(row["tag"]), str(row[side]))


def _groups(rows: list[Row]) -> str:
    if len(rows) > _MOST_NAMED:
        return f"{len(rows) + 1} levels of {rows[0]['tag']}"
    sides = [(rows[0], "reference"), *((row, "level") for row in rows)]
    return listed(
        f"{_name(row, side)} ({counted(row[f'participants_{side}'], 'participant')}, "
        f"{counted(row[f'recordings_{side}'], 'scored recording')})"
        for row, side in sides
    )


# --- cautions -------------------------------------------------------------------------------------


def _cautions(data: ReportData) -> Iterator[str]:
    sections = pd.to_numeric(data.column("n_sections")).fillna(0) > 1
    kept = data.warned if data.settings.warned == "keep" else data.warned[:0]
    numbers = {
        "pending": data.n_with(Outcome.PENDING),
        "invited": data.n_with(Outcome.INVITED),
        "sections": int(sections.sum()),
        "warned": int(kept.sum()),
    }
    for case, number in numbers.items():
        if number:
            are = "is" if number == 1 else "are"
            yield SAY["cautions"][case].format(recordings=counted(number, "recording"), are=are)
    for note in data.prepared.notes:
        see = " See Errors for what to do." if note == data.prepared.flagged_note else ""
        yield f"{note}{see}"
    if data.left:
        yield data.left
    yield from data.notes


# --- the methods ----------------------------------------------------------------------------------


def methods(data: ReportData) -> Sequence[Block]:
    """Write the methods in one paragraph."""
    return [Text(" ".join(_methods(data)))]


def excluded(data: ReportData) -> dict[str, int]:
    """Count the scored recordings that the researchers excluded, by reason."""
    why = data.prepared.excluded[data.table["outcome"] == Outcome.SCORED].dropna()
    return count_reasons(why[why.str.startswith(_EXCLUDED)].str.removeprefix(_EXCLUDED))


def _methods(data: ReportData) -> Iterator[str]:
    yield from _scoring(data)
    if data.n_with(Outcome.SCORED):
        yield _METHODS["estimand"]
        yield from _tests(data)
        yield from _recordings(data)
    if data.settings.hide_small_cells:
        yield _METHODS["small_cells"]
    libraries = listed(f"{name} {version(name)}" for name in _LIBRARIES)
    python = sys.version.split()[0]
    yield _METHODS["software"].format(version=__version__, python=python, libraries=libraries)


def _scoring(data: ReportData) -> Iterator[str]:
    scored, sources = data.n_with(Outcome.SCORED), data.prepared.sources
    if not scored and not data.column("created_at").notna().any():
        yield _METHODS["not_sent"]
        return
    is_sandbox = sources == [Source.SANDBOX.value]
    service = "the sandbox (synthetic scores)" if is_sandbox else "thymia's Helios"
    if at := data.provenance.get("base_url"):
        service = f"{service} at {at}"
    yield _METHODS["scored" if scored else "sent"].format(service=service)
    tags = data.provenance.get("tags") or ()
    yield _METHODS["with_tags" if tags else "without_tags"].format(tags=listed(tags))
    if declared := declared_in_words(data.provenance):
        yield _METHODS["declared"].format(declared=declared)
    if when := span(data.column("run_at")):
        yield _METHODS["processed"].format(when=when)
    if again := int((data.column("attempts") > 1).sum()):
        yield _METHODS["again"].format(recordings=counted(again, "recording"))


def _tests(data: ReportData) -> Iterator[str]:
    tables: dict[str, Found | None] = {**data.compared, "": data.found.get(CHANGE)}
    found = {name: own for name, own in tables.items() if isinstance(own, pd.DataFrame)}
    done = {name: own for name, own in found.items() if own["p"].notna().any()}
    if not done:
        return
    yield _METHODS["primary"].format(primary=data.label(data.primary).lower())
    for name, own in done.items():
        if not name:
            case = "change" if data.dividing else "change_alone"
            yield _METHODS[case].format(over=data.repeating, column=data.dividing)
            if own["contrast"].str.startswith("trend").any():
                yield _METHODS["trend"].format(over=data.repeating)
            continue
        reference = blocks.in_words(name, str(own["reference"].iloc[0]))
        for test in filter(_METHODS.get, own["test"].unique()):
            yield _METHODS[test].format(column=name, reference=reference)
    tested = pd.concat(done.values()).dropna(subset="p")
    for is_bucketed, case in ((False, "points"), (True, "ranks")):
        if (tested["bucketed"] == is_bucketed).any():
            yield _METHODS[case]
    family = tested["biomarker"][tested["role"] == "family"].unique()
    labels = listed(data.label(name).lower() for name in family)
    yield _METHODS["family" if len(family) else "no_family"].format(family=labels)


def _recordings(data: ReportData) -> Iterator[str]:
    unscored = len(data.table) - int(data.prepared.counts.sum())
    case, total = "unscored" if unscored else "all_scored", counted(len(data.table), "recording")
    yield _METHODS[case].format(unscored=f"{unscored:,}", total=total)
    case = f"warned_{data.settings.warned}" if data.warned.any() else "no_warning"
    yield _METHODS[case].format(warned=counted(int(data.warned.sum()), "scored recording"))
    if data.main and data.warned.any():
        yield _METHODS["sensitivity"]
    if reasons := excluded(data):
        named = listed(f"{number:,} {reason}" for reason, number in reasons.items())
        number = counted(sum(reasons.values()), "scored recording")
        yield _METHODS["excluded"].format(recordings=number, reasons=named)
    if withdrawn := int(data.provenance.get("withdrawn") or 0):
        yield _METHODS["withdrawn"].format(withdrawn=f"{withdrawn:,}")


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
    return [blocks.table_of(book, "Columns of the results")]
