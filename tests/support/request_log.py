"""What arrived at a sandbox: requests, uploads and violations, counted for tests."""

import threading
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from helios_research.sandbox.core import Event, RecordingReceived, RunCreated, Violation
from support.faults import Fault, Step

RECENT_REQUESTS = 20_000


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request that was answered, or was meant not to be."""

    at: datetime
    step: Step
    status: int | None
    fault: Fault | None = None
    path: str = ""


class RequestLog:
    """Everything that arrived; read it at any time, also after the sandbox has stopped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[LoggedRequest] = deque(maxlen=RECENT_REQUESTS)
        self._counts: Counter[tuple[Step, int | None]] = Counter()
        self._faults: Counter[tuple[Step, Fault]] = Counter()
        self._seconds: Counter[tuple[Step, int]] = Counter()
        self._requests: dict[str, Any] = {}
        self._puts: dict[str, list[RecordingReceived]] = {}
        self._violations: list[Violation] = []
        self._in_flight: Counter[str] = Counter()
        self._max_in_flight: Counter[str] = Counter()

    # What the servers note.

    def began(self, host: str) -> None:
        """Note that a request has arrived."""
        with self._lock:
            self._in_flight[host] += 1
            self._max_in_flight[host] = max(self._max_in_flight[host], self._in_flight[host])

    def ended(self, host: str, request: LoggedRequest) -> None:
        """Note how a request ended."""
        with self._lock:
            self._in_flight[host] -= 1
            self._recent.append(request)
            self._counts[request.step, request.status] += 1
            self._seconds[request.step, int(request.at.timestamp())] += 1
            if request.fault is not None:
                self._faults[request.step, request.fault] += 1

    def note(self, event: Event) -> None:
        """Keep what the sandbox itself has noted."""
        with self._lock:
            match event:
                case RunCreated():
                    self._requests[event.run_id] = event.request
                    self._puts[event.run_id] = []
                case RecordingReceived():
                    self._puts[event.run_id].append(event)
                case Violation():
                    self._violations.append(event)

    # What tests read.

    @property
    def requests(self) -> list[LoggedRequest]:
        """The last requests, oldest first."""
        with self._lock:
            return list(self._recent)

    def count(self, step: Step | None = None, status: int | None = None) -> int:
        """Count requests."""
        with self._lock:
            return sum(
                number
                for (kind, answer), number in self._counts.items()
                if step in (None, kind) and status in (None, answer)
            )

    @property
    def refused(self) -> int:
        """How many requests came faster than the rate limit allows."""
        return self.count(status=429)

    def faults_struck(self, fault: Fault | None = None, step: Step | None = None) -> int:
        """Count what was made to go wrong."""
        with self._lock:
            return sum(
                number
                for (kind, what), number in self._faults.items()
                if step in (None, kind) and fault in (None, what)
            )

    def per_second(self, step: Step | None = None) -> dict[int, int]:
        """Count requests by the second in which they arrived."""
        counted: Counter[int] = Counter()
        with self._lock:
            for (kind, second), number in self._seconds.items():
                if step in (None, kind):
                    counted[second] += number
        return dict(sorted(counted.items()))

    @property
    def puts(self) -> dict[str, list[RecordingReceived]]:
        """The uploads of every run."""
        with self._lock:
            return {run_id: list(puts) for run_id, puts in self._puts.items()}

    @property
    def runs_by_audio(self) -> dict[str, list[str]]:
        """The runs that processed each audio: every one is something to be paid for."""
        found: dict[str, list[str]] = {}
        for run_id, puts in self.puts.items():
            taken = [put.sha256 for put in puts if put.taken]
            if taken:
                found.setdefault(taken[-1], []).append(run_id)
        return found

    def request_of(self, run_id: str) -> Any:
        """Show what was sent to create a run."""
        with self._lock:
            return self._requests[run_id]

    @property
    def violations(self) -> list[Violation]:
        """What clients must never do and did."""
        with self._lock:
            return list(self._violations)

    @property
    def max_in_flight(self) -> dict[str, int]:
        """The most requests that each host had at once."""
        with self._lock:
            return dict(self._max_in_flight)
