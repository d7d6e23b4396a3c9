"""benchmarks/gpu_session.py without a GPU: every part ends within its limit with all its processes, archived."""
import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from types import SimpleNamespace

import pytest

from benchmarks import gpu_archive, gpu_experiment, gpu_parts, gpu_session
from benchmarks.gpu_parts import MARGIN, ROOT, Part, Session
from tests.conftest import pytest_collection_modifyitems

COMMANDS = gpu_session.calls(ROOT / "runs" / "work", ROOT / "cifar-10-batches-py")
PARTS = [part for call in COMMANDS.values() for stage in call.stages for part in stage]


def script(name, limit, text, *arguments):
    """A part that is a line of Python."""
    return Part(name, limit, [sys.executable, "-c", text, *map(str, arguments)])


@pytest.fixture
def session(tmp_path):
    """A session of 60 s."""
    return Session(tmp_path / "work", tmp_path / "out" / "all.tgz", 60 + MARGIN)


def archived(session):
    """{name: bytes} of the archive."""
    with tarfile.open(session.archive) as tar:
        return {member.name.partition("/")[2]: tar.extractfile(member).read() for member in tar}


def table(session):
    """{name: the rest of its line}, of parts whose names are one word."""
    lines = (session.work / "session.txt").read_text(encoding="utf-8").splitlines()
    return {line.split()[2]: " ".join(line.split()[5:]) for line in lines}


# ---- parts ---------------------------------------------------------------------------------------------------------

def test_parts_of_a_stage_run_together_and_each_outcome_is_in_the_table_and_the_archive(session):
    beside = ("import os, sys, time\nopen(sys.argv[1], 'w')\n"
              "while not os.path.exists(sys.argv[2]): time.sleep(0.05)\nprint('met')")
    here, there = session.work / "here", session.work / "there"
    found = session.run(script("left", 30, beside, here, there), script("right", 30, beside, there, here),
                        script("bad", 30, "import nothing_of_that_name"))
    assert found == {"left": 0, "right": 0, "bad": 1} and not session.good
    assert table(session) == {"left": "ok met", "right": "ok met",
                              "bad": "failed (1) ModuleNotFoundError: No module named 'nothing_of_that_name'"}
    assert {"left.log", "right.log", "bad.log", "here", "there", "session.txt"} <= archived(session).keys()


def test_the_archive_is_there_after_each_part_and_while_one_runs(session, monkeypatch):
    monkeypatch.setattr(gpu_parts, "RENEWED", 0.2)
    for number in range(2):
        session.run(script(f"part {number}", 30, "print('done')"))
        assert archived(session)[f"part-{number}.log"].endswith(b"done\n")
    look = ("import sys, tarfile, time\nopen(sys.argv[1], 'w').write('first')\n"
            "while 'work/early' not in tarfile.open(sys.argv[2]).getnames(): time.sleep(0.05)")
    assert session.run(script("looks", 30, look, session.work / "early", session.archive)) == {"looks": 0}


FAMILY = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
generation = int(sys.argv[2])
open(os.path.join(sys.argv[1], f"{generation}.pid"), "w").write(str(os.getpid()))
if generation:
    subprocess.Popen([sys.executable, "-c", sys.argv[3], sys.argv[1], str(generation - 1), sys.argv[3]])
while sys.argv[4:] != ["ends"] or not os.path.exists(os.path.join(sys.argv[1], "0.pid")):
    time.sleep(0.05)
"""


def lives(pid):
    """Whether a process runs; one that is dead and not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc")
@pytest.mark.thorough                  # these wait, as a session does
@pytest.mark.parametrize("end", [[], ["ends"]], ids=["hangs", "ends"])
def test_a_part_is_over_with_its_grandchildren(session, tmp_path, end):
    start = time.monotonic()
    found = session.run(script("family", 30 if end else 8, FAMILY, tmp_path, 2, FAMILY, *end))
    pids = [int((tmp_path / f"{generation}.pid").read_text()) for generation in range(3)]
    until = time.monotonic() + 10
    while any(map(lives, pids)) and time.monotonic() < until:                   # the kernel takes its time to end them
        time.sleep(0.05)
    assert not any(map(lives, pids)) and time.monotonic() - start < 25
    assert found == {"family": 0 if end else None}
    assert table(session)["family"] == ("ok" if end else "ended after 8 s")


@pytest.mark.thorough
def test_no_part_runs_longer_than_its_session_and_none_begins_after_it(tmp_path):
    with Session(tmp_path / "work", tmp_path / "all.tgz", 4 + MARGIN) as session:
        session.run(script("slow", 600, "import time; print('begun'); time.sleep(600)"))
        session.run(script("late", 600, "print('never')"))
    assert table(session) == {"slow": "ended after 4 s begun", "late": "not run the session's time is over"}
    assert not session.good and "slow.log" in archived(session) and "late.log" not in archived(session)


