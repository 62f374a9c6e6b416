"""Sending a cohort. Here is what every part of it is given: the options, and the time."""

import asyncio
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator

from helios_research.config import Parallel
from helios_research.errors import ConfigError
from helios_research.state.status import DecisionOptions, YesNo

MOST_UPLOADS = Parallel().uploads
"""Uploads for which a client keeps connections; more would only wait for each other."""

_ABOVE_0 = Field(gt=0, allow_inf_nan=False, description="a number above 0")
_AT_LEAST_1 = Field(ge=1, description="a whole number of at least 1")
_UPLOADS = Field(ge=1, le=MOST_UPLOADS, description=f"a whole number from 1 to {MOST_UPLOADS}")
_SHARE = Field(gt=0, le=1, allow_inf_nan=False, description="a number above 0 and up to 1, or None")


class SubmitOptions(DecisionOptions):
    """Options of one submission, immutable; `Study.submit` has them as keywords and describes each.

    Raises
    ------
    ConfigError
        An option has a value that it cannot have.
    """

    ask_invited: YesNo = False
    rate: Annotated[float | None, _ABOVE_0] = None
    max_in_flight: Annotated[int | None, _AT_LEAST_1] = None
    poll_floor_s: Annotated[float, _ABOVE_0] = 3.0
    transcripts: YesNo = False
    uploads: Annotated[int, _UPLOADS] = MOST_UPLOADS
    deadline_s: Annotated[float, _ABOVE_0] = 1800.0
    patience: Annotated[float, _ABOVE_0] = 600.0
    stop_at_error_rate: Annotated[float | None, _SHARE] = 0.9

    @classmethod
    def among(cls, values: Mapping[str, Any]) -> Self:
        """Take the options from the arguments of a call, which may have others too."""
        return cls(**{name: values[name] for name in cls.model_fields})

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_mistake(cls, values: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        """Accept numbers of NumPy, and name the first wrong option with what it must be."""
        given = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in dict(values).items()
        }
        try:
            return build(given)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            if name not in cls.model_fields:
                raise TypeError(f"A submission has no option {name!r}.") from None
            expected = cls.model_fields[name].description or ""
            raise ConfigError.setting(name, given[name], expected) from None


# Longest wait that is left to the event loop's own timer (our choice). It counts on CLOCK_MONOTONIC,
# which stops while a Linux machine is suspended: after a laptop was closed for two hours, a wait of
# 120 s would still have 120 s to go.
LONGEST_NAP_S = 5.0

_COUNTS_SLEEP = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}


class Clock:
    """The machine's clock; a suspended laptop's sleep counts as time that has passed."""

    def __init__(self) -> None:
        self._source: int | None = getattr(time, _COUNTS_SLEEP.get(sys.platform, ""), None)

    def now(self) -> datetime:
        """Give the time of day, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Count seconds that never go backwards."""
        return time.monotonic() if self._source is None else time.clock_gettime(self._source)

    def awake(self) -> float:
        """Count the seconds in which programs could run."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait, looking at the clock again every few seconds."""
        due = self.monotonic() + seconds
        await asyncio.sleep(min(seconds, LONGEST_NAP_S))
        # Nothing can signal that the machine woke up; looking again is the only way to tell.
        while (left := due - self.monotonic()) > 0:  # noqa: ASYNC110 — see the line above
            await asyncio.sleep(min(left, LONGEST_NAP_S))
