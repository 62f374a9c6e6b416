"""The limits."""

import dataclasses
import re

import pytest

from helios_research.preflight_checks.rules import Thresholds


def test_limits_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Thresholds().longest_s = 60


def test_counting_may_not_stop_before_the_limit_is_clear():
    with pytest.raises(ValueError, match=r"least_speech_s \+ speech_margin_s = 21\.0"):
        Thresholds(least_speech_s=20)
    assert Thresholds(least_speech_s=20, enough_speech_s=22).enough_speech_s == 22


def test_every_limit_has_its_meaning_and_its_source():
    described = Thresholds.__doc__ or ""
    for field in dataclasses.fields(Thresholds):
        entry = re.search(rf"^    {field.name}\n((?:        .*\n)+)", described, re.MULTILINE)
        assert entry is not None, field.name
        assert "Source:" in entry[1], field.name
