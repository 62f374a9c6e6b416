"""The table of invitations: one row per participant and session, with the link to mail."""

from pathlib import Path
from typing import Any

import pandas as pd

from helios_research._util.files import replaced
from helios_research.cohort import Cohort
from helios_research.columns import INVITATIONS, LINK
from helios_research.errors import InvitationError, storage_errors
from helios_research.ledger import Attempt, LedgerReader, State, is_invitation
from helios_research.results.files import prepare_for_csv, write_csv, write_sheet
from helios_research.results.shapes import ExportTable
from helios_research.state.loader import StatusLoader
from helios_research.state.status import RowStatus

_SUFFIXES = (".csv", ".xlsx")


class Invitations(pd.DataFrame):
    """A table of invitations, whose display shows no link: a saved notebook would keep it."""

    @property
    def _constructor(self) -> type["Invitations"]:
        return Invitations

    def __repr__(self) -> str:
        return repr(self._without_links())

    def _repr_html_(self) -> Any:
        # Unknown to the types of pandas.
        return self._without_links()._repr_html_()  # type: ignore[operator]

    def _without_links(self) -> pd.DataFrame:
        shown = pd.DataFrame(self)
        if LINK in shown.columns:
            shown[LINK] = shown[LINK].mask(shown[LINK].notna(), "(secret)")
        return shown


def invitations_in(ledger: LedgerReader, cohort: Cohort) -> Invitations:
    """Give the rows of a cohort whose participants record themselves, or are to."""
    attempts = {attempt.attempt_id: attempt for attempt in ledger.invitations()}
    statuses = StatusLoader(ledger, cohort).statuses()
    lacking = cohort.fields["recording"].isna()
    chosen = [
        position
        for position, (status, lacks) in enumerate(zip(statuses, lacking, strict=True))
        if lacks or is_invitation(status.sha256)
    ]
    facts = [
        _facts(statuses[place], attempts.get(statuses[place].attempt_id or 0)) for place in chosen
    ]
    names = [column.name for column in INVITATIONS]
    made = pd.DataFrame(facts, columns=names, index=pd.Index(chosen, dtype="int64")).astype("str")
    keys = cohort.fields[["recording_id", "user_label"]]
    own = cohort.own_columns.rename(columns={LINK: f"my_{LINK}"})
    table = pd.concat([keys.loc[chosen], own.loc[chosen], made], axis="columns")
    return Invitations(table.reset_index(drop=True))


def _facts(status: RowStatus, attempt: Attempt | None) -> dict[str, str | None]:
    found = {name: getattr(status, name) for name in ("outcome", "error_code", "error_reason")}
    if attempt is None:
        return found
    is_open = attempt.state is State.INVITED and attempt.upload_url
    link = "".join(attempt.upload_url or "") if is_open else None
    return found | {LINK: link, "model_run_id": attempt.model_run_id}


def check_ending(path: Path) -> Path:
    """Refuse a file that invitations cannot be written to."""
    if path.suffix.lower() not in _SUFFIXES:
        raise InvitationError.ending(path)
    return path


def write_invitations(table: pd.DataFrame, path: Path) -> None:
    """Write invitations for mail merge, readable for the owner alone."""
    with storage_errors(path), replaced(path) as unfinished:
        if path.suffix.lower() == ".xlsx":
            write_sheet(pd.DataFrame(table), "invitations", unfinished)
        else:
            write_csv(prepare_for_csv(ExportTable(pd.DataFrame(table), {})), unfinished)
