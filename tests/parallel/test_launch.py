"""Starting ranks and ending them: what goes wrong in one is told by rank 0, and nobody waits for one that is gone."""
import errno
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from core.errors import InputError
from core.parallel.launch import launch
from core.parallel.ranks import NOTE, RankFailed

forking = pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="ranks need fork")
pytestmark = pytest.mark.usefixtures("no_child_is_left")


def blas_threads(comm=None):
    return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


def allreduced(comm):
    """What ranks 1, 2, 4, ... add up to, if they are all there."""
    total = np.array([2.0 ** comm.rank])
    comm.allreduce(total)
    return total[0]


def children():
    """The numbers of this process's children, with the ended ones that nobody has asked for."""
    return {number for task in Path("/proc/self/task").glob("*/children") for number in task.read_text().split()}


@pytest.fixture
def no_child_is_left():
    """Afterwards there is no child that was not there before: other tests' libraries keep some."""
    before = children()
    yield
    assert children() <= before


@pytest.mark.parametrize("size", [1, pytest.param(2, marks=forking)])
@pytest.mark.parametrize("fails", [False, True])
def test_blas_threads_are_one_within_and_restored_after(size, fails):
    def main(comm):
        within.extend(blas_threads())
        assert not fails

    within = []
    with threadpoolctl.threadpool_limits(2, "blas"):
        before = blas_threads()
        if fails:
            with pytest.raises(AssertionError):
                launch(main, size)
        else:
            launch(main, size)
        assert set(within) == {1} and blas_threads() == before != within


@forking
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_rank_that_raises_releases_the_others(failing, capfd):
    def main(comm):
        if comm.rank == failing:
            raise ValueError("no more")
        comm.allreduce(np.zeros(3))

    start = time.monotonic()
    with pytest.raises(ValueError if failing == 0 else RankFailed,
                       match="^no more" if failing == 0 else f"^rank {failing} raised an "
                                                             "exception.*: ValueError: no more$"):
        launch(main, 3)
    assert time.monotonic() - start < 2
    assert failing == 0 or "ValueError: no more" in capfd.readouterr().err


@forking
def test_a_rank_that_is_killed_releases_the_others_and_the_reason_is_told():
    def main(comm):
        if comm.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        comm.barrier()

    with pytest.raises(RankFailed,
                       match=r"^rank 1 was ended by signal 9 \(Killed\); .* memory runs out: choose a smaller --batch"):
        launch(main, 3)


@forking
def test_another_signal_than_kill_is_none_of_memory():
    with pytest.raises(RankFailed, match=r"^rank 1 was ended by signal 15 \(Terminated\)$"):
        launch(lambda comm: os.kill(os.getpid(), signal.SIGTERM) if comm.rank else comm.barrier(), 2)


@forking
def test_ctrl_c_is_for_rank_0_alone():
    def main(comm):
        if comm.rank:
            os.kill(os.getpid(), signal.SIGINT)
        return allreduced(comm)
    assert launch(main, 3) == 7


@forking
def test_what_was_written_before_is_written_once(tmp_path, monkeypatch):
    with open(tmp_path / "out", "w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        print("before")
        launch(allreduced, 3)
        monkeypatch.undo()
    assert (tmp_path / "out").read_text() == "before\n"


@forking
def test_a_rank_that_fails_after_rank_0_has_finished_is_reported(capfd):
    def main(comm):
        time.sleep(2.1 * comm.rank)                            # longer than one waits for ranks when rank 0 has failed
        assert comm.rank == 0, "late"

    with pytest.raises(RankFailed):
        launch(main, 2)
    assert "late" in capfd.readouterr().err


@forking
@pytest.mark.parametrize("text", ["a wrong setting", "ä" * NOTE])
def test_bad_input_that_another_rank_finds_is_raised_by_rank_0_and_printed_by_nobody(text, capfd):
    def main(comm):
        if comm.rank == 1:
            raise InputError(text)
        comm.barrier()

    with pytest.raises(InputError) as raised:
        launch(main, 3)
    assert text.startswith(str(raised.value)[:NOTE // 2]) and capfd.readouterr().err == ""


@forking
def test_a_rank_that_leaves_without_a_word_is_no_success():
    with pytest.raises(RankFailed, match="another rank has failed or left"):
        launch(lambda comm: comm.rank or comm.barrier(), 2)
    with pytest.raises(RankFailed, match="rank 1 ended with status 7"):
        launch(lambda comm: os._exit(7) if comm.rank else comm.barrier(), 2)


@forking
def test_one_that_is_killed_for_being_late_is_not_given_as_the_reason():
    def main(comm):
        if comm.rank == 2:
            raise ValueError("the reason")
        time.sleep(60) if comm.rank == 1 else comm.barrier()

    with pytest.raises(RankFailed, match="^rank 2 raised.*: the reason$"):
        launch(main, 3)


@forking
def test_processes_that_cannot_be_started_are_one_sentence_and_those_that_were_end(monkeypatch):
    calls = []

    def fork(originally=os.fork):
        calls.append(None)
        if len(calls) == 2:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return originally()

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(InputError, match="--ranks 3: the system starts no more processes .*choose fewer"):
        launch(lambda comm: comm.barrier(), 3)


@forking
def test_ranks_can_be_started_beside_other_threads_and_by_them():
    """Where Python 3.12 and later warn of fork."""
    stop, found = threading.Event(), []
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found.append(launch(allreduced, 2))
            thread = threading.Thread(target=lambda: found.append(launch(allreduced, 3)))
            thread.start()
            thread.join()
    finally:
        stop.set()
        other.join()
    assert found == [3, 7]


@forking
def test_a_rank_can_launch_ranks_of_its_own():
    def main(comm):
        total = np.array([100.0 ** comm.rank * launch(allreduced, 2 + comm.rank)])
        comm.allreduce(total)
        return total[0]

    assert launch(main, 2) == 3 + 100 * 7


@forking
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells mappings where there is /proc")
def test_the_shared_memory_goes_with_the_launch():
    def shared():
        return Path("/proc/self/maps").read_text().count("/dev/zero")

    launch(allreduced, 2)
    before = shared()
    for _ in range(3):
        launch(allreduced, 2)
    assert shared() == before
