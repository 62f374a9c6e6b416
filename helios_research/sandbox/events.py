"""The records that the sandbox's log keeps."""

from dataclasses import dataclass
from datetime import datetime

from helios_research.sandbox.faults import Fault, Step


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was answered, or was meant not to be."""

    at: datetime
    step: Step
    status: int | None
    fault: Fault | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Put:
    """One upload whose bytes all arrived."""

    at: datetime
    sha256: str
    size_bytes: int
    media_type: str
    run_status: str
    taken: bool


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that a client must never do."""

    at: datetime
    what: str
    run_id: str | None
