"""How fast recordings are checked, with decoding alone measured in the same run beside it.

Run: python benchmarks/preflight.py [RECORDINGS] (1,000 by default, of 60 s each)

The recordings are made of the demo cohort's speech, in all six formats. Rates are medians of
interleaved rounds. Processor time is shown as well, because it hardly depends on what else the
machine is doing.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import psutil

HERE = Path(__file__).parent
DEMO = HERE.parent / "datasets" / "demo_cohort" / "recordings"
SECONDS = 60
ROUNDS = 3
PER_ROUND = 48
WAYS = {
    "wav": ("pcm_s16le", 44_100),
    "flac": ("flac", 44_100),
    "mp3": ("libmp3lame", 44_100),
    "mp4": ("aac", 44_100),
    "ogg": ("libopus", 48_000),
    "webm": ("libopus", 48_000),
}
TARGET_PER_MINUTE, TARGET_SCALING = 300, 1.7

Submit = Callable[[str], Future[object]]


def decode_only(path: str) -> float:
    """Decode a recording and do nothing with it: the bound for any check."""
    with av.open(path) as opened:
        stream = opened.streams.audio[0]
        stream.codec_context.thread_count = 1
        return sum(frame.samples / frame.sample_rate for frame in opened.decode(stream))


def make_recordings(folder: Path, speakers: int = 4) -> list[str]:
    """Write 60 s of each speaker's speech in each format."""
    paths = []
    for source in sorted(DEMO.glob("*_visit3.*"))[:speakers]:
        for container, (codec, rate) in WAYS.items():
            path = folder / f"{source.stem}.{container}"
            write(path, sixty_seconds(source, rate), codec, rate)
            paths.append(str(path))
    return paths


def sixty_seconds(source: Path, rate: int) -> np.ndarray:
    """Repeat a recording's speech until it is long enough."""
    resampler = av.AudioResampler("flt", "mono", rate)
    with av.open(str(source)) as opened:
        parts = [
            part.to_ndarray()[0]
            for frame in opened.decode(audio=0)
            for part in resampler.resample(frame)
        ]
    # Room noise, because digital silence would be too easy on decoders and on the detector.
    noise = np.random.default_rng(1).normal(0, 0.0005, rate * SECONDS)
    return (np.resize(np.concatenate(parts), rate * SECONDS) + noise).astype(np.float32)


def write(path: Path, samples: np.ndarray, codec: str, rate: int) -> None:
    """Encode a mono signal."""
    with av.open(str(path), "w") as opened:
        stream = opened.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="flt", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            opened.mux(packet)


def under_other_names(paths: Sequence[str], folder: Path, count: int) -> list[str]:
    """Give so many names to the same files, because each name is checked once."""
    folder.mkdir()
    names = []
    for number in range(count):
        source = Path(paths[number % len(paths)])
        name = folder / f"{number:05}{source.suffix}"
        name.symlink_to(source)
        names.append(str(name))
    return names


def children() -> list[psutil.Process]:
    """List the processes that work for us."""
    return psutil.Process().children(recursive=True)


def processor_s() -> float:
    """Add up the processor time of the processes that work for us."""
    return sum(sum(child.cpu_times()[:2]) for child in children())


@dataclass
class Measured:
    """Rounds of one kind of work."""

    per_minute: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        spread = f"{min(self.per_minute):,.0f} to {max(self.per_minute):,.0f}"
        return (
            f"{self.median:6,.0f} a minute ({spread}); processor time "
            f"{statistics.median(self.cpu_ms):4.0f} ms each"
        )

    @property
    def median(self) -> float:
        """Recordings a minute."""
        return statistics.median(self.per_minute)

    def round(self, submit: Submit, paths: Sequence[str], workers: int) -> None:
        """Measure one round, after every process has been started."""
        for future in [submit(path) for path in paths[:workers]]:
            future.result()
        began, worked = time.perf_counter(), processor_s()
        for future in [submit(path) for path in paths]:
            future.result()
        self.per_minute.append(60 * len(paths) / (time.perf_counter() - began))
        self.cpu_ms.append(1_000 * (processor_s() - worked) / len(paths))


def rates(paths: Sequence[str]) -> None:
    """Compare checking and decoding, with one process and with two."""
    import preflight as importable

    from helios_research.preflight_checks.pool import CheckPool
    from helios_research.preflight_checks.worker import WorkerPool

    names = ("decoding alone", "check", "check, all speech counted")
    table = {(name, workers): Measured() for name in names for workers in (1, 2)}
    for _ in range(ROUNDS):
        for workers in (1, 2):
            with WorkerPool(workers, time_limit_s=120) as pool:

                def decode(path: str, pool: WorkerPool = pool) -> Future[object]:
                    return pool.submit(importable.decode_only, path)

                table[names[0], workers].round(decode, paths, workers)
            for name, full in ((names[1], False), (names[2], True)):
                with CheckPool(workers=workers, full_speech=full) as checks:
                    table[name, workers].round(checks.check, paths, workers)
    for (name, workers), measured in table.items():
        print(f"{name:27} {workers} process{'es' if workers > 1 else '  '}  {measured}")
    one, two = table[names[1], 1], table[names[1], 2]
    print(f"target: {two.median:,.0f} a minute with 2 processes (at least {TARGET_PER_MINUTE})")
    print(
        f"target: {two.median / one.median:.2f} times as fast with 2 as with 1 ({TARGET_SCALING})"
    )
    share = two.median / table[names[0], 2].median
    print(f"a check runs at {share:.0%} of the speed of decoding alone")


def growth(paths: Sequence[str]) -> None:
    """Check many recordings and watch the memory of all processes; then check them again."""
    from helios_research.preflight_checks.pool import CheckPool
    from support.memory_cache import MemoryCache

    cache = MemoryCache()
    resident: dict[int, float] = {}
    began = time.perf_counter()
    with CheckPool(cache=cache) as pool:
        for done, _ in enumerate(pool.check_many(paths), start=1):
            if done % (len(paths) // 5) == 0:
                everyone = [psutil.Process(), *children()]
                resident[done] = sum(one.memory_info().rss for one in everyone) / 1e6
    took_s = time.perf_counter() - began
    print(f"{len(paths):,} recordings in {took_s:.0f} s, {60 * len(paths) / took_s:,.0f} a minute")
    print(
        "memory of all processes:", ", ".join(f"{n:,}: {mb:.0f} MB" for n, mb in resident.items())
    )
    began = time.perf_counter()
    with CheckPool(cache=cache) as pool:
        again = sum(1 for _ in pool.check_many(paths))
    print(f"a second check of {again:,} recordings: {time.perf_counter() - began:.3f} s")


def main() -> None:
    """Print what was measured."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    # The processes have to find decode_only.
    sys.path.insert(0, str(HERE))
    os.environ["PYTHONPATH"] = str(HERE)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = make_recordings(folder)
        print(f"{len(paths)} different recordings of {SECONDS} s, {PER_ROUND} a round")
        rates(under_other_names(paths, folder / "rounds", PER_ROUND))
        growth(under_other_names(paths, folder / "many", count))


if __name__ == "__main__":
    main()
