"""How a submission is carried out: what a researcher may set, with what each setting does."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, TypedDict

from helios_research.config import Parallel
from helios_research.errors import ConfigError
from helios_research.state.status import Rules

MOST_UPLOADS = Parallel().uploads
"""Uploads for which a client keeps connections; more would only wait for each other."""


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
        Uploads at the same time, from 1 to 8.
    deadline_s
        How long a run may take after its upload, in seconds, before it is left ``pending`` with
        ``TIMED_OUT``; the next submission asks for it again.
    outage_s
        How long one request is tried again, in seconds, before its recording is left ``pending``.

    Raises
    ------
    ConfigError
        A setting is not what it has to be.
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
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if value is None and name in _MAY_BE_FOUND_OUT:
                continue
            if not kind.takes(value):
                raise ConfigError.setting(name, value, kind.words)

    @property
    def rules(self) -> Rules:
        """What the judge of a row has to know of them."""
        return Rules(preflight=self.preflight, resend_changed=self.resend_changed)


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a setting has to be, as a test and in words."""

    takes: Callable[[Any], bool]
    words: str


def _is_number(value: Any) -> bool:
    # True counts as 1 in Python; nobody means that by it.
    return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral)


_ABOVE_0 = _Kind(lambda value: _is_number(value) and value > 0, "a number above 0")
_FROM_1 = _Kind(lambda value: _is_whole(value) and value >= 1, "a whole number from 1 on")
_YES_OR_NO = _Kind(lambda value: isinstance(value, bool), "True or False")

_KINDS = {
    "rate": _ABOVE_0,
    "max_in_flight": _FROM_1,
    "poll_floor_s": _ABOVE_0,
    "preflight": _YES_OR_NO,
    "transcripts": _YES_OR_NO,
    "delete_data": _YES_OR_NO,
    "internal_error_retries": _Kind(
        lambda value: _is_whole(value) and value >= 0, "a whole number from 0 on"
    ),
    "resend_changed": _YES_OR_NO,
    "uploads": _Kind(
        lambda value: _is_whole(value) and 1 <= value <= MOST_UPLOADS,
        f"a whole number from 1 to {MOST_UPLOADS}",
    ),
    "deadline_s": _ABOVE_0,
    "outage_s": _ABOVE_0,
}
_MAY_BE_FOUND_OUT = frozenset({"rate", "max_in_flight"})


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
