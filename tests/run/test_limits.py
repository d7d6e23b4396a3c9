"""What the system refuses - memory, files, processes, disks, somewhere to print - is one sentence, and the run goes on
from where it was."""
import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import demo
from core.data import label_files
from core.errors import InputError, Refused, refused
from core.parallel.launch import launch
from core.parallel.ranks import RankFailed
from core.report import manifest, results
from core.run import run, state
from core.run.folder import is_complete
from core.use import apply, predict
from nets import safetensors_file
from tests.lib.tiny_demo import started
from tests.lib.tiny_run import tiny, tiny_runs  # noqa: F401   the fixture
from tests.parallel.test_launch import forking

ROOT = Path(__file__).parents[2]


def raises(error):
    def function(*args, **options):
        raise error
    return function


LIMITS = {"memory ran out": [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory"),
                             ImportError("libx.so: failed to map segment from shared object")],
          "too many files are open": [OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENFILE, "")],
          "the system starts no more processes": [BlockingIOError(errno.EAGAIN, ""),
                                                  RuntimeError("can't start new thread")],
          "a path is longer than": [OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300)]}
ERRORS = [(words, error) for words, errors in LIMITS.items() for error in errors]
OUT_OF_MEMORY = pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])


@pytest.mark.parametrize("words, error", ERRORS, ids=lambda value: getattr(value, "__class__", None).__name__)
def test_every_limit_is_one_sentence_of_the_program(monkeypatch, capsys, words, error):
    monkeypatch.setitem(demo.DO, "check", raises(error))
    assert demo.main(["check"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"error: {words}") and err.count("\n") == 1 and out == ""


@pytest.mark.parametrize("error", [OSError("image file is truncated"), ValueError("memory"), KeyError("x"),
                                   FileNotFoundError(errno.ENOENT, "No such file or directory")])
def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setitem(demo.DO, "check", raises(error))
    assert refused(error) is None
    with pytest.raises(type(error)):
        demo.main(["check"])


@OUT_OF_MEMORY
@pytest.mark.usefixtures("tiny_runs")
def test_a_training_that_memory_ends_says_how_to_go_on(tmp_path, monkeypatch, error):
    saved = []

    def third(path, arrays):
        saved.append(path)
        if len(saved) == 3:
            raise error
        save_sealed(path, arrays)

    save_sealed = state.save_sealed
    monkeypatch.setattr(state, "save_sealed", third)
    with pytest.raises(Refused, match="^memory ran out: .*; the run is saved as it was after epoch 2 of step 1. "
                                      f"To resume it: .*demo.py resume {tmp_path}/run$"):
        demo.finish(tiny(tmp_path / "run"))


@pytest.mark.usefixtures("tiny_runs")
def test_a_full_disk_says_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "save_arrays", raises(Refused("cannot write weights.npz: the disk is full: x")))
    with pytest.raises(Refused, match="is full: x; the run is saved as .* after epoch 5 of the comparison. To"):
        demo.finish(tiny(tmp_path / "run"))


def test_a_process_that_dies_says_how_to_go_on(monkeypatch):
    monkeypatch.setattr(demo, "run", raises(RankFailed("rank 1 was killed")))
    monkeypatch.setattr(demo, "resume_hint", lambda config: "to resume it: ...")
    with pytest.raises(RankFailed, match="^rank 1 was killed; to resume it: ...$"):
        demo.finish(None)


@forking
@OUT_OF_MEMORY
def test_another_rank_that_memory_ends_is_the_same_sentence(error, capfd):
    def main(comm):
        if comm.rank == 1:
            raise error
        comm.barrier()

    with pytest.raises(Refused, match="^memory ran out"):
        launch(main, 2)
    assert capfd.readouterr().err == ""


