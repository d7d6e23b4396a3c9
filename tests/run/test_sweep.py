"""Many runs from one file: each once, whatever interrupts the sweep."""
import json
import signal
from pathlib import Path

import numpy as np
import pytest

import demo
from core.errors import InputError
from core.run import config as run_config
from core.run import options, sweep
from core.run.commands import parse
from tests.lib.tiny_demo import IMAGES

TINY = "--quick --epochs 1"


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    monkeypatch.setattr(options, "QUICK", IMAGES)


def test_runs_that_differ_in_their_seed_alone_are_summed_up(tmp_path):
    def outcome(recovery, test):
        return {"initial": 0.5, "recovery": recovery, "joint": {"test": test}, "retrain": {"test": 0.25}}

    lines = {"--rate 0.2 --seed 1": outcome(0.961, None), "--rate 0.3": outcome(0.7, 0.7),
             "--seed=2 --rate 0.2": outcome(0.967, 0.9),
             "--rate 0.2": outcome(0.97, 0.9), "--seed 7": outcome(0.6, 0.5), "--se 8": outcome(0.8, 0.7),
             "--rate 0.3 --seed 4": None}
    for line, found in lines.items():
        (tmp_path / sweep.folder_name(line)).mkdir()
        (tmp_path / sweep.folder_name(line) / "summary.json").write_text(json.dumps(found))
    runs = [(line, options.configuration(parse(line.split()))) for line in lines]
    rows = sweep.table(runs, [tmp_path / sweep.folder_name(line) for line in lines]).splitlines()[2 + len(lines):]
    cells = [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in rows]
    assert cells == [["--rate 0.2: 3 seeds", "50.0 ± 0.0 %", "96.6 ± 0.5 %", "-", "25.0 ± 0.0 %"],
                     ["2 seeds", "50.0 ± 0.0 %", "70.0 ± 14.1 %", "60.0 ± 14.1 %", "25.0 ± 0.0 %"]]


@pytest.mark.parametrize("line, words", [
    ("--data photos#1 --seed 0  # the first", ["--data", "photos#1", "--seed", "0"]), ("# all of it", []), ("#all", []),
    ("--data 'a # b' --out \"#c\" #d", ["--data", "a # b", "--out", "#c"]), ("--seed 1 ## twice", ["--seed", "1"])])
def test_a_comment_begins_where_a_word_does(line, words):
    assert sweep.words_of(line) == words


