"""Worker processes that may crash or hang."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from helios_research.preflight_checks.worker import (
    WorkerCrashedError,
    WorkerHungError,
    WorkerPool,
    WorkerStartError,
    usable_cores,
)


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(2, time_limit_s=30) as pool:
        yield pool


def test_tasks_run_in_other_processes(pool):
    pids = {pool.submit(os.getpid).result() for _ in range(4)}
    assert os.getpid() not in pids


def test_a_crash_costs_its_own_task_only(pool):
    futures = [pool.submit(abs, -1), pool.submit(os._exit, 3), pool.submit(abs, -2)]
    assert futures[0].result() == 1
    assert futures[2].result() == 2
    with pytest.raises(WorkerCrashedError, match="crashed, exit status 3"):
        futures[1].result()
    assert pool.submit(abs, -3).result() == 3


def test_a_crash_that_does_not_repeat_is_forgiven(pool, tmp_path):
    """The system may end any process when memory runs short, whatever caused it."""
    marker = tmp_path / "crashed once"
    script = f"import os, pathlib; p = pathlib.Path({str(marker)!r}); p.exists() or (p.touch(), os._exit(9))"
    assert pool.submit(exec, script).result() is None
    assert marker.exists()


def test_a_hang_is_ended_at_its_time_limit_and_the_rest_goes_on():
    with WorkerPool(1, time_limit_s=1.0) as pool:
        hung, after = pool.submit(time.sleep, 600), pool.submit(abs, -1)
        with pytest.raises(WorkerHungError, match="it took longer than 1 s"):
            hung.result()
        assert after.result() == 1


def test_an_error_in_a_task_reaches_the_caller_in_words(pool):
    with pytest.raises(RuntimeError, match="ZeroDivisionError: "):
        pool.submit(divmod, 1, 0).result()


def test_a_task_that_is_unknown_there_is_an_error_and_not_a_crash(pool, monkeypatch, tmp_path):
    (tmp_path / "only_here.py").write_text("def task(): pass")
    monkeypatch.syspath_prepend(tmp_path)
    import only_here

    with pytest.raises(RuntimeError, match="ModuleNotFoundError: No module named 'only_here'"):
        pool.submit(only_here.task).result()
    assert pool.submit(abs, -1).result() == 1


def test_what_a_library_prints_does_not_get_between_the_answers(pool):
    pool.submit(os.write, 1, b"noise on the standard output\n").result()
    assert pool.submit(print, "more noise").result() is None
    assert pool.submit(abs, -1).result() == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_of_processes_is_left_to_the_parent(pool, number):
    """Else each recording under way would be taken for one that crashes its decoder."""
    assert pool.submit(signal.raise_signal, number).result() is None


def test_abandoning_ends_what_hangs():
    pool = WorkerPool(1, time_limit_s=600)
    running, waiting = pool.submit(time.sleep, 600), pool.submit(abs, -1)
    while not running.running():
        time.sleep(0.01)
    pool.shutdown(cancel_futures=True)
    with pytest.raises(WorkerCrashedError):
        running.result()
    with pytest.raises(CancelledError):
        waiting.result()


def test_a_python_that_cannot_be_started_is_named(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        WorkerPool(1, time_limit_s=5) as pool,
        pytest.raises(WorkerStartError, match=r"with /bin/false .*: pass executor="),
    ):
        pool.submit(abs, -1).result()


def test_settings_for_remote_files_reach_the_workers(monkeypatch):
    from fsspec.config import conf

    monkeypatch.setitem(conf, "s3", {"endpoint_url": "http://127.0.0.1:1"})
    with WorkerPool(1, time_limit_s=30) as pool:
        script = "from fsspec.config import conf; assert conf['s3']['endpoint_url'][-1] == '1'"
        assert pool.submit(exec, script).result() is None


def test_a_script_without_a_main_guard_runs_once(tmp_path):
    """Researchers write plain scripts; the standard library's pools would start them again."""
    script = tmp_path / "study.py"
    script.write_text(
        "print('started')\n"
        "from helios_research.preflight_checks.worker import WorkerPool\n"
        "with WorkerPool(2, time_limit_s=30) as pool:\n"
        "    print(pool.submit(abs, -7).result())\n"
    )
    (tmp_path / "random.py").write_text("raise SystemExit('the researcher has a random.py')\n")
    command = [sys.executable, "-P", str(script)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert ran.stdout.split() == ["started", "7"]


def test_there_is_at_least_one_core():
    assert usable_cores() >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")
def test_no_worker_outlives_a_killed_parent_even_in_the_middle_of_a_task(tmp_path):
    begun = tmp_path / "begun"
    task = f"import pathlib, time; pathlib.Path({str(begun)!r}).touch(); time.sleep(600)"
    script = (
        "import os, time\n"
        "from helios_research.preflight_checks.worker import WorkerPool\n"
        "pool = WorkerPool(1, time_limit_s=600)\n"
        "print(pool.submit(os.getpid).result(), flush=True)\n"
        f"pool.submit(exec, {task!r}).result()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    while not begun.exists():
        time.sleep(0.01)
    parent.kill()
    parent.communicate()
    while Path(f"/proc/{worker}").exists():
        time.sleep(0.05)
