"""The records that the sandbox's log keeps."""

import json
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

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


RECENT_REQUESTS = 20_000


@dataclass(slots=True)
class _RunEntry:
    request: bytes
    puts: list[Put] = field(default_factory=list)


class SandboxLog:
    """Everything that arrived."""

    def __init__(self, clock: Callable[[], float], lines: TextIO | None = None) -> None:
        self._clock = clock
        self._lines = lines
        self._lock = threading.Lock()
        self._recent: deque[Request] = deque(maxlen=RECENT_REQUESTS)
        self._counts: Counter[tuple[Step, int | None]] = Counter()
        self._faults: Counter[tuple[Step, Fault]] = Counter()
        self._seconds: Counter[tuple[Step, int]] = Counter()
        self._runs: dict[str, _RunEntry] = {}
        self._violations: list[Violation] = []
        self._in_flight: Counter[str] = Counter()
        self._max_in_flight: Counter[str] = Counter()

    # What the servers note.

    def began(self, host: str) -> datetime:
        """Note that a request has arrived."""
        with self._lock:
            self._in_flight[host] += 1
            self._max_in_flight[host] = max(self._max_in_flight[host], self._in_flight[host])
        return self._now()

    def ended(self, host: str, request: Request) -> None:
        """Note how a request ended."""
        with self._lock:
            self._in_flight[host] -= 1
            self._recent.append(request)
            self._counts[request.step, request.status] += 1
            self._seconds[request.step, int(request.at.timestamp())] += 1
            if request.fault is not None:
                self._faults[request.step, request.fault] += 1
        self._write("request", asdict(request))

    def created(self, run_id: str, request: bytes) -> None:
        """Note a new run."""
        with self._lock:
            self._runs[run_id] = _RunEntry(request)
        self._write("created", {"run_id": run_id, "request": json.loads(request)})

    def put(self, run_id: str, put: Put) -> None:
        """Note an upload."""
        with self._lock:
            self._runs[run_id].puts.append(put)
        self._write("put", {"run_id": run_id, **asdict(put)})

    def violated(self, what: str, run_id: str | None = None) -> None:
        """Note something that a client must never do."""
        violation = Violation(self._now(), what, run_id)
        with self._lock:
            self._violations.append(violation)
        self._write("violation", asdict(violation))

    # What tests read.

    @property
    def requests(self) -> list[Request]:
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
    def puts(self) -> dict[str, list[Put]]:
        """The uploads of every run."""
        with self._lock:
            return {run_id: list(entry.puts) for run_id, entry in self._runs.items()}

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
            return json.loads(self._runs[run_id].request)

    @property
    def violations(self) -> list[Violation]:
        """What clients must never do and did."""
        with self._lock:
            return list(self._violations)

    @property
    def max_in_flight(self) -> dict[str, int]:
        """The most requests that were in work at once."""
        with self._lock:
            return dict(self._max_in_flight)

    def summary(self) -> dict[str, Any]:
        """Put the log into plain values, for another process."""
        with self._lock:
            counts = [
                {"step": str(step), "status": status, "count": number}
                for (step, status), number in self._counts.items()
            ]
            faults = [
                {"step": str(step), "fault": str(fault), "count": number}
                for (step, fault), number in self._faults.items()
            ]
        return {
            "counts": counts,
            "faults": faults,
            "per_second": {str(second): number for second, number in self.per_second().items()},
            "refused": self.refused,
            "max_in_flight": self.max_in_flight,
            "puts": {run: [_plain(asdict(put)) for put in puts] for run, puts in self.puts.items()},
            "runs_by_audio": self.runs_by_audio,
            "violations": [_plain(asdict(violation)) for violation in self.violations],
        }

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _write(self, event: str, facts: dict[str, Any]) -> None:
        if self._lines is not None:
            self._lines.write(json.dumps({"event": event, **_plain(facts)}) + "\n")
            self._lines.flush()


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in facts.items()
    }
