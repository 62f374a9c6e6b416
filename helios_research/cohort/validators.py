"""What is wrong with one value."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import partial

from helios_research._util.text import counted, literal
from helios_research.cohort.issues import Problem, Validator, shortened
from helios_research.columns import (
    BIRTH_SEX_SPELLINGS,
    BIRTH_SEXES,
    LONGEST_LABEL,
    SEX_WORDS,
    Severity,
)

_EARLIEST_YEAR = 1900
"""No speaker of a recording was born before: an older date is a slip."""

_USUAL_AGES = range(3, 100)
"""Years outside of which a participant is unlikely: a younger one does not speak for 10 s, and an older
one is most often a placeholder such as 1900-01-01, or a year of two digits in the wrong century."""

# The pattern of the API's contract.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PART_OF_DATE = re.compile(r"[0-9]{4}(-[0-9]{2})?")
_TIME_OF_DAY = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
_LOCAL_TIME = re.compile(rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_TIME_OF_DAY}")
_ZONED_TIME = re.compile(rf"{_LOCAL_TIME.pattern} ?(Z|[+-][0-9]{{2}}:?([0-9]{{2}})?)")
_DATE_REMEDY = "Write year-month-day, as in 1985-03-31 for 31 March 1985."
_TIME_REMEDY = "Write it as in 2026-03-31T07:45:00."
# Shapes of what identifies a person; guesses, so they only warn.
_IDENTIFIERS = {
    r"[^@\s]+@[^@\s]+\.[^@\s]+": "an e-mail address",
    r"(?<![0-9])(?<![0-9][ -])[0-9](?:[ -]?[0-9]){9}(?![ -]?[0-9])": "a 10-digit patient number",
    r"(?<![0-9])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![0-9])": "a social security number",
    r"\+[0-9][0-9 ()./-]{7,}": "a telephone number",
}
# In a tag, a date may be that of the visit, and two words the arm of the study.
_IN_LABEL = _IDENTIFIERS | {
    r"(?<![0-9])(19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}(?![0-9])": "a date of birth",
    r"[^\W\d_a-z][^\W\d_A-Z]+,? [^\W\d_a-z][^\W\d_A-Z]+": "a person's name",
}
_NOT_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\ufffd]")
_NOT_TEXT_IN_TAG = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")

# In English, German, French, Spanish and Italian.
_ERROR_CELL = re.compile(r"#(N/A|N/D|N/V|NV|[¡¿]?[A-ZÀ-Ü/0]+[!?])")


def latest_now() -> datetime:
    """Give the local time where it is latest on Earth: what is later is in the future everywhere."""
    return (datetime.now(UTC) + timedelta(hours=14)).replace(tzinfo=None)


def date_of_birth(now: datetime, form: str | None = None) -> Validator:
    """Make the validator of dates of birth that are written in a form."""

    def validate(value: str) -> Problem | None:
        if not _DATE.fullmatch(value):
            return Problem("Not an ISO 8601 date.", _date_remedy(value))
        try:
            born = date.fromisoformat(value)
        except ValueError:
            return Problem("There is no such day in the calendar.", _DATE_REMEDY)
        return _unusual_age(born, now.date(), form) or _out_of_range(born, now.date(), _DATE_REMEDY)

    return validate


def local_time(now: datetime, column: str) -> Validator:
    """Make the validator of a column's local dates and times."""
    cells = f"df[{column!r}]"
    remedy = (
        "Write the speaker's own local time without a zone, as in 2026-03-31T07:45:00, or convert a "
        f"DataFrame with the speaker's zone: {cells} = pd.to_datetime({cells}, utc=True)"
        ".dt.tz_convert('Europe/London').dt.tz_localize(None)"
    )

    def validate(value: str) -> Problem | None:
        if _ZONED_TIME.fullmatch(value):
            return Problem("The time has a zone.", remedy)
        if not _LOCAL_TIME.fullmatch(value):
            return Problem("Not an ISO 8601 date and time.", _TIME_REMEDY)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return Problem("There is no such day or time.", _TIME_REMEDY)
        return _out_of_range(moment, now, _TIME_REMEDY)

    return validate


def birth_sex(value: str) -> Problem | None:
    """Check a sex at birth."""
    # Beyond ASCII, other letters become these in upper case, such as the dotless i.
    if value.isascii() and value.upper() in BIRTH_SEX_SPELLINGS:
        return None
    return unclear_sex(value)


