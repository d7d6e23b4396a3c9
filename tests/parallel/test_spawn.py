"""Ranks that start anew, as where there is no fork: the sums, the bits and the endings of forked ones."""
import os
import pickle
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError, Refused
from core.parallel import launch as launching
from core.parallel import ranks, spawn
from core.parallel.launch import launch
from core.parallel.ranks import SLOT, RankFailed, Serial
from core.recipes import Recipe
from core.run import Config, dry_run, run
from core.run.inputs import given_labels, read_data
from tests.lib import rank_work as work
from tests.parallel.test_launch import children
from tests.parallel.test_launch_signals import (
    assert_a_signal_ends_all,
    assert_ctrl_c_does_not_wait,
    finished,
    started,
)
from tests.parallel.test_train_on_ranks import digest, forking

posix = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
AFRESH = ("from core.parallel import launch as launching\nfrom tests.lib import rank_work\n"
          "launching.can_fork = lambda: False\n")


def shared_files():
    """What multiprocessing has made in the memory that is a file system."""
    return {path.name for path in Path("/dev/shm").glob("*") if path.name.startswith(("pym-", "sem.mp-"))}


def assert_all_are_gone(files, seconds=20):
    """Those of tests that run beside this one go; what this one has left would stay."""
    deadline = time.monotonic() + seconds
    while files & shared_files() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not files & shared_files()


@pytest.fixture
def afresh(monkeypatch):
    """No fork. Afterwards no process and no file is left but the tracker, one for the whole program."""
    if os.name == "posix":
        resource_tracker.ensure_running()
    before, files, main = children(), shared_files(), sys.modules["__main__"]
    monkeypatch.setattr(launching, "can_fork", lambda: False)
    yield
    assert children() <= before and sys.modules["__main__"] is main
    assert_all_are_gone(shared_files() - files)


@pytest.mark.parametrize("platform", ["darwin", "no fork"])
def test_without_fork_they_start_anew_and_are_as_many_as_there_are_processors(monkeypatch, platform):
    asked = []
    monkeypatch.setattr(sys, "platform", platform)
    if platform == "no fork":
        monkeypatch.delattr(os, "fork", raising=False)
    monkeypatch.setattr(launching, "available_processors", lambda: 3)
    monkeypatch.setattr(launching, "launch_spawned", lambda *arguments: asked.append(arguments))
    launch("main")
    launch("main", 2, portable="sent")
    assert asked == [("main", 3, "main"), ("main", 2, "sent")]
    assert launch(type, 1) is Serial


@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize("x86", [True, False], ids=["stores in order", "a lock keeps them"])
def test_sums_are_those_of_all_ranks(monkeypatch, x86):
    monkeypatch.setattr(spawn, "ordered", lambda: x86)
    arrays = np.arange(7), np.ones(3 * SLOT // 8 + 5, np.float32), np.zeros((0, 3)), np.ones((4, 6)).T[::2]
    assert launch(partial(work.total, arrays=arrays), 3) == 7 + 3 * sum(array.sum() for array in arrays)


@pytest.mark.usefixtures("afresh")
def test_arrays_go_by_shared_memory_and_nobody_can_write_to_them(monkeypatch):
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):       # what a rank does not follow
        monkeypatch.setenv(name, "2")
    array = np.random.default_rng(0).standard_normal(1 << 18)
    head, memory, _ = spawn.packed(partial(work.seen, array=array), spawn.get_context("spawn"))
    assert len(head) < 1000 and array.nbytes <= len(memory) < array.nbytes + 64
    writable, aligned, threads, pid = launch(partial(work.seen, array=array), 2)
    assert (writable, aligned, threads) == (0, 1, 1) and pid != os.getpid() and array.flags.writeable


@forking
@pytest.mark.usefixtures("afresh")
def test_a_training_has_the_bits_of_forked_ranks(monkeypatch):
    found = launch(partial(digest, "step 1, odd batches"), 3)
    monkeypatch.undo()
    assert found == launch(partial(digest, "step 1, odd batches"), 3) and found[1]


@forking
@pytest.mark.usefixtures("afresh")
def test_a_run_and_its_dry_run_are_those_of_forked_ranks(monkeypatch):
    """Of the whole program: what it sends to the other ranks is all that they need."""
    config = Config(Recipe(lr=0.05, alpha=1.2, beta=0.8, epochs=2, begin=1, K=1, lr2=0.05, epochs2=1, batch=16),
                    digits=(40, 10, 10), net="small", ranks=2)
    reading = read_data(config)
    assert dry_run.trial(config, reading, given_labels(config, reading.data)).ranks == 2
    found = run(config)
    monkeypatch.undo()
    expected = run(config)
    assert found.weights.keys() == expected.weights.keys()
    assert all(np.array_equal(found.weights[name], expected.weights[name]) for name in expected.weights)
    assert np.array_equal(found.soft, expected.soft)


