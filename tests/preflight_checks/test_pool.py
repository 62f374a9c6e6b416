"""Many checks at once, here and elsewhere."""

import asyncio
import os
import socket
import sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from helios_research.preflight_checks import pool as pool_module
from helios_research.preflight_checks.check import UNREADABLE, rules_key, unchecked
from helios_research.preflight_checks.pool import CheckPool, progress_callback
from helios_research.preflight_checks.rules import Thresholds
from support.memory_cache import MemoryCache

# Stands in for a decoder that crashes; it has to be importable in the processes.
TREACHEROUS = """
import os
from pathlib import Path
from helios_research.preflight_checks.check import check_recording

def check(location, *arguments):
    if Path(location).name.startswith("crash"):
        os._exit(139)
    return check_recording(location, *arguments)
"""


@pytest.fixture
def treacherous(folder, monkeypatch, tmp_path_factory):
    """Make every recording with "crash" in its name crash the process that decodes it."""
    home = tmp_path_factory.mktemp("modules")
    (home / "treacherous_decoder.py").write_text(TREACHEROUS)
    monkeypatch.syspath_prepend(home)
    monkeypatch.setenv("PYTHONPATH", str(home))
    import treacherous_decoder

    monkeypatch.setattr(pool_module, "check_recording", treacherous_decoder.check)
    (folder / "007_visit1.flac").rename(folder / "crash.flac")
    yield folder
    del sys.modules["treacherous_decoder"]


