"""The first page: what was submitted, when, how it ended, and what to be careful about."""

from collections.abc import Iterable, Iterator

import pandas as pd

from helios_research.analysis.provenance import flagged_note
from helios_research.analysis.reasons import is_flagged
from helios_research.codes import explain
from helios_research.columns import OUTCOME_LABELS, Outcome
from helios_research.report.blocks import Block, Bullets, Facts, Section, Table, Text, table_of
from helios_research.report.subject import Subject
from helios_research.report.wording import count, listed, percent, span
from helios_research.wording import counted

NOT_MEDICAL = (
    "Helios is a wellness tool and not a medical device. Its scores are no diagnosis of anyone, and "
    "nothing about a person's health may be concluded from them alone."
)
_MOST_WARNINGS = 10
_STILL = "of them scored"


def at_a_glance(subject: Subject, cautions: Iterable[str]) -> Section:
    """Say what was submitted and how it ended."""
    blocks: list[Block] = [Facts(_numbers(subject)), Text(_submitted(subject))]
    careful = tuple(dict.fromkeys([*_cautions(subject), *cautions]))
    if careful:
        blocks += [Text("To be careful about:"), Bullets(careful, look="caution")]
    if len(subject.table):
        blocks.append(_outcomes(subject))
    return Section("glance", "At a glance", tuple(blocks))


def _numbers(subject: Subject) -> tuple[tuple[str, str], ...]:
    scored, listed_ = subject.n_with(Outcome.SCORED), len(subject.table)
    return (
        (count(listed_), _plural(listed_, "recording")),
        (count(subject.n_people), _plural(subject.n_people, "participant")),
        (count(scored), f"{_plural(scored, 'recording')} scored"),
        (percent(scored / listed_ if listed_ else float("nan")), "of all recordings"),
    )


def _plural(number: int, thing: str) -> str:
    return thing if number == 1 else f"{thing}s"


def _submitted(subject: Subject) -> str:
    table = subject.table
    if table.empty:
        return "The results have no rows yet: nothing was submitted."
    sentences = [
        f"{counted(len(table), 'recording')} of {counted(subject.n_people, 'participant')} "
        "stood in the manifest."
    ]
    if withdrawn := int(subject.provenance.get("withdrawn") or 0):
        sentences.append(f"Not counted: {counted(withdrawn, 'participant')} who withdrew.")
    created = _moments(subject, "created_at")
    if when := span(created):
        made = int(created.notna().sum())
        sentences.append(f"Model runs for {counted(made, 'recording')} were created {when}.")
    if when := span(_moments(subject, "completed_at")):
        sentences.append(f"Answers came {when}.")
    if not created.notna().any():
        sentences.append("Nothing was sent to Helios yet.")
    if subject.tags:
        sentences.append(f"Results are shown by {listed(subject.tags)}.")
    return " ".join(sentences)


def _moments(subject: Subject, name: str) -> "pd.Series[pd.Timestamp]":
    return pd.to_datetime(subject.text_of(name), utc=True)


def _cautions(subject: Subject) -> Iterator[str]:
    table, scored = subject.table, subject.n_with(Outcome.SCORED)
    if len(table) and not scored:
        yield "No recording has scores, so there is nothing to describe or compare yet."
    pending = subject.n_with(Outcome.PENDING)
    if pending:
        yield f"{counted(pending, 'recording')} did not end yet, so the numbers will change."
    several = int((pd.to_numeric(subject.text_of("n_sections")).fillna(0) > 1).sum())
    if several:
        yield (
            f"{counted(several, 'recording')} had several sections, whose scores are in the column "
            "sections and not in this report."
        )
    warned = len(_warnings(subject))
    if warned:
        yield (
            f"Helios gave warnings with {counted(warned, 'recording')}; their scores are included "
            "and should be treated with caution."
        )
    if flagged := flagged_note(table):
        yield f"{flagged} What to do is under Errors."
    if subject.pooled:
        yield from subject.pooled


def _outcomes(subject: Subject) -> Table:
    counts = subject.table["outcome"].astype("str").value_counts()
    rows = [
        (str(outcome), count(counts[outcome]), percent(counts[outcome] / len(subject.table)), words)
        for outcome, words in OUTCOME_LABELS.items()
        if outcome in counts
    ]
    frame = pd.DataFrame(rows, columns=["outcome", "recordings", "share", "meaning"])
    return table_of(frame, "How the recordings ended", numeric=("recordings", "share"))


def errors(subject: Subject) -> Section:
    """List every error with what to do about it, and the warnings of Helios."""
    codes = subject.text_of("error_code").astype("str")
    blocks: list[Block] = []
    if codes.notna().any():
        blocks.append(_errors(subject, codes))
    else:
        blocks.append(Text("No recording ended in an error."))
    warnings = pd.Series([text for texts in _warnings(subject) for text in texts], dtype="str")
    if len(warnings):
        blocks.append(_warning_table(warnings))
    return Section("errors", "Errors and what to do about them", tuple(blocks))


def _errors(subject: Subject, codes: "pd.Series[str]") -> Table:
    flagged = is_flagged(subject.table)
    rows = []
    for code, number in codes.value_counts().items():
        own = (codes == code).to_numpy(dtype=bool)
        people = subject.table.loc[own, "user_label"].nunique()
        found = explain(str(code))
        scored = count((own & flagged).sum())
        rows.append((str(code), count(number), scored, count(people), found.meaning, found.remedy))
    header = ["code", "recordings", _STILL, "participants", "what it means", "what to do"]
    frame = pd.DataFrame(rows, columns=header)
    notes = ["The column error_reason of the results has the words for each recording."]
    if flagged.any():
        notes.append(
            f"{_STILL.capitalize()}: the manifest was changed after these recordings were sent; "
            "their scores are those of what was sent, and they count."
        )
    return table_of(
        frame if flagged.any() else frame.drop(columns=_STILL),
        "Errors, the most frequent first",
        numeric=("recordings", _STILL, "participants"),
        notes=notes,
    )


def _warnings(subject: Subject) -> list[list[str]]:
    found = [
        [str(text) for text in texts]
        for texts in subject.text_of("warnings")[subject.table["outcome"] == Outcome.SCORED.value]
        if hasattr(texts, "__len__") and not isinstance(texts, str)
    ]
    return [texts for texts in found if texts]


def _warning_table(warnings: "pd.Series[str]") -> Table:
    counts = warnings.value_counts()
    shown = [(str(text), count(number)) for text, number in counts.head(_MOST_WARNINGS).items()]
    more = len(counts) - len(shown)
    notes = (f"{more:,} other warnings are not listed.",) if more else ()
    frame = pd.DataFrame(shown, columns=["warning of Helios", "times"])
    return table_of(frame, "Warnings that came with scores", numeric=("times",), notes=notes)
