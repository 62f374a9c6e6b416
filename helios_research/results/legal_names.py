"""What SPSS and Stata take as names, labels, texts and numbers."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one statistics program takes."""

    name: str
    longest_name: int
    longest_label: int
    longest_text: int
    largest_number: float
    reserved: re.Pattern[str]
    labels_fractions: bool


_SPSS_WORDS = "all and by eq ge gt le lt ne not or to with"
_STATA_WORDS = (
    "_all _b _coef _cons _n _pi _pred _rc _skip aggregate array boolean break byte case catch "
    "class colvector complex const continue default delegate delete do double else end enum "
    "explicit export external float for friend function global goto if in inline int local "
    "long mata matrix namespace new numeric null operator pi polymorphic pragma private "
    "protected public quad real return rowvector scalar short static strl string struct super "
    "switch template this throw transmorphic try typedef typename union using vector version "
    "virtual void volatile while with"
)

# Limits of SPSS's "Variable names" and Stata's "[R] Limits" and "[U] 11.3 Naming conventions".
SPSS = Dialect(
    "SPSS",
    longest_name=64,
    longest_label=255,
    longest_text=32_767,
    largest_number=1.797e308,
    reserved=re.compile("|".join(_SPSS_WORDS.split())),
    labels_fractions=True,
)
STATA = Dialect(
    "Stata",
    longest_name=32,
    longest_label=80,
    longest_text=32_767,
    largest_number=8.988e307,
    # Stata's types of text are str1, str2 and so on; readstat, which pyreadstat writes with, takes
    # whatever begins like one for it.
    reserved=re.compile(rf"{'|'.join(_STATA_WORDS.split())}|str[0-9].*"),
    labels_fractions=False,
)


def legal_names(names: Iterable[str], dialect: Dialect) -> dict[str, str]:
    """Find a name for each column that a statistics program takes."""
    own = list(names)
    chosen = {name: name for name in own if _is_legal(name, dialect)}
    taken = {name.lower() for name in chosen}
    if len(taken) < len(chosen):
        # Names that differ in capitals only: the first keeps its name.
        chosen, taken = {}, set()
        for name in filter(lambda name: _is_legal(name, dialect), own):
            if name.lower() not in taken:
                chosen[name] = name
                taken.add(name.lower())
    for name in own:
        if name not in chosen:
            chosen[name] = _free(_plain(name, dialect), taken, dialect)
            taken.add(chosen[name].lower())
    return chosen


def _is_legal(name: str, dialect: Dialect) -> bool:
    fits = len(name) <= dialect.longest_name and not _is_reserved(name, dialect)
    return fits and re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*(?<!_)", name) is not None


def _is_reserved(name: str, dialect: Dialect) -> bool:
    return dialect.reserved.fullmatch(name.lower()) is not None


def _plain(name: str, dialect: Dialect) -> str:
    letters = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9]+", "_", letters).strip("_")
    if not plain or not plain[0].isalpha() or _is_reserved(plain, dialect):
        plain = f"v_{plain}".rstrip("_")
    return plain[: dialect.longest_name].rstrip("_")


def _free(name: str, taken: set[str], dialect: Dialect) -> str:
    found, number = name, 1
    while found.lower() in taken:
        number += 1
        found = f"{name[: dialect.longest_name - len(str(number)) - 1]}_{number}"
    return found