@pytest.mark.usefixtures("afresh")
def test_a_rank_that_raises_releases_the_others_and_the_reason_is_told(capfd):
    with pytest.raises(RankFailed, match="^rank 1 raised an exception.*: ValueError: no more$"):
        launch(partial(work.raising, error=ValueError("no more")), 3)
    assert "ValueError: no more" in capfd.readouterr().err
    with pytest.raises(ValueError, match="^no more"):
        launch(partial(work.raising, error=ValueError("no more"), rank=0), 2)
    for error, text in ((InputError("a wrong setting"), "^a wrong setting$"), (MemoryError(), "^memory ran out")):
        with pytest.raises(InputError if error.args else Refused, match=text):
            launch(partial(work.raising, error=error), 2)
    assert capfd.readouterr().err == ""


@posix
@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize("how, words", [("quietly", "another rank has failed or left"),
                                        ("with a status", "rank 1 ended with status 7"),
                                        ("killed", r"rank 1 was ended by signal 9 \(Killed\); .* smaller --batch")])
def test_a_rank_that_is_gone_is_noticed(how, words):
    with pytest.raises(RankFailed, match=words):
        launch(partial(work.leaving, how=how), 2)


@pytest.mark.usefixtures("afresh")
def test_one_that_is_killed_for_being_late_is_not_given_as_the_reason():
    with pytest.raises(RankFailed, match="^rank 2 raised.*: the reason$"):
        launch(work.late, 3)


@pytest.mark.usefixtures("afresh")
def test_what_cannot_be_sent_is_said_and_what_cannot_be_received():
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda|local object"):
        launch(lambda comm: comm.barrier(), 2)
    with pytest.raises(InputError, match="^not for others$"):
        launch(lambda comm: comm.barrier(), 2, portable=partial(work.seen, array=work.Unpleasant()))


@pytest.mark.usefixtures("afresh")
def test_processes_that_cannot_be_started_are_one_sentence_and_those_that_were_end(monkeypatch):
    calls, start = [], BaseProcess.start

    def no_third(process):
        calls.append(process)
        if len(calls) == 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        start(process)

    monkeypatch.setattr(BaseProcess, "start", no_third)
    with pytest.raises(InputError, match="--ranks 3: the system starts no more processes .*choose fewer"):
        launch(work.total, 3)


@pytest.mark.usefixtures("afresh")
def test_a_rank_can_launch_ranks_of_its_own():
    assert launch(partial(work.nested, launch=launch), 2) == 3 + 100 * 7


@posix
@pytest.mark.parametrize("whom", ["rank 0", "all"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda n: n.name)
def test_a_signal_ends_all_ranks(number, whom):
    files = shared_files()
    err = assert_a_signal_ends_all(started(AFRESH + "launch(rank_work.for_ever, 3)"), number, whom)
    assert "resource_tracker" not in err
    assert_all_are_gone(shared_files() - files)


@posix
def test_a_second_ctrl_c_does_not_wait():
    """While rank 0 waits for a rank that is busy."""
    assert_ctrl_c_does_not_wait(started(AFRESH + "launch(rank_work.busy, 2)"))


@posix
def test_ctrl_c_while_ranks_are_started_is_for_rank_0():
    """The signal comes to both, before the new process has begun to listen."""
    process = started(AFRESH + """
from multiprocessing.process import BaseProcess
start = BaseProcess.start
def interrupted(process):
    start(process)
    for pid in (process.pid, os.getpid()):
        os.kill(pid, signal.SIGINT)
BaseProcess.start = interrupted
try:
    launch(rank_work.total, 2)
except KeyboardInterrupt:
    say('interrupted')
""")
    out, err, status = finished(process)
    assert (out, err, status) == ("interrupted\n", "", 0)


@posix
def test_statuses_that_the_system_does_not_keep_are_no_obstacle():
    process = started(AFRESH + """
from functools import partial
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
say(launch(rank_work.total, 3))
try:
    launch(partial(rank_work.raising, error=ValueError('found by rank 1')), 3)
except RankFailed as error:
    say(error)
""")
    out, err, _ = finished(process)
    assert out == "7.0\nrank 1 raised an exception, which is printed above: ValueError: found by rank 1\n", err


def test_a_script_is_not_run_again_by_its_ranks(tmp_path):
    """Though nothing in it asks whether it is the main program, as multiprocessing wants it elsewhere."""
    (tmp_path / "script.py").write_text(f"import sys\nsys.path.insert(0, {str(Path.cwd())!r})\n{AFRESH}"
                                        "print(launching.launch(rank_work.total, 3))\n", encoding="utf-8")
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("7.0\n", "")


def test_a_system_without_sched_yield_gives_way_by_sleeping(monkeypatch):
    slept = []
    monkeypatch.delattr(ranks.os, "sched_yield", raising=False)
    monkeypatch.setattr(ranks.time, "sleep", slept.append)
    ranks.give_way()
    assert slept == [0]
