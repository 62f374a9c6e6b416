"""Level, clipping and noise floor."""

import math

import numpy as np
import pytest

from helios_research.recording.decoding import Block
from helios_research.recording.speech import SILENCE_DBFS, SoundLevels

RATE = 8_000


def measured(*blocks):
    levels = SoundLevels()
    for samples in blocks:
        levels.add(Block(np.atleast_2d(np.asarray(samples, np.float32)), RATE))
    return levels


def sine(amplitude, seconds=1.0):
    return amplitude * np.sin(2 * np.pi * 440 * np.arange(int(RATE * seconds)) / RATE)


@pytest.mark.parametrize("amplitude", [1.0, 0.1, 0.001])
def test_the_level_of_a_sine_is_3_db_below_its_amplitude(amplitude):
    expected = 20 * math.log10(amplitude / math.sqrt(2))
    assert measured(sine(amplitude)).level_dbfs == pytest.approx(expected, abs=0.01)


def test_cutting_a_recording_into_blocks_changes_nothing():
    sound = np.random.default_rng(1).normal(0, 0.1, RATE)
    whole, parts = measured(sound), measured(*np.split(sound, [37, 801, 5000]))
    assert parts.level_dbfs == pytest.approx(whole.level_dbfs)
    assert parts.noise_floor_dbfs == pytest.approx(whole.noise_floor_dbfs)


def test_the_level_is_that_of_the_loudest_channel():
    one_sided = np.stack([sine(0.5), 0 * sine(0.5)])
    assert measured(one_sided).level_dbfs == pytest.approx(measured(sine(0.5)).level_dbfs)


def test_clipping_counts_samples_at_full_scale_of_sixteen_bits():
    clipped = np.zeros(1000)
    clipped[:30] = 32767 / 32768
    clipped[30:50] = -1.0
    assert measured(clipped).clipped_fraction == pytest.approx(0.05)


def test_a_loud_recording_that_is_not_clipped_has_no_clipping():
    assert measured(sine(0.99)).clipped_fraction == 0


def test_the_noise_floor_is_the_level_of_the_pauses():
    noise = np.random.default_rng(2).normal(0, 0.001, RATE)
    floor = measured(np.concatenate([sine(0.5), noise])).noise_floor_dbfs
    assert floor == pytest.approx(-60, abs=1)


def test_digital_silence_has_a_level_that_can_be_plotted():
    levels = measured(np.zeros(RATE))
    assert (levels.level_dbfs, levels.noise_floor_dbfs) == (SILENCE_DBFS, SILENCE_DBFS)
    assert not levels.cancels_out


def test_nothing_at_all_is_silence():
    levels = SoundLevels()
    assert not levels.has_samples
    assert levels.level_dbfs == SILENCE_DBFS


def test_opposite_channels_cancel_out():
    assert measured(np.stack([sine(0.5), -sine(0.5)])).cancels_out


def test_unrelated_channels_do_not_cancel_out():
    noise = np.random.default_rng(3).normal(0, 0.1, (8, RATE))
    assert not measured(noise).cancels_out


def test_what_is_no_number_counts_as_silence():
    sound = sine(0.5)
    sound[10:20] = np.nan
    sound[20] = np.inf
    sound[21] = -1e30
    levels = measured(sound)
    assert levels.invalid_samples == 12
    assert levels.level_dbfs == pytest.approx(measured(sine(0.5)).level_dbfs, abs=0.1)


def test_a_change_of_channels_half_way_is_taken_in():
    levels = measured(sine(0.5), np.stack([sine(0.5), sine(0.5)]))
    assert levels.level_dbfs == pytest.approx(measured(sine(0.5)).level_dbfs, abs=0.01)