def test_a_program_that_is_missing_is_told(session):
    assert session.run(Part("tool", 5, ["no-such-tool", "-x"])) == {}
    assert table(session) == {"tool": "not run no-such-tool: No such file or directory"} and not session.good


def test_a_session_that_is_ended_ends_its_parts_and_leaves_an_archive(tmp_path):
    program = ("import signal, sys; sys.path.insert(0, sys.argv[1])\nfrom benchmarks import gpu_session as s\n"
               "signal.signal(signal.SIGTERM, s.terminated)\nfrom benchmarks.gpu_parts import Part, Session\n"
               "with Session(sys.argv[2] + '/work', sys.argv[2] + '/all.tgz', 90) as session:\n"
               "    family = [sys.executable, '-c', sys.argv[3], sys.argv[2], '0', sys.argv[3]]\n"
               "    session.run(Part('family', 60, family))")
    process = subprocess.Popen([sys.executable, "-c", program, str(ROOT), str(tmp_path), FAMILY])
    until = time.monotonic() + 30
    while not (tmp_path / "0.pid").exists() or not (tmp_path / "0.pid").read_text():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert not lives(int((tmp_path / "0.pid").read_text()))
    with tarfile.open(tmp_path / "all.tgz") as tar:
        assert "work/family.log" in tar.getnames()


# ---- the archive ---------------------------------------------------------------------------------------------------

def test_weights_that_are_there_twice_and_half_written_files_are_left_out(session):
    run = session.work / "experiment" / "kernels-half"
    run.mkdir(parents=True)
    kept = ("model.safetensors", "log.jsonl")
    for name in (*kept, "weights.npz", "checkpoint.npz", "checkpoint-previous.npz", ".x.part"):
        (run / name).write_bytes(b"x")
    session.pack()
    assert archived(session).keys() == {f"experiment/kernels-half/{name}" for name in kept}


def test_an_archive_that_would_be_too_large_goes_without_the_largest_files(session, monkeypatch, capsys):
    monkeypatch.setattr(gpu_archive, "LARGEST", 100_000)
    with session:
        for name, size in (("a", 60_000), ("b", 70_000), ("log", 30_000)):
            (session.work / name).write_bytes(os.urandom(size))
        (session.work / "zeros").write_bytes(bytes(1_000_000))
    assert archived(session).keys() == {"a", "log", "zeros"} and session.archive.stat().st_size < 100_000
    assert "without work/b" in capsys.readouterr().out


def test_an_archive_that_cannot_be_written_ends_nothing(session, monkeypatch, capsys):
    session.pack()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gpu_archive.os, "replace", full)
    assert session.run(script("good", 30, "print('fine')")) == {"good": 0} and session.good
    assert "no archive: [Errno 28]" in capsys.readouterr().out and archived(session) == {}


# ---- the plan ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", COMMANDS)
def test_the_limits_of_a_call_fit_into_it(number):
    seconds, stages = COMMANDS[number]
    longest = [gpu_session.MACHINE.limit, *(max(part.limit for part in stage) for stage in stages)]
    assert sum(longest) + MARGIN <= seconds == {1: 430, 2: 370, 3: 160}[number]


def test_parts_have_names_of_their_own():
    assert len({part.name for part in PARTS}) == len(PARTS)


class Parsed(Exception):
    """The parser of a program has taken the command."""


@pytest.mark.parametrize("part", [part for part in PARTS if "pytest" not in part.command], ids=lambda part: part.name)
def test_the_programs_take_the_commands_of_the_plan(part, monkeypatch):
    words = part.command[part.command.index(sys.executable) + 1:]
    module, arguments = (words[1], words[2:]) if words[0] == "-m" else (words[0].removesuffix(".py"), words[1:])
    main = importlib.import_module("tests.__main__" if module == "tests" else module).main
    parse = argparse.ArgumentParser.parse_known_args

    def parse_alone(parser, given=None, namespace=None):
        _, unknown = parse(parser, given, namespace)
        assert unknown == []
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parse_alone)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    with pytest.raises(Parsed):
        main()


@pytest.mark.parametrize("name", ["kernels", *(pytest.param(name, marks=pytest.mark.thorough)
                                               for name in ("memcheck", "array code"))])