def unclear_sex(code: str) -> Problem:
    """Say that a code for a sex at birth has to be declared."""
    accepted = ", ".join(f"{sex} or {sex[0]}" for sex in BIRTH_SEXES)
    line = values_line("birth_sex", code, SEX_WORDS.get(code.casefold()))
    return Problem(
        "It is not clear which sex at birth this is.",
        f"Write one of: {accepted} (in any case), or declare what it means: {line}.",
    )


def values_line(field: str, code: str, meaning: str | None) -> str:
    """Write the declaration of one value, with … where only the researcher knows its meaning."""
    return f"values={literal({field: {shortened(code): meaning or '…'}})}"


def language(value: str) -> Problem | None:
    """Check a language tag."""
    if value.endswith("-UK") and _LANGUAGE.fullmatch(value):
        suggestion = value.removesuffix("UK") + "GB"
        return Problem(
            "UK is not a region of BCP 47.", f"Did you mean {suggestion}?", Severity.WARNING
        )
    if _LANGUAGE.fullmatch(value):
        return None
    likely = _likely_language(value)
    line = values_line("language", value, likely)
    remedy = f"Write it as in en-GB, es or zh-Hant-TW, or declare what it means: {line}."
    return Problem("Not a BCP 47 language tag.", remedy)


def user_label(value: str) -> Problem | None:
    """Check the length of a participant's label."""
    if len(value) <= LONGEST_LABEL:
        return None
    return Problem(
        f"The label has {len(value)} characters; {LONGEST_LABEL} are allowed.",
        "Give the participant a shorter pseudonym, the same in all rows.",
    )


def _text(not_text: re.Pattern[str], value: str) -> Problem | None:
    if not_text.search(value):
        return _UNTEXT
    return _NOT_CALCULATED if _ERROR_CELL.fullmatch(value) else None


field_text = partial(_text, _NOT_TEXT)
tag_text = partial(_text, _NOT_TEXT_IN_TAG)
"""Check the characters of a value; a tag may have several lines."""

HIDDEN = "unusual spaces or dashes, invisible characters or accents stored apart from their letters"

_NOT_CALCULATED = Problem(
    "The cell holds an error of a spreadsheet, not a value.",
    "Correct its formula there, or write the value itself.",
)
_UNTEXT = Problem(
    "It contains characters that are not text.", "Type the cell again, or save the table in UTF-8."
)


def _personal(shapes: Mapping[re.Pattern[str], str], value: str) -> Problem | None:
    for shape, what in shapes.items():
        if not value.isalpha() and shape.search(value):
            return Problem(
                f"This looks like {what}, and it would be sent.",
                "Use a pseudonym that cannot be traced to the person.",
                Severity.WARNING,
            )
    return None


personal_label, personal_tag = (
    partial(_personal, {re.compile(shape): what for shape, what in shapes.items()})
    for shapes in (_IN_LABEL, _IDENTIFIERS)
)
"""Check whether a value could identify a person."""


def _date_remedy(value: str) -> str:
    if _PART_OF_DATE.fullmatch(value):
        return f"Write 01 for an unknown day or month, as in {(value + '-01-01')[:10]}."
    if _DATE.match(value):
        return "Write the date alone, as in 1985-03-31."
    return _DATE_REMEDY


def _unusual_age(born: date, now: date, form: str | None) -> Problem | None:
    age = now.year - born.year - ((now.month, now.day) < (born.month, born.day))
    if age in _USUAL_AGES or not _EARLIEST_YEAR <= born.year < now.year + 100:
        return None
    meant = f"{born.year + (100 if age >= _USUAL_AGES.stop else -100)}{born:-%m-%d}"
    # A declared value is the cell's own, not the date that it is read as.
    line = "" if form else f", or declare {values_line('date_of_birth', f'{born}', meant)}"
    remedy = f"If {meant} is meant, correct it{line}."
    if born > now:
        return Problem("This is in the future.", remedy)
    return Problem(
        f"The participant would be {counted(age, 'year')} old.", remedy, Severity.WARNING
    )


def _out_of_range(moment: date, now: date, remedy: str) -> Problem | None:
    if moment > now:
        return Problem("This is in the future.", f"Correct it. {remedy}")
    if moment.year < _EARLIEST_YEAR:
        return Problem(f"This is before {_EARLIEST_YEAR}.", f"Correct it. {remedy}")
    return None


def _likely_language(value: str) -> str | None:
    parts = re.split(r"[-_]", value)
    cased = [parts[0].lower()]
    cased += [part.title() if len(part) == 4 else part.upper() for part in parts[1:]]
    likely = "-".join(cased)
    return likely if _LANGUAGE.fullmatch(likely) else None
