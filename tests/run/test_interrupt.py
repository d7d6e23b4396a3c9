"""Ctrl-C and SIGTERM end a run at a clean point, and say what was kept and what to type to go on."""
import os
import signal
import subprocess
import time

import pytest

import demo
from tests.lib.tiny_demo import started
from tests.lib.tiny_run import contents

OPTIONS = ["--quick", "--epochs", "12", "--seed", "3"]     # one is over in a tenth of a second

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals and terminals")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The contents of an uninterrupted run on two ranks."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert started(*OPTIONS, "--ranks", 2, "--out", out, stdout=subprocess.DEVNULL).wait(120) == 0
    return contents(out)


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("ranks, number, terminal",
                         [(2, signal.SIGINT, True), pytest.param(1, signal.SIGINT, False, marks=pytest.mark.thorough),
                          pytest.param(2, signal.SIGTERM, False, marks=pytest.mark.thorough)])
def test_a_run_ended_by_a_signal_says_how_to_go_on_and_does(whole, tmp_path, ranks, number, terminal):
    out = tmp_path / "run"
    ours, theirs = os.openpty() if terminal else os.pipe()
    process = started(*OPTIONS, "--ranks", ranks, "--out", out, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    wait_for(out / "checkpoint.npz")
    os.killpg(process.pid, number)                           # all ranks get it, as from a terminal or a cluster
    said = read_all(ours)
    assert process.wait(30) == 130 and "Traceback" not in said, said
    assert "interrupted; the run is saved as it was after epoch" in said and f"demo.py resume {out}" in said, said
    assert not list(out.glob(".*.part"))

    if ranks == 1:
        return
    again = started("resume", out, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said, errors = again.communicate(timeout=120)
    assert again.returncode == 0 and errors == "" and "resumed  after epoch" in said, said + errors
    assert contents(out) == whole


def test_a_signal_interrupts_and_those_right_after_it_do_not(monkeypatch):
    clock, handler, raised = [100.0], demo.Interruption(), []
    monkeypatch.setattr(demo.time, "monotonic", lambda: clock[0])
    for clock[0] in (100, 100.1, 104.9, 105, 105.1, 300):
        try:
            handler(signal.SIGINT, None)
        except KeyboardInterrupt:
            raised.append(clock[0])
    assert raised == [100, 105, 300]


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)])
def test_more_signals_while_it_ends_change_nothing(tmp_path, number):
    out = tmp_path / "run"
    process = started(*OPTIONS, "--ranks", 2, "--out", out, text=True, stdout=subprocess.DEVNULL,
                      stderr=subprocess.PIPE)
    wait_for(out / "checkpoint.npz")
    for _ in range(3):
        process.send_signal(number)
        time.sleep(0.005)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and said.startswith("\ninterrupted; the run is saved as it was after"), said
    assert "Traceback" not in said


@pytest.mark.thorough
def test_a_sweep_that_a_terminal_interrupts_ends_without_a_traceback(tmp_path):
    """Ctrl-C reaches its processes as well."""
    (tmp_path / "sweep.txt").write_text("".join(f"--quick --epochs 99 --seed {seed}\n" for seed in (1, 2)))
    process = started("sweep", tmp_path / "sweep.txt", "--out", tmp_path, "--jobs", 2, stdout=subprocess.DEVNULL,
                      stderr=subprocess.PIPE, text=True, start_new_session=True)
    for seed in (1, 2):
        wait_for(tmp_path / f"quick-epochs-99-seed-{seed}" / "checkpoint.npz")
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Traceback" not in said
    assert said.endswith("\ninterrupted; repeat the command to continue the sweep\n")


def read_all(file):
    """What is written to the other end of a pipe or terminal until that is closed."""
    pieces = []
    while True:
        try:
            pieces.append(os.read(file, 1 << 16))
        except OSError:                                      # how a terminal says it
            break
        if not pieces[-1]:
            break
    os.close(file)
    return b"".join(pieces).decode()
