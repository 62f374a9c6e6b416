"""Checks that are kept."""

import pytest

from helios_research.columns import Verdict
from helios_research.preflight_checks.check import Check, MemoryCache


@pytest.fixture
def check():
    return Check(Verdict.OK, None, "", sha256="a" * 64)


def test_checks_are_kept_by_rules_and_location(check):
    cache = MemoryCache()
    cache.store("rules", {"/a.wav": check})
    cache.store("rules", {"/b.wav": check})
    assert cache.load("rules") == {"/a.wav": check, "/b.wav": check}
    assert cache.load("other rules") == {}


def test_what_was_loaded_is_the_callers_own(check):
    cache = MemoryCache()
    cache.store("rules", {"/a.wav": check})
    cache.load("rules").clear()
    assert len(cache.load("rules")) == 1
