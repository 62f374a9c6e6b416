"""Time that jumps instead of passing, for tests and simulations of whole submissions."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

Result = TypeVar("Result")

SHORTEST_STEP_S = 1e-6
"""The least that a virtual wait moves the clock, in seconds."""


class VirtualClock:
    """A clock that jumps to the next thing due whenever nothing else is left to do.

    It works underneath asyncio, as the time of an event loop of its own, so that everything
    which waits by that loop (``asyncio.sleep``, time-outs, queues) is virtual too, and the order
    of events is the same every time.

    Examples
    --------
    >>> clock = VirtualClock()
    >>> clock.run(clock.sleep(3600))
    >>> clock.monotonic()
    3600.0
    """

    def __init__(
        self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), *, grace_s: float = 0.0
    ) -> None:
        self._start = start
        self._grace_s = grace_s
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        """Tell the virtual time of day."""
        return self._start.astimezone(UTC) + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        """Count virtual seconds."""
        return self.elapsed_s

    def awake(self) -> float:
        """Count virtual seconds; a virtual machine is never suspended."""
        return self.elapsed_s

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        # asyncio fires timers that are less than a nanosecond away without time moving on: a
        # loop that waits for the rest of a rounding error would never end.
        await asyncio.sleep(max(seconds, SHORTEST_STEP_S) if seconds > 0 else 0)

    def run(self, main: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on an event loop whose time is this clock's."""
        with asyncio.Runner(loop_factory=self._new_loop) as runner:
            return runner.run(main)

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        return _VirtualLoop(self, _JumpingSelector(self, self._grace_s))


class _JumpingSelector(selectors.DefaultSelector):
    """Looks for real events, and moves the clock instead of waiting for none."""

    def __init__(self, clock: VirtualClock, grace_s: float) -> None:
        super().__init__()
        self._clock = clock
        self._grace_s = grace_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            # No timer is set: only another thread or a socket can go on from here.
            return super().select(None)
        events = super().select(min(timeout, self._grace_s))
        if not events:
            self._clock.elapsed_s += max(timeout, 0.0)
        return events


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock, selector: selectors.BaseSelector) -> None:
        super().__init__(selector)
        self._clock = clock

    def time(self) -> float:
        return self._clock.elapsed_s