def test_pytest_takes_the_commands_of_the_plan_and_finds_nothing_to_do_without_a_gpu(name):
    command = next(part.command for part in PARTS if part.name == name)
    command = command[command.index(sys.executable):]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTEST_ADDOPTS": "", "PYTEST_XDIST_WORKER": ""}
    command += ["--collect-only", "--assert=plain"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stdout + done.stderr


def test_what_runs_on_a_gpu_is_marked():
    marked, cupy = {}, SimpleNamespace(__name__="cupy")

    def item(words, **params):
        callspec = SimpleNamespace(id=words, params=params)
        return SimpleNamespace(nodeid=words, callspec=callspec,
                               add_marker=lambda marker: marked.update({words: marker}))

    pytest_collection_modifyitems([item("half-gpu", number="half", xp=cupy), item("cupy-3", xp=cupy, n=3),
                                   item("emulator", xp=None), item("cupy", library="cupy"), SimpleNamespace(nodeid="")])
    assert marked == {"half-gpu": "gpu", "cupy-3": "cupy"}


def test_without_a_gpu_every_part_says_why_it_could_not_run(tmp_path):
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "benchmarks.gpu_session", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    for part in PARTS:
        line, = [line for line in done.stdout.splitlines() if f" s  {part.name} " in line]
        assert "not run" in line and "--gpu" in line
    with tarfile.open(tmp_path / "out" / "gpu-session.tgz") as tar:
        assert {"work/machine.log", "work/session.txt"} <= set(tar.getnames())


def test_without_the_data_the_experiment_says_so_and_the_others_run(session, monkeypatch):
    monkeypatch.setattr(gpu_session, "MACHINE", script("machine", 30, "print('a GPU')"))
    stage = [script("experiment", 30, "print('never')"), script("other", 30, "print('fine')")]
    gpu_session.carry_out(session, [stage], None)
    assert table(session) == {"machine": "ok a GPU", "other": "ok fine",
                              "experiment": "not run name CIFAR-10 with --data"}


# ---- the experiment ------------------------------------------------------------------------------------------------

DEMO = """
import json, pathlib, sys, time
folder, told = pathlib.Path(sys.argv[sys.argv.index("--out") + 1]), json.load(open("told.json"))
folder.mkdir(parents=True)
for line in range(told[folder.name]["epochs"]):
    with open(folder / "log.jsonl", "a") as log:
        log.write("{}\\n")
    time.sleep(0.05)
if told[folder.name]["end"] == "complete":
    outcome = {"initial": 0.3, "recovery": 0.9, "joint": {"test": 0.8}, "retrain": {"test": 0.85}}
    (folder / "summary.json").write_text(json.dumps(outcome))
time.sleep(600 if told[folder.name]["end"] == "hangs" else 0.3)
sys.exit({"complete": 0, "fails": 2}[told[folder.name]["end"]])
"""
COMPLETE, REFUSES, BREAKS, STUCK, LATE = (8, "complete"), (0, "fails"), (5, "fails"), (2, "hangs"), (5, "hangs")


@pytest.mark.parametrize("told, taken, status", [
    ({"kernels-half": COMPLETE}, ["kernels-half"], 0),
    ({"kernels-half": REFUSES, "kernels-float": COMPLETE}, ["kernels-half", "kernels-float"], 0),
    pytest.param({"kernels-half": REFUSES, "kernels-float": STUCK, "cupy": COMPLETE},
                 ["kernels-half", "kernels-float", "cupy"], 0, marks=pytest.mark.thorough),
    ({"kernels-half": BREAKS, "again": COMPLETE}, ["kernels-half", "again"], 0),
    (dict.fromkeys(["kernels-half", "kernels-float", "cupy"], REFUSES), ["kernels-half", "kernels-float", "cupy"], 1),
    pytest.param({"kernels-half": LATE}, ["kernels-half"], 1, marks=pytest.mark.thorough),
], ids=["half", "float", "cupy", "again", "none", "out of time"])
def test_the_experiment_takes_the_first_way_that_works(tmp_path, monkeypatch, capfd, told, taken, status):
    (tmp_path / "demo.py").write_text(DEMO)
    behaviour = {name: {"epochs": epochs, "end": end} for name, (epochs, end) in told.items()}
    (tmp_path / "told.json").write_text(json.dumps(behaviour))
    monkeypatch.setattr(gpu_experiment, "ROOT", tmp_path)
    monkeypatch.setattr(gpu_experiment, "PATIENCE", 3 if STUCK in told.values() else 60)
    seconds = "8" if LATE in told.values() else "60"
    assert gpu_experiment.main([str(tmp_path / "out"), "--data", "cifar", "--seconds", seconds]) == status
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(taken)
    last = capfd.readouterr().out.splitlines()[-1]
    assert last.startswith(f"{taken[-1]}: ")
    assert ("correct labels 30.0 % -> 90.0 %, test 80.0 %, 85.0 %" in last) == (status == 0)


def test_cupy_gets_as_many_epochs_as_should_fit():
    assert gpu_experiment.options("cupy", "sn-70", 310) == ["--epochs", "50"]             # 50 + 30 of 3.8 s
    assert gpu_experiment.options("cupy", "sn-70", 1e9) == ["--epochs", "200"]
    assert gpu_experiment.options("cupy", "sn-70", 0) == ["--epochs", "1"]
    assert gpu_experiment.options("kernels-half", "sn-70", 310) == ["--kernels", "half"]
