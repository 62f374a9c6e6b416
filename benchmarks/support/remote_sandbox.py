"""A sandbox in a process of its own, so that only the client's time and memory are measured."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.managers import BaseManager
from typing import Any

from kill_and_resume import all_good

import helios_research as hr
from helios_research.sandbox import SandboxSettings
from helios_research.sandbox.faults import Step


class _Host:
    """Lives in the other process; everything it takes and gives is plain."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._sandbox = hr.Sandbox(settings, examine=all_good).start()

    def base_url(self) -> str:
        return self._sandbox.base_url

    def counts(self) -> dict[str, int]:
        log = self._sandbox.log
        steps = {step.value: log.count(step) for step in Step}
        audio = {"audio": len(log.runs_by_audio), "violations": len(log.violations)}
        return steps | audio | {"refused": log.refused}

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
        """Count requests by step, and of them all those refused; audio that was processed."""
        counts: dict[str, int] = self._host.counts()
        return counts

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
