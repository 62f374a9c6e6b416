"""What the researcher decided about recordings, each for the bytes that were listened to."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path

import pandas as pd

from helios_research.codes import LEFT_OUT
from helios_research.cohort.reading import read_table
from helios_research.columns import BORDERLINE, LEAVE_OUT, SEND, Verdict
from helios_research.errors import ConfigError
from helios_research.ledger import Ledger, LedgerReader
from helios_research.preflight_checks.check import Check

VerdictTable = pd.DataFrame | str | PathLike[str]
"""The table of `Study.borderline` with verdicts, or the path of a file of it."""

_VERDICT = "verdict"
_LEFT_OUT = "You left it out after listening to it."


class Verdicts:
    """The verdicts that a study remembers."""

    def __init__(self, ledger: LedgerReader) -> None:
        found = ledger.all_checks(_VERDICT, "$.verdict")
        self._known = {sha256: verdict for _, sha256, verdict in found}

    def applied(self, check: Check) -> Check:
        """Let the researcher's verdict on a recording count more than the preflight's."""
        verdict = self._known.get(check.sha256 or "")
        if verdict == LEAVE_OUT:
            fail = Verdict.FAIL
            return replace(check, verdict=fail, predicted_error_code=LEFT_OUT, reason=_LEFT_OUT)
        return replace(check, verdict=Verdict.WARN) if verdict == SEND else check


def remember_verdicts(ledger: Ledger, seen: Mapping[str, Check], verdicts: VerdictTable) -> None:
    """Keep the verdicts that are filled in, or none where one cannot be used."""
    if not isinstance(verdicts, pd.DataFrame):
        wanted = [column.name for column in BORDERLINE]
        path = Path(verdicts).expanduser()
        verdicts = read_table(path, sheet=None, expected=wanted).frame
    if not {"sha256", "verdict"} <= {*verdicts.columns}:
        raise ConfigError.verdicts("the table lacks the column sha256 or verdict")
    # By location, so that a withdrawal removes them with the checks.
    places = defaultdict[str, list[str]](list)
    for location, check in seen.items():
        places[check.sha256 or ""].append(location)
    kept = []
    for sha256, verdict in verdicts[["sha256", "verdict"]].dropna().itertuples(index=False):
        said = str(verdict).strip().lower()
        if said not in {SEND, LEAVE_OUT, ""}:
            raise ConfigError.verdicts(f"{verdict!r} is not a verdict")
        if said and sha256 not in places:
            raise ConfigError.verdicts(f"no checked recording has the SHA-256 {sha256}")
        kept += [(place, sha256, {"verdict": said}) for place in places[sha256] if said]
    ledger.store_checks(_VERDICT, kept)
