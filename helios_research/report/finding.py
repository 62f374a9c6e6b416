"""The opening of a report: what was found, in three sentences and one figure, and the cautions."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd

from helios_research._util.text import counted
from helios_research.analysis.change import MINUS
from helios_research.columns import Outcome
from helios_research.report import blocks
from helios_research.report.blocks import SAY, Block, Bullets, Text, decimal, listed
from helios_research.report.data import ALL, CHANGE, Found, ReportData
from helios_research.report.scores import score_picture
from helios_research.report.small_cells import is_few

_SAY = SAY["finding"]
_MOST_NAMED = 3

Row = dict[Any, Any]


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
        yield _SAY["compared"].format(outcome=data.label(data.primary), groups=groups)
        yield _difference(rows, "it")
    elif changes:
        people = counted(changes[0]["participants_level"], "participant")
        outcome = data.label(data.primary)
        yield _SAY["followed"].format(outcome=outcome, over=data.repeating, people=people)
    else:
        yield _SAY["nothing"].format(why=_why_not(data))
    if changes:
        yield _change(changes)
    elif others := _without_warned(data):
        warned = counted(int(data.warned.sum()), "recording")
        case = f"warned_{data.settings.warned}"
        yield _SAY[case].format(warned=warned, each=listed(map(_size, others)))
    elif total := len(data.table):
        unscored = total - int(data.prepared.counts.sum())
        case = "unscored" if unscored else "all_scored"
        yield _SAY[case].format(unscored=f"{unscored:,}", total=counted(total, "recording"))


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
    return _SAY[case if len(rows) <= _MOST_NAMED else "many"].format(
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
    return _SAY[case].format(per=per, each=_size(rows[0]))


def _why_not(data: ReportData) -> str:
    if not data.n_with(Outcome.SCORED) or not data.primary:
        return _SAY["no_scores"]
    tried = [*data.compared.values(), data.found.get(CHANGE)]
    reasons = [*data.notes, *(found for found in tried if isinstance(found, str))]
    return next(iter(reasons), _SAY["too_few" if data.by else "no_column"])


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
    effect = f"{row['effect_name']} {decimal(row['effect'])}"
    if row["bucketed"]:
        return f"{more}{level} ({effect}; {within}; {p})"
    least = f"less than {10.0**-digits:g}"
    points = decimal(abs(estimate), digits) if round(estimate, digits) else least
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
