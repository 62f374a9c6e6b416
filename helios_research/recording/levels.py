"""How loud a recording is: level, clipping and noise floor."""

import numpy as np
from numpy.typing import NDArray

from helios_research.recording.decoding import Block

SILENCE_DBFS = -120.0
"""Digital silence is reported as this: below the noise of 16 bits, and still a number to plot."""

# 32767/32768, the largest 16-bit sample, is 0.99997.
_FULL_SCALE = 0.9999
# 120 dB above full scale: floats beyond it are garbage, and their squares would drown the rest.
_HIGHEST_PEAK = 1e6
_FRAME_S = 0.05
_QUIETEST_PERCENT = 10
# Channels that have nothing to do with each other lose 10·log10(channels) dB when averaged; a mono
# downmix another 10 dB below that can only come from channels that cancel each other out.
_CANCELLED_SHARE = 0.1


class Levels:
    """Gathers the levels of a recording over its blocks, per channel and before any downmix.

    Identical channels would gain 3 dB in FFmpeg's downmix, and opposite ones would vanish.
    """

    def __init__(self) -> None:
        self.invalid_samples = 0
        self._samples = 0
        self._values = 0
        self._clipped = 0
        self._energy = np.zeros(0)
        self._mono_energy = 0.0
        self._frames: list[NDArray[np.float64]] = []
        self._rest = np.zeros((0, 0), np.float32)

    def add(self, block: Block) -> NDArray[np.float32]:
        """Take one more block into account."""
        samples, peak = self._finite(block.samples)
        channels, length = samples.shape
        if channels > self._energy.size:
            self._energy = np.pad(self._energy, (0, channels - self._energy.size))
        self._energy[:channels] += np.einsum("ij,ij->i", samples, samples, dtype=np.float64)
        self._samples += length
        self._values += samples.size
        if peak >= _FULL_SCALE:
            self._clipped += int(np.count_nonzero(np.abs(samples) >= _FULL_SCALE))
        mono: NDArray[np.float32] = samples[0] if channels == 1 else samples.mean(axis=0)
        self._mono_energy += float(np.dot(mono, mono))
        self._add_frames(samples, round(block.sample_rate_hz * _FRAME_S))
        return mono

    def _finite(self, samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """Replace what no microphone gives by silence; return the samples and their peak."""
        with np.errstate(invalid="ignore"):
            peak = float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))
            sound = np.isfinite(peak) and peak <= _HIGHEST_PEAK
        if sound:
            return samples, peak
        usable = np.isfinite(samples) & (np.abs(samples) <= _HIGHEST_PEAK)
        self.invalid_samples += int(samples.size - np.count_nonzero(usable))
        samples = np.where(usable, samples, np.float32(0))
        return samples, float(np.abs(samples).max(initial=0.0))

    def _add_frames(self, samples: NDArray[np.float32], width: int) -> None:
        if width == 0:
            return
        if self._rest.shape[0] == samples.shape[0]:
            samples = np.concatenate((self._rest, samples), axis=1)
        count = samples.shape[1] // width
        whole = samples[:, : count * width].reshape(samples.shape[0], count, width)
        energy = np.einsum("ijk,ijk->ij", whole, whole, dtype=np.float64) / width
        self._frames.append(energy.max(axis=0))
        self._rest = samples[:, count * width :].copy()

    @property
    def has_samples(self) -> bool:
        """False while nothing was measured."""
        return self._values > 0

    @property
    def level_dbfs(self) -> float:
        """RMS level of the loudest channel in dBFS."""
        return _decibel(self._energy.max(initial=0.0) / max(self._samples, 1))

    @property
    def clipped_fraction(self) -> float:
        """Samples at full scale, as a share (0 to 1) of all samples of all channels."""
        return self._clipped / max(self._values, 1)

    @property
    def noise_floor_dbfs(self) -> float:
        """Level in dBFS below which the quietest tenth of all 50 ms frames lies.

        Of two channels, the louder one counts in each frame.
        """
        frames = np.concatenate(self._frames) if self._frames else np.zeros(0)
        if not frames.size:
            return self.level_dbfs
        return _decibel(float(np.percentile(frames, _QUIETEST_PERCENT)))

    @property
    def cancels_out(self) -> bool:
        """True when a mono downmix is close to silence because channels are in opposite phase."""
        channels = self._energy.size
        if channels < 2 or self.level_dbfs <= SILENCE_DBFS:
            return False
        return self._mono_energy < _CANCELLED_SHARE / channels * float(self._energy.mean())


def _decibel(power: float) -> float:
    return max(SILENCE_DBFS, 10 * float(np.log10(power))) if power > 0 else SILENCE_DBFS
