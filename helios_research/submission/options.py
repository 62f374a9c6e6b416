"""The options of one submission."""

from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, ModelWrapValidatorHandler, ValidationError, model_validator

from helios_research.config import Parallel
from helios_research.errors import ConfigError
from helios_research.state.status import DecisionOptions

MOST_UPLOADS = Parallel().uploads
"""Uploads for which a client keeps connections; more would only wait for each other."""

_ABOVE_0 = Field(gt=0, allow_inf_nan=False, description="a number above 0")


class SubmitOptions(DecisionOptions):
    """Options of one submission; immutable.

    Attributes
    ----------
    rate
        API requests per second that may be made. Without it the study finds the rate that Helios
        allows, and remembers it.
    max_in_flight
        The most recordings that may be in progress at once. Without it 20 seconds' worth of
        requests, which keeps the rate filled.
    poll_floor_s
        Shortest time between two polls of the same run, in seconds. Helios' documentation
        recommends 3.
    preflight
        Whether recordings are checked first, and those skipped that Helios would refuse.
    transcripts
        Whether transcripts are kept in the study and in the results.
    delete_data
        Whether Helios deletes recording, metadata and scores 12 hours after completion.
    internal_error_retries
        How many more runs are created for a recording whose run ended in ``ERR_INTERNAL``.
    resend_changed
        Whether recordings whose metadata changed after they were sent are sent again, and paid
        for again.
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
        An option has a value that it cannot have.
    """

    rate: Annotated[float | None, _ABOVE_0] = None
    max_in_flight: Annotated[
        int | None, Field(ge=1, description="a whole number of at least 1")
    ] = None
    poll_floor_s: Annotated[float, _ABOVE_0] = 3.0
    transcripts: Annotated[bool, Field(description="True or False")] = False
    uploads: Annotated[
        int,
        Field(ge=1, le=MOST_UPLOADS, description=f"a whole number from 1 to {MOST_UPLOADS}"),
    ] = MOST_UPLOADS
    deadline_s: Annotated[float, _ABOVE_0] = 1800.0
    outage_s: Annotated[float, _ABOVE_0] = 600.0

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_mistake(cls, values: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        """Accept numbers of NumPy, and say of the first wrong option what it has to be."""
        given = {
            name: value.item() if isinstance(value, np.generic) else value
            for name, value in dict(values).items()
        }
        try:
            return build(given)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            if name not in cls.model_fields:
                message = f"A submission has no option {name!r}."
                raise TypeError(message) from None
            expected = cls.model_fields[name].description or ""
            raise ConfigError.setting(name, given[name], expected) from None
