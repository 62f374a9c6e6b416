"""How a submission is carried out: what a researcher may set, with what each setting does."""

import math
from dataclasses import dataclass
from typing import TypedDict

from helios_research.errors import ConfigError
from helios_research.submission.standing import Rules


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """Settings of one submission.

    Attributes
    ----------
    rate
        API requests per second that may be made. Without it the rate that Helios allows is found
        out and remembered with the study.
    max_in_flight
        The most recordings that may be under way at once. Without it 20 seconds' worth of
        requests, which is what keeps a rate filled.
    poll_floor_s
        Shortest time between two questions about the same run, in seconds. Helios'
        documentation recommends 3.
    preflight
        Whether recordings are checked first and those skipped that Helios would refuse.
    transcripts
        Whether what was said is kept in the study and in the results.
    delete_data
        Whether Helios deletes recording, metadata and scores 12 hours after completion.
    internal_error_retries
        How many more runs are created for a recording whose run ended in ``ERR_INTERNAL``.
    resend_changed
        Whether recordings whose metadata changed after they were sent are sent again, which is
        paid for again.
    uploads
        Uploads at the same time, at most 8.
    deadline_s
        How long a run may take after its upload, in seconds, before it is left ``pending`` with
        ``TIMED_OUT``; the next submission asks for it again.
    outage_s
        How long one request is tried again, in seconds, before its recording is left ``pending``.

    Raises
    ------
    ConfigError
        A number that makes no sense.
    """

    rate: float | None = None
    max_in_flight: int | None = None
    poll_floor_s: float = 3.0
    preflight: bool = True
    transcripts: bool = False
    delete_data: bool = False
    internal_error_retries: int = 3
    resend_changed: bool = False
    uploads: int = 8
    deadline_s: float = 1800.0
    outage_s: float = 600.0

    def __post_init__(self) -> None:
        for name in ("rate", "max_in_flight", "uploads", "poll_floor_s", "deadline_s", "outage_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                message = f"{name} is {value!r}: it has to be a number above 0."
                raise ConfigError(message)
        if self.internal_error_retries < 0:
            message = f"internal_error_retries is {self.internal_error_retries}: it is 0 or more."
            raise ConfigError(message)

    @property
    def rules(self) -> Rules:
        """What the judge of a row has to know of them."""
        return Rules(preflight=self.preflight, resend_changed=self.resend_changed)


class SubmitSettings(TypedDict, total=False):
    """The fields of `SubmitOptions` as keyword arguments of ``Study.submit`` and ``start``."""

    rate: float | None
    max_in_flight: int | None
    poll_floor_s: float
    preflight: bool
    transcripts: bool
    delete_data: bool
    internal_error_retries: int
    resend_changed: bool
    uploads: int
    deadline_s: float
    outage_s: float
