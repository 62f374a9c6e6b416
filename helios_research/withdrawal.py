"""Removing a participant from a study for good.

The ledger comes first: one transaction removes what is known of the participant, and leaves marks
by which their rows are recognized, and the ids of their runs. Then follow the files, the cohort
last, and at the very end the run ids. Every step can be repeated, so the next call finishes a
withdrawal that was killed half-way.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from helios_research._util.files import is_temporary
from helios_research._util.text import composed, counted
from helios_research.api.models import user_label_in
from helios_research.codes import WITHDRAWN
from helios_research.cohort import Cohort
from helios_research.columns import DTYPES, WITHDRAWN_RUNS, Source
from helios_research.errors import UnfinishedWithdrawalError, UnknownParticipantError
from helios_research.ledger import Attempt, Ledger, LedgerReader, Removal, State
from helios_research.ledger.storage import DATABASE_FILES, HOLDER_NAME, LOCK_NAME
from helios_research.results.files import read_footer
from helios_research.results.table import Snapshot
from helios_research.state.loader import hashes_in

COHORT_FILE = "cohort.parquet"
RESULTS_FILE = "results.parquet"

_COMPANIONS = (".codebook.csv", ".codebook.md", ".README.md")
_REPORT = b'<meta name="generator" content="helios_research '
# A report names its generator in its head.
_HEAD_BYTES = 65_536

NEEDED_FILES = frozenset({COHORT_FILE, LOCK_NAME, HOLDER_NAME, *DATABASE_FILES})
"""What cannot be made again; results can."""


@dataclass(frozen=True, slots=True)
class Participant:
    """What a study holds of one participant: rows of the table, and what the ledger has to forget."""

    gone: NDArray[np.bool_]
    removal: Removal

    @classmethod
    def find(cls, ledger: LedgerReader, cohort: Cohort | None, label: str) -> Self:
        """Look up a participant; without a cohort only the ledger is searched."""
        labels, places = _labels_and_places(cohort)
        gone = labels == composed(label)
        seen = {place: sha256 for place, _, sha256 in hashes_in(ledger)}
        kept_places = set(places[~gone])
        heard = {seen.get(place) for place in places[gone]} - {None}
        labels_of: dict[str, set[str]] = {}
        for other, place in zip(labels[~gone], places[~gone], strict=True):
            labels_of.setdefault(seen.get(place) or "", set()).add(other)
        attempts = ledger.attempts()
        theirs = [
            attempt
            for attempt in attempts
            if (sent_for := composed(user_label_in(attempt.request))) == composed(label)
            # Sent under another label, as before the table was corrected.
            or (attempt.sha256 in heard and sent_for not in labels_of.get(attempt.sha256, ()))
        ]
        keys = {attempt.attempt_id for attempt in theirs}
        others = {attempt.sha256 for attempt in attempts if attempt.attempt_id not in keys}
        audio = (heard | {attempt.sha256 for attempt in theirs}) - others
        locations = [
            place for place, sha256 in seen.items() if place not in kept_places or sha256 in audio
        ]
        runs = [_run(attempt) for attempt in theirs if attempt.model_run_id is not None]
        return cls(gone, Removal(label, keys, runs, set(map(str, audio)), locations))

    @property
    def is_known(self) -> bool:
        """Whether the study holds anything of the participant."""
        return bool(self.gone.any() or self.removal.attempt_ids)


@dataclass(frozen=True)
class Withdrawal:
    """What was removed of a participant who has withdrawn.

    Attributes
    ----------
    folder
        The study's folder.
    user_label
        The participant's label.
    rows
        Rows of the table that were removed.
    runs
        Their model runs at Helios, which this study no longer knows: one row per run, with the
        columns of ``columns.WITHDRAWN_RUNS``.
    removed
        Exports and reports in the study's folder that were removed, as they held the participant.
    unsearched
        Other files in the study's folder, which may hold the participant too.
    """

    folder: Path
    user_label: str
    rows: int
    runs: pd.DataFrame
    removed: tuple[Path, ...] = ()
    unsearched: tuple[Path, ...] = ()

    @property
    def letter(self) -> str:
        """What to write to thymia; empty where none of the runs is there."""
        ids = self.runs.loc[self.runs["source"] != Source.SANDBOX, "model_run_id"].tolist()
        if not ids:
            return ""
        return (
            "A participant in our study has withdrawn. Please delete everything that you hold of "
            f"the user label {self.user_label!r} and of these model runs of Helios (recordings, "
            f"metadata, transcripts and scores), and confirm it to us:\n\n{_listed(ids)}"
        )

    def __str__(self) -> str:
        parts = [self._summary()]
        if self.removed:
            parts.append(
                "These files contained the participant and were removed too (write them again with "
                f"study.export or study.report): {', '.join(map(str, self.removed))}"
            )
        if self.unsearched:
            parts.append(f"Look into these files yourself: {', '.join(map(str, self.unsearched))}")
        parts.append(
            "Not reached: the recordings themselves, the manifest, files outside of this folder, "
            "saved notebooks, backups and copies. Remove the participant there too."
        )
        if links := self.runs["open_link"].dropna().tolist():
            parts.append(
                "These links are open: what is recorded there still reaches Helios. Tell the participant "
                f"not to use them, delete them from the files that have them, and ask thymia to close "
                f"them:\n\n{_listed(links)}"
            )
        # Last, where the eye rests: no one else knows these ids now.
        if letter := self.letter:
            parts.append(
                f"Write to thymia now, since the study has forgotten these ids:\n\n{letter}"
            )
        elif not self.runs.empty:
            parts.append(
                "Nothing has to be passed on to thymia: the sandbox made all of these model runs."
            )
        return "\n\n".join(parts)

    __repr__ = __str__

    def _summary(self) -> str:
        if not self.rows and self.runs.empty:
            return f"Nothing was left of {self.user_label!r} in {self.folder}."
        return (
            f"{self.user_label!r} was removed from {self.folder} for good: "
            f"{counted(self.rows, 'row')} of the table, {counted(len(self.runs), 'model run')}. Rows "
            "with this label, or with the same recordings, will not be sent again."
        )


def _listed(names: list[str]) -> str:
    return "\n".join(f"    {name}" for name in names)


def find_participant(folder: Path, label: str) -> Participant:
    """Look up what a study holds of a participant, without changing anything."""
    with Ledger.read(folder) as ledger:
        return _known(ledger, _cohort_in(ledger.folder), label)


def withdraw(folder: Path, label: str, now: Callable[[], datetime]) -> Withdrawal:
    """Remove a participant from a study for good."""
    # Fails where there is no study, instead of making one.
    Ledger.read(folder).close()
    with Ledger.open(folder, clock=now) as ledger:
        cohort = _cohort_in(ledger.folder)
        found = _known(ledger, cohort, label)
        if not ledger.remove(found.removal):
            raise UnfinishedWithdrawalError(folder)
        runs = ledger.withdrawn_runs(label)
        is_news = found.is_known or bool(runs)
        removed, unsearched = _clean_up(ledger.folder, remove=is_news)
        if cohort is not None and is_news:
            kept = cohort.without(found.gone)
            if (ledger.folder / RESULTS_FILE).exists():
                Snapshot(ledger, kept).write(ledger.folder / RESULTS_FILE, ledger.folder.name)
            kept.save(ledger.folder / COHORT_FILE)
        ledger.hand_over_runs(label)
    return Withdrawal(folder, label, int(found.gone.sum()), _table(runs), removed, unsearched)


def readmit(folder: Path, label: str, now: Callable[[], datetime]) -> None:
    """Take a withdrawal back, so that the participant's rows may be sent again."""
    Ledger.read(folder).close()
    with Ledger.open(folder, clock=now) as ledger:
        if not ledger.take_back_withdrawal(label, WITHDRAWN):
            raise UnknownParticipantError(folder, label, [])


