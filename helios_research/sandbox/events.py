"""The records that the sandbox's log keeps."""

from dataclasses import dataclass
from datetime import datetime

from helios_research.sandbox.faults import Fault, Step


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was answered, or was meant not to be.

    Attributes
    ----------
    at
        When it arrived, UTC.
    step
        Its kind.
    status
        The status that was sent; None where a fault dropped the connection instead, 499 where the
        client did.
    fault
        What was made to go wrong with it.
    path
        Its path, which names the run; without the query, where an upload's signature stands.
    """

    at: datetime
    step: Step
    status: int | None
    fault: Fault | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Put:
    """One upload whose bytes all arrived.

    Attributes
    ----------
    at
        When it was complete, UTC.
    sha256
        SHA-256 of the bytes.
    size_bytes
        Their number.
    media_type
        The Content-Type it was sent with.
    run_status
        State of the run when it was complete.
    taken
        Whether it became the run's recording.
    """

    at: datetime
    sha256: str
    size_bytes: int
    media_type: str
    run_status: str
    taken: bool


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that a client must never do.

    Attributes
    ----------
    at
        When it happened, UTC.
    what
        What was done, in words.
    run_id
        The run that it was done to, where there is one.
    """

    at: datetime
    what: str
    run_id: str | None
