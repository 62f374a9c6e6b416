"""How many uploads at once: as many as the line carries in a short while."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from helios_research.submission import Clock

FIRST_UPLOADS = 2  # at once before one has arrived; each that arrives makes room for one more
# The uploads at once are no more than the line carries in so long (our choice: eight at once on a slow
# line would all take long, and a break would cost all of them).
CARRIED_IN_S = 20.0
MEASURED_OVER_S = 20.0  # seconds of uploading over which the speed is averaged
_SAID_AFTER_S = 5.0
_LOOK_AGAIN_S = 1.0
# What a connection has taken may still be on this computer, so it does not count as moved yet.
_BUFFERED_BYTES = 128 * 1024


class UploadSlots:
    """Lets recordings be uploaded, and measures how fast their bytes move."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._waiting = self._in_use = self._in_use_bytes = self._arrived = self._moving = 0
        self._moved_bytes = self._busy_s = 0.0
        self._at_s = clock.awake()

    @asynccontextmanager
    async def slot(self, size_bytes: int) -> AsyncIterator[None]:
        """Wait for room for an upload, and hold it; first come, first served."""
        self._waiting += 1
        try:
            async with self._turn:
                while not self._has_room(size_bytes):
                    self._changed.clear()
                    # The measured speed changes without an event.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_AGAIN_S):
                            await self._changed.wait()
                self._in_use += 1
                self._in_use_bytes += size_bytes
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._in_use -= 1
            self._in_use_bytes -= size_bytes
            self._changed.set()

    @contextmanager
    def measured(self) -> Iterator[Callable[[int], None]]:
        """Measure an upload; gives what is to be told how many more bytes were taken."""
        taken = 0

        def take(n_bytes: int) -> None:
            nonlocal taken
            self._fade()
            before, taken = taken, taken + n_bytes
            self._moved_bytes += max(0, taken - _BUFFERED_BYTES) - max(0, before - _BUFFERED_BYTES)

        self._fade()
        self._moving += 1
        try:
            yield take
        finally:
            self._fade()
            self._moving -= 1

    def arrived(self, take: Callable[[int], None]) -> None:
        """Note that a measured upload was answered: nothing of it is on this computer any more."""
        take(_BUFFERED_BYTES)
        self._arrived += 1

    def limited_by(self, in_flight: int) -> str:
        """Say how fast uploads are, where most recordings in flight wait for them; or nothing."""
        self._fade()
        if not self._moving or 2 * (self._moving + self._waiting) < in_flight:
            return ""
        speed = f" at {_in_words(self._speed)}" if self._busy_s >= _SAID_AFTER_S else ""
        return f"uploading{speed}"

    @property
    def _speed(self) -> float:
        return self._moved_bytes / self._busy_s if self._busy_s else 0.0

    def _has_room(self, size_bytes: int) -> bool:
        if not self._in_use:
            return True
        if self._in_use >= min(self._most, FIRST_UPLOADS + self._arrived):
            return False
        self._fade()
        carried = self._speed * CARRIED_IN_S
        return not self._arrived or self._in_use_bytes + size_bytes <= carried

    def _fade(self) -> None:
        """Let older measurements count less; only the time in which something is uploaded counts."""
        now_s = self._clock.awake()
        elapsed_s, self._at_s = now_s - self._at_s, now_s
        if self._moving:
            kept = math.exp(-elapsed_s / MEASURED_OVER_S)
            self._moved_bytes *= kept
            self._busy_s = self._busy_s * kept + MEASURED_OVER_S * (1 - kept)


def _in_words(bytes_per_s: float) -> str:
    unit, size = ("MB", 1e6) if bytes_per_s >= 1e6 else ("kB", 1e3)
    return f"{float(f'{bytes_per_s / size:.2g}'):g} {unit}/s"
