"""What goes wrong, when, and how often: a plan that tests write down.

>>> losing_answers = Faults(rules=(Rule(Fault.RESET, on=Step.CREATE, after_work=True, rate=0.2),))
>>> busy_once = Faults(rules=(Rule(Fault.STATUS, status=503, retry_after="1", times=1),))
>>> failing_twice = Faults(failing_first=2)
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum
from math import inf
from random import Random
from typing import Any


class Step(StrEnum):
    """The kind of a request."""

    ACCOUNT = "account"
    CREATE = "create"
    UPLOAD = "upload"
    POLL = "poll"
    OTHER = "other"


class Fault(StrEnum):
    """What goes wrong with one request."""

    RESET = "reset"
    """The connection is reset (RST); no answer."""
    CLOSE = "close"
    """The connection is closed (FIN); no answer."""
    CUT = "cut"
    """The answer breaks off: its head, half of its body, then the end of the connection."""
    HALF_JSON = "half-json"
    """A complete answer of status 200 whose body is the first half of the true one."""
    HTML = "html"
    """Status 200 and a page of HTML, as a proxy or a login page in between sends."""
    STATUS = "status"
    """An error status, with or without Retry-After."""
    REPEAT = "repeat"
    """The last true answer to a request of the same kind, as a cache in between sends it; the first
    such answer is true."""
    CHANGE = "change"
    """The true answer with something else in it: what `change` makes of its JSON."""
    REDIRECT = "redirect"
    """A redirect to another origin: by default the sandbox's other host, which logs keys."""
    SLOW = "slow"
    """The true answer, late."""


NEEDS_ANSWER = frozenset({Fault.CUT, Fault.HALF_JSON, Fault.CHANGE})


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that goes wrong with some requests."""

    fault: Fault
    _: KW_ONLY
    on: Step | None = None
    rate: float = 1.0
    skip: int = 0
    times: int | None = None
    after_work: bool = False
    status: int = 503
    retry_after: str | None = None
    delay_s: float = 1.0
    location: str | None = None
    body: str | None = None
    change: Callable[[dict[str, Any]], Any] = dict


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Everything that goes wrong in a sandbox.

    A run fails, too, whose audio arrives within so many seconds of its participant's last.
    """

    rules: tuple[Rule, ...] = ()
    failing_first: int = 0
    failing_rate: float = 0.0
    failing_code: str = "ERR_INTERNAL"
    failing_within_s: float = 0.0
    stuck_first: int = 0
    stuck_rate: float = 0.0
    seed: int = 0

    @property
    def keeps_runs_stuck(self) -> bool:
        """Whether runs that are stuck stay so."""
        return self.stuck_first > 0 or self.stuck_rate > 0

    @classmethod
    def hostile(cls, rate: float = 0.2, *, seed: int = 0) -> "Faults":
        """Put together a service that fails in every way a network can."""
        kinds = (
            Rule(Fault.RESET),
            Rule(Fault.RESET, after_work=True),
            Rule(Fault.CLOSE, after_work=True),
            Rule(Fault.CUT),
            Rule(Fault.HALF_JSON),
            # Without the work, an upload would get 200 for bytes that went nowhere: no service does
            # that by itself, and no client can notice it.
            Rule(Fault.HTML, after_work=True),
            Rule(Fault.STATUS, status=500, after_work=True),
            Rule(Fault.STATUS, status=502),
            Rule(Fault.STATUS, status=503, retry_after="1"),
            Rule(Fault.STATUS, status=504, after_work=True),
        )
        # Each rule sees only the requests that the ones before it spared.
        shares = [rate / len(kinds) / (1 - rate * i / len(kinds)) for i in range(len(kinds))]
        rules = tuple(replace(rule, rate=share) for rule, share in zip(kinds, shares, strict=True))
        return cls(rules=rules, seed=seed)


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ends whatever its audio; without an error code its audio decides."""

    error_code: str | None = None
    stuck: bool = False


class FaultPlan:
    """Faults being carried out: counts what has come by, and draws."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._seen = [0] * len(faults.rules)
        self._struck = [0] * len(faults.rules)
        # Not a secret: the draws have to be repeatable.
        self._random = Random(faults.seed)

    def strike(self, step: Step) -> Rule | None:
        """Decide about one request."""
        for position, rule in enumerate(self.faults.rules):
            if rule.on not in (None, step):
                continue
            self._seen[position] += 1
            over = rule.times is not None and self._struck[position] >= rule.times
            if over or self._seen[position] <= rule.skip or self._random.random() >= rule.rate:
                continue
            self._struck[position] += 1
            return rule
        return None

    def run_outcome(self, earlier_runs: int, ordinal: int, since_s: float = inf) -> RunOutcome:
        """Decide about one run when its audio has arrived."""
        draw = Random(f"{self.faults.seed}:{ordinal}")
        failing = draw.random() < self.faults.failing_rate
        failing |= since_s < self.faults.failing_within_s
        stuck = draw.random() < self.faults.stuck_rate
        return RunOutcome(
            error_code=(
                self.faults.failing_code
                if failing or earlier_runs < self.faults.failing_first
                else None
            ),
            stuck=stuck or earlier_runs < self.faults.stuck_first,
        )