def test_a_sweep_of_one_job_is_interrupted_as_any_other(tmp_path, monkeypatch, capsys):
    """joblib 1.6 ended with an AttributeError there."""
    started = []

    def interrupted(config, resume):
        started.append(config)
        if len(started) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "run", interrupted)
    file = tmp_path / "sweep.txt"
    file.write_text("".join(f"{TINY} --seed {seed}\n" for seed in range(3)))
    assert demo.main(["sweep", str(file), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 130
    err = capsys.readouterr().err
    assert len(started) == 2 and "run 2 of 3: " in err and err.endswith("repeat the command to continue the sweep\n")


@pytest.mark.parametrize("words, said", [
    (["sweep", "a.txt"], "repeat the command to continue the sweep"),
    (["reproduce"], "repeat the command to continue the sweep"), (["check"], "nothing was written")])
def test_an_interrupted_command_says_what_is_left_of_it(words, said, monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt
    monkeypatch.setitem(demo.DO, words[0], interrupted)
    assert demo.main(words) == 130 and capsys.readouterr() == ("", f"\ninterrupted; {said}\n")


@pytest.mark.parametrize("text, words", [("", "names no run"), ("# nothing\n", "names no run"),
                                         ("--rate 2\n", "line 1: --rate 2"),
                                         ("--seed 1\n--sedd 2\n", "line 2"), ("--out 'x\n", "line 1"),
                                         ("--seed 1\n--seed 1\n", "one folder")])
def test_a_line_that_cannot_be_run_is_named(tmp_path, text, words):
    file = tmp_path / "sweep.txt"
    file.write_text(text)
    with pytest.raises(InputError, match=words):
        sweep.read(file, lambda arguments: options.configuration(parse(arguments)))


def test_a_missing_sweep_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no-such.txt"):
        sweep.read(tmp_path / "no-such.txt", None)


@pytest.mark.parametrize("arguments", ["--seed 1", "--epochs 2 --gpu", "--quick", "--ranks 2"])
def test_options_of_a_run_beside_a_sweep_are_refused(tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as stop:
        demo.main(["sweep", str(tmp_path / "sweep.txt"), *arguments.split()])
    assert stop.value.code == 2 and f"unrecognized arguments: {arguments}" in capsys.readouterr().err


@pytest.mark.parametrize("line, words", [
    ("--out x", "are not for the lines of a sweep"), ("--force", "are not for the lines"),
    ("--ranks 1", "are not for the lines"), ("--check", "a line of a sweep is a run"),
    ("photos --seed 1", "without 'photos'"), ("sweep a.txt", "without 'sweep'"),
    ("--resume a", "without 'resume'"), ("--data \"\"", "--data: the value is empty")])
def test_a_line_of_a_sweep_does_nothing_but_run(tmp_path, capsys, line, words):
    file = tmp_path / "sweep.txt"
    file.write_text(f"{TINY}\n{TINY} {line}\n" if line.startswith("-") else f"{TINY}\n{line}\n")
    assert demo.main(["sweep", str(file), "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and "line 2: " in err and words in err and err.count("\n") == 1 and out == ""
    assert not (tmp_path / "out").exists()


def test_a_run_that_fails_does_not_end_the_others_and_the_sweep_says_so(tmp_path, monkeypatch, capsys):
    def run(config, resume):
        if config.seed == 0:
            raise InputError("no-such.npy is missing")
        summary = {"initial": 0.5, "recovery": 0.25, "joint": {"test": 0.75}, "retrain": {"test": None}}
        Path(config.out).mkdir(parents=True)
        Path(config.out, "summary.json").write_text(json.dumps(summary))

    monkeypatch.setattr(sweep, "run", run)
    file = tmp_path / "sweep.txt"
    for lines, status in ((f"{TINY}\n{TINY} --seed 1\n", 2), (f"{TINY} --seed 1\n", 0)):
        file.write_text(lines)
        assert demo.main(["sweep", str(file), "--out", str(tmp_path / "out"), "--jobs", "1"]) == status
        out, err = capsys.readouterr()
        assert ("failed" in out and "no-such.npy is missing" in err) == (status == 2) and "75.0 %" in out


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_run_that_is_not_complete_is_done_in_the_folder_of_its_line(tmp_path, monkeypatch, jobs):
    lines = [f"--quick --seed {seed}" for seed in (3, 1, 2, 0)]
    runs = [(line, options.configuration(parse(line.split()))) for line in lines]
    complete = {"initial": 0.5, "recovery": 0.25, "joint": {"test": 0.75}, "retrain": {"test": None}}
    done = tmp_path / sweep.folder_name(lines[1])
    done.mkdir()
    (done / "summary.json").write_text(json.dumps(complete))
    monkeypatch.setattr(sweep, "attempt", attempted)
    table, errors = sweep.sweep(runs, tmp_path, jobs)
    expected = [config._replace(out=str(tmp_path / sweep.folder_name(line)), ranks=1, force=True)
                for line, config in runs if "seed 1" not in line]
    assert errors == list(map(repr, expected))
    assert [row.split("  ")[0] for row in table.splitlines()[2:]] == lines
    cells = [[cell.strip() for cell in row.split("  ") if cell.strip()] for row in table.splitlines()]
    assert cells[3] == [lines[1], "50.0 %", "25.0 %", "75.0 %", "-"] and cells[2] == [lines[0], "failed"]
    assert cells[0] == ["run", "correct labels", "corrected", "test, step 1", "test, step 2"]


def test_while_runs_are_waited_for_the_sweep_hears_ctrl_c_and_those_that_it_starts_do_not(tmp_path, monkeypatch):
    hears, waits = [], []

    class Parallel:
        def __init__(self, n_jobs, verbose, return_as="list"):
            hears.append((n_jobs, signal.getsignal(signal.SIGINT)))
            self.answer = list if return_as == "list" else iter

        def __call__(self, tasks):
            hears.append((len(list(tasks)), signal.getsignal(signal.SIGINT)))
            return self.answer(waits.append(signal.getsignal(signal.SIGINT)) or f"e{k}" for k in range(2))

    monkeypatch.setattr("joblib.Parallel", Parallel)
    runs = [(line, options.configuration(parse(line.split()))) for line in ("--quick", "--quick --seed 1")]
    assert sweep.sweep(runs, tmp_path, 3)[1] == ["e0", "e1"]
    assert hears == [(3, signal.SIG_IGN), (2, signal.SIG_IGN)] and waits == [signal.getsignal(signal.SIGINT)] * 2


def test_the_folder_of_a_sweep_is_called_as_its_file_without_the_ending(monkeypatch):
    asked = []
    monkeypatch.setattr(sweep, "read", lambda file, configuration_of: [file])
    monkeypatch.setattr(sweep, "sweep", lambda *args: asked.append(args) or ("", []))
    assert demo.main(["sweep", "lists/rates.txt"]) == demo.main(["sweep", "a.txt", "--out", "o", "--jobs", "3"]) == 0
    assert asked == [(["lists/rates.txt"], Path("runs", "rates"), None), (["a.txt"], "o", 3)]


def attempted(config):
    """Says what it was asked for, as the error that the sweep then tells."""
    return repr(config)


@pytest.mark.parametrize("goes_on", [True, False])
def test_an_attempt_goes_on_with_what_is_there_and_tells_an_error_as_a_line(monkeypatch, goes_on):
    config, met = options.configuration(parse(["--quick", "--out", "o"])), []
    monkeypatch.setattr(sweep, "can_go_on", lambda config: goes_on)
    monkeypatch.setattr(sweep, "run", lambda config, resume: met.append((config, resume)))
    assert sweep.attempt(config) is None and met == [(config, goes_on)]
    for error, told in ((InputError("a sentence"), "a sentence"), (ValueError("a bug"), "ValueError: a bug"),
                        (MemoryError(), "memory ran out: ")):
        def failing(config, resume, error=error):
            raise error
        monkeypatch.setattr(sweep, "run", failing)
        assert sweep.attempt(config).startswith(f"o: {told}")


@pytest.mark.parametrize("line, ranks", [("--quick", 1), ("--quick --gpu", None)])
def test_every_run_has_one_process_and_the_gpu_none_of_the_cpus(tmp_path, monkeypatch, line, ranks):
    """The settings that a sweep makes pass the check of every run."""
    started = []
    monkeypatch.setattr(sweep, "run", lambda config, resume: (
        run_config.check(config, "digits"), started.append(config)))
    config = options.configuration(parse(line.split()))
    _, errors = sweep.sweep([(line, config)], tmp_path, jobs=1)
    assert errors == [] and [c.ranks for c in started] == [ranks]


def test_a_sweep_runs_every_line_once_and_only_what_is_missing(tmp_path, capsys):
    file = tmp_path / "sweep.txt"
    file.write_text(f"# two seeds\n{TINY} --seed 0\n\n{TINY} --seed 1   # the second\n")
    arguments = ["sweep", str(file), "--out", str(tmp_path / "out"), "--jobs", "2"]
    assert demo.main(arguments) == 0
    folders = sorted((tmp_path / "out").iterdir())
    assert [folder.name for folder in folders] == ["quick-epochs-1-seed-0", "quick-epochs-1-seed-1"]
    table = capsys.readouterr().out
    for folder in folders:
        outcome = json.loads((folder / "summary.json").read_text())
        assert sweep.percent(outcome["recovery"]) in table
        corrected, true = np.load(folder / "corrected_labels.npy"), np.load(folder / "true_labels.npy")
        assert outcome["recovery"] == pytest.approx((corrected == true).mean())

    kept = (folders[0] / "log.jsonl").read_text()
    (folders[0] / "log.jsonl").write_text("not run again")
    (folders[1] / "summary.json").unlink()                      # as if the second had been interrupted
    assert demo.main(arguments) == 0
    assert (folders[0] / "log.jsonl").read_text() == "not run again" and kept
    assert (folders[1] / "summary.json").exists()
    assert capsys.readouterr().out.splitlines()[:4] == table.splitlines()[:4], "the same seeds, the same table"