def _known(ledger: LedgerReader, cohort: Cohort | None, label: str) -> Participant:
    found = Participant.find(ledger, cohort, label)
    if not found.is_known and not ledger.withdrawn().has_label(label):
        sent = {user_label_in(attempt.request) for attempt in ledger.attempts()}
        labels, _ = _labels_and_places(cohort)
        raise UnknownParticipantError(ledger.folder, label, sorted(sent | set(labels)))
    return found


def _cohort_in(folder: Path) -> Cohort | None:
    path = folder / COHORT_FILE
    return Cohort.load(path) if path.exists() else None


def _labels_and_places(cohort: Cohort | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give the label, in Unicode's form NFC, and location of each row; empty where it has none."""
    names = ["user_label", "recording"]
    fields = pd.DataFrame(columns=names) if cohort is None else cohort.fields[names]
    fields = fields.fillna("").astype(object)
    labels = fields["user_label"].map(composed).astype(object)
    return labels.to_numpy(), fields["recording"].to_numpy()


def _run(attempt: Attempt) -> dict[str, Any]:
    """Describe a run at Helios, as JSON values by the names of ``columns.WITHDRAWN_RUNS``."""
    created, completed = attempt.created_at, attempt.completed_at
    return {
        "model_run_id": attempt.model_run_id,
        "state": attempt.state.value,
        "audio_may_be_there": attempt.upload_began_at is not None or attempt.is_invitation,
        "open_link": attempt.upload_url if attempt.state is State.INVITED else None,
        "delete_data": attempt.delete_data,
        "created_at": created and created.isoformat(),
        "completed_at": completed and completed.isoformat(),
        "source": attempt.source,
    }


def _table(runs: list[dict[str, Any]]) -> pd.DataFrame:
    dtypes = {column.name: DTYPES[column.kind] for column in WITHDRAWN_RUNS}
    columns = {name: pd.Series([run[name] for run in runs], dtype=dtypes[name]) for name in dtypes}
    return pd.DataFrame(columns)


# --- the files in the study's folder --------------------------------------------------------------


def _clean_up(folder: Path, *, remove: bool) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """Remove exports and reports from a study's folder; give them, and the files that are left.

    Without ``remove`` only what killed processes left half-written is removed.
    """
    removed, left = [], []
    found = [Path(place) / name for place, _, names in os.walk(folder) for name in sorted(names)]
    for path in found:
        if path.parent == folder and path.name in {*NEEDED_FILES, RESULTS_FILE}:
            continue
        if is_temporary(path):
            path.unlink()
        elif remove and _is_ours(path):
            path.unlink()
            removed.append(path)
        elif not any(path in _companions(export) for export in removed):
            left.append(path)
    for companion in [one for path in removed for one in _companions(path)]:
        companion.unlink(missing_ok=True)
    return tuple(removed), tuple(left)


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    if all(companion.exists() for companion in _companions(path)):
        return True
    if path.suffix == ".parquet":
        try:
            return bool(read_footer(path))
        except (OSError, ValueError, pa.ArrowException):
            return False
    if path.suffix != ".html":
        return False
    with path.open("rb") as file:
        return _REPORT in file.read(_HEAD_BYTES)


def _companions(path: Path) -> list[Path]:
    return [path.with_name(path.name + ending) for ending in _COMPANIONS]