@pytest.fixture
def silent_server():
    """Listen without ever answering, as a network file system that is lost."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def locations(folder):
    return sorted(str(path) for path in folder.iterdir())


def verdicts(checks):
    return {Path(location).name: check.verdict.value for location, check in checks.items()}


def test_every_recording_is_checked_once_whatever_the_others_are(folder):
    asked = [*locations(folder), str(folder / "gone.wav"), *locations(folder)]
    with CheckPool(workers=2) as pool:
        answers = list(pool.check_many(asked))
    assert len(answers) == 5
    assert verdicts(dict(answers)) == {
        "007_visit1.flac": "ok",
        "P04_visit3.wav": "ok",
        "P08_visit1.webm": "ok",
        "gone.wav": "fail",
        "notes.txt": "fail",
    }


def test_a_recording_that_crashes_the_decoder_costs_its_own_row(treacherous):
    with CheckPool(workers=2) as pool:
        checks = dict(pool.check_many(locations(treacherous)))
    crashed = checks.pop(str(treacherous / "crash.flac"))
    assert (crashed.verdict, crashed.predicted_error_code) == (
        "fail",
        "ERR_RECORDING_INVALID_FORMAT",
    )
    assert crashed.reason == (
        "Not a recording that can be decoded: the process that decoded it crashed, exit status 139."
    )
    assert sorted(verdicts(checks).values()) == ["fail", "ok", "ok"]


def test_a_recording_that_hangs_costs_its_own_row_and_is_still_sent(folder, silent_server):
    hanging = f"{silent_server}/a.wav"
    with CheckPool(workers=2, thresholds=Thresholds(time_limit_s=3.0)) as pool:
        checks = dict(pool.check_many([hanging, *locations(folder)]))
    assert checks[hanging].verdict == "warn"
    assert checks[hanging].reason == "It could not be checked (it took longer than 3 s)."
    assert list(verdicts(checks).values()).count("ok") == 3


def test_what_hangs_every_reader_is_refused_in_words_and_hangs_nothing_else(folder, silent_server):
    hanging, warned = f"{silent_server}/a.wav?key=s3cret", unchecked("it took longer than 2 s")
    with CheckPool(workers=2, thresholds=Thresholds(time_limit_s=2.0)) as pool:
        stuck = pool.identify(hanging, warned).result()
        known = pool.identify(str(folder / "007_visit1.flac"), warned).result()
        gone = pool.identify(str(folder / "gone.wav"), warned).result()
    assert (stuck.verdict, stuck.predicted_error_code) == ("warn", "RECORDING_UNREACHABLE")
    assert stuck.sha256 is None
    assert stuck.reason == (
        f"The recording {silent_server}/a.wav cannot be read (it took longer than 2 s): check its "
        "drive or the network."
    )
    assert (known.verdict, known.reason, known.media_type) == ("warn", warned.reason, "audio/flac")
    assert len(known.sha256) == 64
    assert gone.predicted_error_code == UNREADABLE


def test_a_pool_of_the_callers_that_breaks_is_replaced_and_the_culprit_found(treacherous):
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as given,
        CheckPool(executor=given, workers=1) as pool,
    ):
        checks = dict(pool.check_many(locations(treacherous)))
    assert checks[str(treacherous / "crash.flac")].verdict == "fail"
    assert "crashed" in checks[str(treacherous / "crash.flac")].reason
    assert list(verdicts(checks).values()).count("ok") == 2


def test_threads_will_do_and_are_not_shut_down(folder):
    with ThreadPoolExecutor(2) as given:
        with CheckPool(executor=given) as pool:
            checks = dict(pool.check_many(locations(folder)))
        assert given.submit(abs, -1).result() == 1
    assert list(verdicts(checks).values()).count("ok") == 3


def test_an_executor_that_never_answers_is_given_up(folder):
    class Stuck(Executor):
        def submit(self, _fn, /, *_args, **_kwargs):
            return Future()

    with CheckPool(executor=Stuck(), thresholds=Thresholds(time_limit_s=0.05)) as pool:
        checks = dict(pool.check_many(locations(folder)))
    assert set(verdicts(checks).values()) == {"warn"}
    reasons = {check.reason for check in checks.values()}
    assert reasons == {"It could not be checked (the executor returned nothing for 0.1 s)."}


def test_an_error_of_the_executor_is_a_row_that_is_still_sent(folder):
    class Refusing(Executor):
        def submit(self, _fn, /, *_args, **_kwargs):
            future = Future()
            future.set_exception(KeyError("worker-3 was lost"))
            return future

    with CheckPool(executor=Refusing()) as pool:
        check = pool.check(str(folder / "notes.txt")).result()
    assert check.verdict == "warn"
    assert "worker-3 was lost" in check.reason


def test_no_more_than_a_window_is_handed_out_at_once(folder, monkeypatch):
    monkeypatch.setattr(pool_module, "_WINDOW", 3)
    submitted = []

    class Counting(ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            submitted.append(args[0])
            return super().submit(fn, *args, **kwargs)

    missing = [str(folder / f"{number}.wav") for number in range(20)]
    with Counting(1) as given, CheckPool(executor=given) as pool:
        for done, _ in enumerate(pool.check_many(missing), start=1):
            assert len(submitted) <= done + 3
    assert len(submitted) == 20


async def test_a_check_can_be_awaited(folder):
    with CheckPool(workers=1) as pool:
        future = pool.check(str(folder / "007_visit1.flac"))
        check = await asyncio.wrap_future(future)
    assert check.verdict == "ok"


def test_an_answer_that_is_no_longer_wanted_does_no_harm(folder):
    with CheckPool(workers=1) as pool:
        unwanted = pool.check(str(folder / "007_visit1.flac"))
        assert unwanted.cancel()
        assert pool.check(str(folder / "P04_visit3.wav")).result().verdict == "ok"


class Unused(Executor):
    """Fails the test when a recording is examined again."""

    def submit(self, _fn, /, *args, **_kwargs):
        raise AssertionError(f"{args[0]} was not taken from the cache")


def test_a_second_check_takes_everything_from_the_cache(folder):
    cache = MemoryCache()
    with CheckPool(workers=1, cache=cache) as pool:
        first = dict(pool.check_many(locations(folder)))
    with CheckPool(executor=Unused(), cache=cache) as pool:
        assert dict(pool.check_many(locations(folder))) == first
        assert pool.check(str(folder / "notes.txt")).result().verdict == "fail"


def test_the_cache_holds_for_its_own_rules_only(folder):
    cache = MemoryCache()
    location = str(folder / "007_visit1.flac")
    with ThreadPoolExecutor(1) as threads:
        for rules in ({}, {"full_speech": True}, {"thresholds": Thresholds(longest_s=5)}):
            with CheckPool(executor=threads, cache=cache, **rules) as pool:
                check = pool.check(location).result()
            assert check.speech_counted_to_end == ("full_speech" in rules)
            assert (check.verdict == "fail") == ("thresholds" in rules)


def test_a_changed_file_is_checked_again(folder):
    cache, location = MemoryCache(), folder / "007_visit1.flac"
    with ThreadPoolExecutor(1) as threads:
        with CheckPool(executor=threads, cache=cache) as pool:
            assert pool.check(str(location)).result().verdict == "ok"
        location.write_bytes(b"overwritten")
        with CheckPool(executor=threads, cache=cache) as pool:
            assert pool.check(str(location)).result().verdict == "fail"


def test_a_touched_or_moved_file_is_hashed_and_not_decoded(folder, monkeypatch):
    cache, location = MemoryCache(), folder / "007_visit1.flac"
    with ThreadPoolExecutor(1) as threads:
        with CheckPool(executor=threads, cache=cache) as pool:
            first = pool.check(str(location)).result()
        monkeypatch.delattr("helios_research.preflight_checks.check.examine")
        os.utime(location, ns=(0, 1))
        with CheckPool(executor=threads, cache=cache) as pool:
            touched = pool.check(str(location)).result()
        location.rename(folder / "moved.flac")
        with CheckPool(executor=threads, cache=cache) as pool:
            moved = pool.check(str(folder / "moved.flac")).result()
    assert first.verdict == touched.verdict == moved.verdict == "ok"
    assert first.sha256 == touched.sha256 == moved.sha256
    assert first.stamp not in (touched.stamp, moved.stamp)


def test_what_could_not_be_read_is_not_remembered(folder):
    cache, location = MemoryCache(), folder / "late.flac"
    with ThreadPoolExecutor(1) as threads:
        with CheckPool(executor=threads, cache=cache) as pool:
            assert pool.check(str(location)).result().verdict == "fail"
        (folder / "007_visit1.flac").rename(location)
        with CheckPool(executor=threads, cache=cache) as pool:
            assert pool.check(str(location)).result().verdict == "ok"


def test_a_cache_that_cannot_store_stops_the_checks_with_its_own_error(folder):
    class Full(MemoryCache):
        def store(self, _rules, _checks):
            raise OSError("disk full")

    with ThreadPoolExecutor(1) as threads:
        pool = CheckPool(executor=threads, cache=Full(), store_every=1)
        with pytest.raises(OSError, match="disk full"):
            list(pool.check_many(locations(folder)))


def test_checks_are_stored_before_they_are_given_out(folder):
    """So that a process that is killed does not check again what it has acted upon."""
    cache = MemoryCache()
    rules = rules_key(Thresholds(), full_speech=False)
    with (
        ThreadPoolExecutor(2) as threads,
        CheckPool(executor=threads, cache=cache, store_every=1) as pool,
    ):
        for location, check in pool.check_many(locations(folder)):
            assert cache.load(rules)[location] == check


@pytest.fixture(scope="module")
def cluster():
    """Start a real dask cluster of two worker processes."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.filterwarnings("default")
def test_a_dask_cluster_gives_the_checks_that_this_machine_gives(cluster, folder):
    with CheckPool(executor=cluster.get_executor()) as pool:
        there = dict(pool.check_many(locations(folder)))
    with ThreadPoolExecutor(2) as threads, CheckPool(executor=threads) as pool:
        assert dict(pool.check_many(locations(folder))) == there


def test_the_line_counts_recordings_and_how_many_are_checked_in_a_minute(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    show = progress_callback(True)
    for done in range(1, 31):
        now[0] += 1
        show(done, 30)
    assert capsys.readouterr().err.splitlines() == [
        "1/30 · 29 s left · 60/min · checking recordings",
        "11/30 · 19 s left · 60/min · checking recordings",
        "21/30 · 9 s left · 60/min · checking recordings",
        "30/30 · took 30 s · 60/min · checking recordings",
    ]


def test_the_caller_chooses(capsys):
    seen = []
    progress_callback(lambda done, total: seen.append((done, total)))(1, 2)
    progress_callback(False)(1, 1)
    assert seen == [(1, 2)]
    assert capsys.readouterr().err == ""
    progress_callback(True)(1, 1)
    assert capsys.readouterr().err.startswith("1/1 · took 0 s · ")