@OUT_OF_MEMORY
@pytest.mark.parametrize("read, library, name", [
    (apply.whole_numbers, np, "load"),
    (lambda path: predict.array(path, ()), np, "load"),
    (lambda path: label_files.read_array(path, (1,), "i", "labels"), np.lib.format, "open_memmap"),
    (safetensors_file.load, safetensors_file, "read_up_to")], ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_that_does_not_fit_into_memory_is_not_called_damaged(tmp_path, monkeypatch, read, library, name, error):
    (tmp_path / "a.npy").touch()
    monkeypatch.setattr(library, name, raises(error))
    with pytest.raises(Refused, match="^memory ran out"):
        read(tmp_path / "a.npy")


# ---- pictures --------------------------------------------------------------------------------------------------------

@pytest.mark.usefixtures("tiny_runs")
@pytest.mark.parametrize("error", [ValueError("no font\n"), MemoryError(), ImportError("matplotlib")])
def test_what_cannot_be_drawn_ends_no_training(tmp_path, monkeypatch, error):
    said = []
    monkeypatch.setattr(results.pictures, "draw_all", raises(error))
    monkeypatch.setattr(results.page, "write", raises(error))
    run(tiny(tmp_path / "run"), say=said.append)
    assert is_complete(tmp_path / "run") and len(said) == 3
    why = " ".join(f"{type(error).__name__}: {error}".split())
    assert said[1:] == [f"note     {what} could not be made ({why}); everything else is there"
                        for what in ("pictures", "report.html")]


@pytest.mark.usefixtures("tiny_runs")
def test_a_page_that_the_disk_refuses_can_be_had_by_resuming(tmp_path, monkeypatch):
    monkeypatch.setattr(results.page, "write", raises(Refused("the disk is full")))
    with pytest.raises(Refused):
        run(tiny(tmp_path / "run"))
    assert not is_complete(tmp_path / "run")


# ---- what is printed -------------------------------------------------------------------------------------------------

full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


@full
def test_a_run_whose_output_cannot_be_written_goes_on_to_its_end(tmp_path):
    with open("/dev/full", "w") as nowhere:
        process = started("--quick", "--epochs", 1, "--ranks", 2, "--out", tmp_path / "run", stdout=nowhere,
                          stderr=subprocess.PIPE, text=True)
        _, err = process.communicate(timeout=120)
    assert err == ("note: standard output could not be written (No space left on device); the run folder has "
                   "everything\n")
    assert process.returncode == 0 and is_complete(tmp_path / "run")


@full
@pytest.mark.parametrize("words, status", [([], 2), (["--help"], 0)])
def test_a_command_whose_output_is_lost_fails(words, status, monkeypatch, capsys):
    monkeypatch.setitem(demo.DO, "check", lambda args: print("the report") or 0)
    with open("/dev/full", "w") as nowhere:
        monkeypatch.setattr(sys, "stdout", nowhere)
        try:
            assert demo.main(["check", *words]) == 2
        except SystemExit as stop:
            assert stop.code == status == 0
        monkeypatch.undo()
    assert capsys.readouterr().err == ("error: standard output cannot be written (No space left on device): free some "
                                       "space and repeat the command\n" if status else "")


@pytest.mark.parametrize("command", demo.DO)
def test_a_reader_that_leaves_ends_what_only_prints_and_nothing_that_writes(command):
    goes_on = command in ("run", "resume", "sweep", "reproduce")
    assert demo.lost(BrokenPipeError(), command, 0) == (0 if goes_on else 141)


# ---- before the program has begun ------------------------------------------------------------------------------------

HOOKED = """
import builtins, os, runpy, signal, sys
from tests.lib.signals import restore
restore()
original = builtins.__import__
def hooked(name, *args, **options):
    if name == "numpy":
        {action}
    return original(name, *args, **options)
builtins.__import__ = hooked
sys.argv = ["demo.py", "--help"]
runpy.run_path("demo.py", run_name="__main__")
"""


@pytest.mark.parametrize("action, status, said", [
    ("raise MemoryError", 2, "error: memory ran out: "), ("os.kill(os.getpid(), signal.SIGINT)", 130, ""),
    ("raise ImportError('x.so: cannot allocate memory in static TLS block')", 2, "error: memory ran out: "),
    ("raise ImportError('no numpy')", 1, "Traceback")])
def test_the_imports_end_without_a_traceback(action, status, said):
    command = [sys.executable, "-c", HOOKED.format(action=action)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == status and done.stderr.startswith(said) and done.stdout == ""
    assert done.stderr.count("\n") == bool(said) or said == "Traceback"


# ---- paths and permissions -------------------------------------------------------------------------------------------

LONG = "x" * 300


@pytest.mark.parametrize("words", [
    ["check", "--data", LONG], ["check", "--data", f"{LONG}.csv"], ["check", "--data", f"{LONG}.tar.gz"],
    ["--data", f"{LONG}/{LONG}"], ["check", "--quick", "--noise", "labels", "--noise-file", f"{LONG}.csv"],
    ["predict", LONG, "--from", "."], ["predict", "a.png", "--from", LONG], ["apply", f"{LONG}.csv", "--from", "."],
    ["apply", "a.csv", "--from", LONG], ["resume", LONG], ["sweep", LONG]], ids=lambda words: words[0] + words[1][:9])
def test_a_path_of_300_letters_is_one_sentence(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert demo.main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_no_permission_on_the_manifest_is_told_as_that(tmp_path, monkeypatch):
    error = PermissionError(errno.EACCES, "Permission denied", "manifest.json")
    monkeypatch.setattr(manifest, "load_json", raises(error))
    with pytest.raises(InputError, match="^manifest.json cannot be read, Permission denied: check its permissions$"):
        manifest.checked(tmp_path, "model.safetensors")


@pytest.mark.parametrize("read, library, name", [
    (apply.whole_numbers, np, "load"), (apply.read_run, apply, "read_up_to")], ids=["array", "classes"])
def test_no_permission_on_a_file_of_the_run_is_told_as_that(tmp_path, monkeypatch, read, library, name):
    if name != "load":
        monkeypatch.setattr(apply, "whole_numbers", lambda path: np.zeros(1, int))
    monkeypatch.setattr(library, name, raises(PermissionError(errno.EACCES, "Permission denied", "index.npy")))
    with pytest.raises(InputError, match="cannot be read, Permission denied: check its permissions$"):
        read(tmp_path)
