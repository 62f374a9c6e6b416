"""A sandbox in a process of its own, so that only the client's time and memory are measured."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.managers import BaseManager
from typing import Any

from kill_and_resume import all_good

import helios_research as hr
from helios_research.sandbox import SandboxSettings
from support.faults import Step
from support.sandbox import ObservedSandbox

_MINUTE_S = 60


class _Host:
    """Lives in the other process; everything it takes and gives is plain."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._sandbox = ObservedSandbox(settings, examine=all_good).start()

    def base_url(self) -> str:
        return self._sandbox.base_url

    def counts(self) -> dict[str, int]:
        log = self._sandbox.log
        steps = {step.value: log.count(step) for step in Step}
        runs = log.runs_by_audio.values()
        audio = {"audio": len(runs), "processed": sum(map(len, runs))}
        return steps | audio | {"violations": len(log.violations), "refused": log.refused}

    def busiest_per_s(self) -> float:
        seconds = Counter(self._sandbox.log.per_second(Step.CREATE))
        seconds.update(self._sandbox.log.per_second(Step.POLL))
        minutes = (sum(seconds[then + s] for s in range(_MINUTE_S)) for then in list(seconds))
        return max(minutes, default=0) / _MINUTE_S

    def cpu_s(self) -> float:
        return time.process_time()

    def completions(self) -> dict[str, datetime]:
        return self._sandbox.completions()

    def stop(self) -> None:
        self._sandbox.stop()


class _Manager(BaseManager):
    pass


_Manager.register("Host", _Host)


class RemoteSandbox:
    """The same sandbox, seen from here."""

    def __init__(self, host: Any, api_key: str) -> None:
        self._host = host
        self._api_key = api_key

    def client(self) -> hr.Client:
        """Make a client for it."""
        return hr.Client(api_key=self._api_key, base_url=self._host.base_url())

    def environment(self) -> dict[str, str]:
        """Give the variables by which another process finds it."""
        return {"THYMIA_BASE_URL": self._host.base_url(), "THYMIA_API_KEY": self._api_key}

    def counts(self) -> dict[str, int]:
        """Count requests by step, and of them all those refused; audio, and runs that had any."""
        counts: dict[str, int] = self._host.counts()
        return counts

    def busiest_per_s(self) -> float:
        """Tell how many API requests a second arrived in the minute with the most of them."""
        busiest: float = self._host.busiest_per_s()
        return busiest

    def cpu_s(self) -> float:
        """Tell the processor time that its process has taken, in seconds."""
        used: float = self._host.cpu_s()
        return used

    def completions(self) -> dict[str, datetime]:
        """When each run ended, by its id."""
        ends: dict[str, datetime] = self._host.completions()
        return ends


@contextmanager
def remote_sandbox(settings: SandboxSettings) -> Iterator[RemoteSandbox]:
    """Run a sandbox that takes every file for good speech, in another process.

    Parameters
    ----------
    settings
        How it behaves.

    Yields
    ------
    RemoteSandbox
        The sandbox.
    """
    with _Manager(ctx=multiprocessing.get_context("spawn")) as manager:
        host = manager.Host(settings)  # type: ignore[attr-defined]  # registered by name
        try:
            yield RemoteSandbox(host, settings.api_key)
        finally:
            host.stop()
