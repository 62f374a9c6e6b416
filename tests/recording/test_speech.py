"""Level, clipping and noise floor, and seconds of speech."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helios_research.recording.decoding import Block
from helios_research.recording.speech import (
    CHUNK_S,
    LONGEST_GAP_S,
    OFF_PROBABILITY,
    ON_PROBABILITY,
    SHORTEST_RUN_S,
    SILENCE_DBFS,
    SoundLevels,
    SpeechCounter,
    SpeechMeter,
)

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


def counted(probabilities):
    counter = SpeechCounter()
    for probability in probabilities:
        counter.add(probability)
    return counter.speech_s


def heard(samples, rate, enough_s=None):
    meter = SpeechMeter(enough_s)
    for start in range(0, samples.size, 50_000):
        meter.add(samples[start : start + 50_000].astype(np.float32), rate)
    meter.finish()
    return meter


def test_speech_begins_at_the_upper_and_ends_below_the_lower_probability():
    assert counted([0.39] * 50) == 0
    assert counted([0.40] + [0.25] * 49) == pytest.approx(50 * CHUNK_S)
    assert counted([0.40] * 20 + [0.24] * 30) == pytest.approx(20 * CHUNK_S)


def test_short_pauses_count_and_long_ones_do_not():
    assert counted([1] * 20 + [0] * 9 + [1] * 20) == pytest.approx(49 * CHUNK_S)
    assert counted([1] * 20 + [0] * 10 + [1] * 20) == pytest.approx(40 * CHUNK_S)


def test_clicks_do_not_count():
    assert counted(([1] * 7 + [0] * 20) * 10) == 0
    assert counted([1] * 8) == pytest.approx(8 * CHUNK_S)


@given(st.lists(st.sampled_from([0.0, 0.2, 0.3, 0.5, 1.0]), max_size=200))
def test_counting_as_it_comes_gives_what_counting_afterwards_gives(probabilities):
    """The reference marks all chunks first, then fills the gaps, then drops the short runs."""
    is_on, marks = False, []
    for probability in probabilities:
        is_on = probability >= (OFF_PROBABILITY if is_on else ON_PROBABILITY)
        marks.append(is_on)
    runs = []
    for at in (at for at, mark in enumerate(marks) if mark):
        if runs and (at - runs[-1][1]) * CHUNK_S <= LONGEST_GAP_S:
            runs[-1][1] = at + 1
        else:
            runs.append([at, at + 1])
    lengths = [(end - start) * CHUNK_S for start, end in runs]
    expected = sum(length for length in lengths if length >= SHORTEST_RUN_S)
    assert counted(probabilities) == pytest.approx(expected)


def test_real_speech_is_counted(speech):
    meter = heard(speech.samples[0], speech.rate)
    assert 12 < meter.speech_s < speech.samples.size / speech.rate
    assert not meter.has_enough


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_the_sample_rate_hardly_matters(speech, rate):
    position = np.arange(0, speech.samples.size, speech.rate / rate)
    resampled = np.interp(position, np.arange(speech.samples.size), speech.samples[0])
    reference = heard(speech.samples[0], speech.rate).speech_s
    assert heard(resampled, rate).speech_s == pytest.approx(reference, abs=1.0)


def test_counting_stops_at_enough(speech):
    meter = heard(speech.samples[0], speech.rate, enough_s=3.0)
    assert meter.has_enough
    assert meter.speech_s == pytest.approx(3.0, abs=0.3)


@pytest.mark.parametrize("kind", ["silence", "hum", "noise", "clicks"])
def test_what_is_not_speech_is_not_counted(kind):
    time = np.arange(10 * 16_000) / 16_000
    sounds = {
        "silence": 0 * time,
        "hum": 0.3 * np.sin(2 * np.pi * 50 * time) + 0.1 * np.sin(2 * np.pi * 150 * time),
        "noise": np.random.default_rng(4).normal(0, 0.1, time.size),
        "clicks": (np.arange(time.size) % 8000 < 5) * 0.9,
    }
    assert heard(sounds[kind], 16_000).speech_s < 0.4


def test_one_recording_does_not_colour_the_next(speech):
    """The detector is shared and remembers what it heard, so it has to be reset."""
    part = speech.samples[0][: 5 * speech.rate]
    first = heard(part, speech.rate).speech_s
    heard(np.random.default_rng(5).normal(0, 0.3, 80_000), 16_000)
    assert heard(part, speech.rate).speech_s == first


def test_a_change_of_sample_rate_half_way_is_taken_in(speech):
    meter = SpeechMeter(None)
    half = speech.samples[0][: 8 * 16_000]
    meter.add(half, 16_000)
    meter.add(half, 16_000)
    meter.add(half[::2].copy(), 8_000)
    meter.finish()
    assert meter.speech_s == pytest.approx(3 * heard(half, 16_000).speech_s, abs=1.5)
