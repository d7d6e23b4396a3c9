"""`demo.py reproduce`: runs what is missing, shows what is there, and says what cannot be run."""
import json
from pathlib import Path

import pytest

import demo
from core.run import options, sweep
from experiments import catalogue, reproduce, runs
from experiments.page import known_lines
from experiments.runs import kept_file, read_folder, text_of
from tests.lib.own_data import write_folder
from tests.lib.tiny_demo import IMAGES

LINES = "# two\n--noise symmetric --rate 0.5 --epochs 2 --begin 1\n--noise symmetric --rate 0.5 --epochs 2 --begin 2\n"


@pytest.fixture(autouse=True)
def small(no_pictures, monkeypatch, tmp_path):
    """The experiment about settings with two short runs without pictures of their own, and no kept runs."""
    (tmp_path / "lines").mkdir()
    for path in catalogue.FOLDER.glob("*.txt"):
        (tmp_path / "lines" / path.name).write_text(path.read_text())
    (tmp_path / "lines" / "sensitivity.txt").write_text(LINES)
    monkeypatch.setattr(options, "QUICK", IMAGES)
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path / "lines")
    monkeypatch.setattr(reproduce, "read_kept",
                        lambda name, scale, configs: runs.read_kept(name, scale, configs, tmp_path / "kept"))
    monkeypatch.chdir(tmp_path)


def said(capsys, *words, status=0):
    assert demo.main(["reproduce", *words]) == status
    return capsys.readouterr()


def row_of(text, name):
    row, = (line for line in text.splitlines() if line.startswith(f"{name} "))
    return [cell for cell in row.split("  ") if cell.strip()]


def test_it_runs_what_is_missing_and_makes_table_and_picture(tmp_path, capsys):
    out = said(capsys, "sensitivity", "--jobs", "1").out
    folder = tmp_path / "runs" / "reproduce" / "sensitivity-cpu"
    assert "2 of 2 runs, scale cpu" in out and "precision" in out and "--begin 1" in out
    assert (folder / "picture.png").read_bytes()[:4] == b"\x89PNG"
    page = (folder / "table.md").read_text()
    made = sorted(path for path in folder.iterdir() if path.is_dir())
    assert len(made) == 2
    for path in made:
        outcome = json.loads((path / "summary.json").read_text())
        assert sweep.percent(outcome["joint"]["test"]) in page and outcome["retrain"]["best_validation"] is not None
        assert len([line for line in (path / "log.jsonl").read_text().splitlines() if '"retrain"' in line]) == 1

    before = (made[0] / "log.jsonl").stat().st_mtime_ns
    (made[1] / "summary.json").unlink()
    out = said(capsys, "sensitivity", "--only-table").out
    assert "1 of 2 runs" in out and "--begin 2: after epoch 1 of step 2" in out and out.count("not complete") == 1
    assert "2 of 2 runs" in said(capsys, "sensitivity", "--jobs", "1").out
    assert (made[0] / "log.jsonl").stat().st_mtime_ns == before, "a complete run is not repeated"


def test_without_a_run_there_is_no_table(tmp_path, capsys):
    assert said(capsys, "update", "--only-table", "--scale", "paper").out.endswith("no run is complete\n")
    assert not (tmp_path / "runs").exists()


def test_the_list_names_every_experiment_with_its_state(tmp_path, capsys):
    text = said(capsys).out
    assert said(capsys, "--list").out == text
    assert [row_of(text, name)[0] for name in catalogue.EXPERIMENTS] == [*catalogue.EXPERIMENTS]
    assert "table, SN-CIFAR" in " ".join(row_of(text, "sn-cifar"))
    assert "not yet" in " ".join(row_of(text, "sensitivity"))
    said(capsys, "sensitivity", "--jobs", "1")
    assert row_of(said(capsys).out, "sensitivity")[3].strip().startswith("2,")
    for path in (tmp_path / "runs" / "reproduce" / "sensitivity-cpu").glob("*/config.json"):
        path.write_text(path.read_text().replace('"batch": ', '"batch": 1'))
    assert "not yet" in " ".join(row_of(said(capsys).out, "sensitivity")), "runs of other settings"


def test_complete_runs_of_other_settings_are_named_and_neither_shown_nor_repeated(tmp_path, capsys):
    said(capsys, "sensitivity", "--jobs", "1")
    one, _ = sorted((tmp_path / "runs" / "reproduce" / "sensitivity-cpu").glob("*/config.json"))
    text = one.read_text()
    one.write_text(text.replace('"batch": ', '"batch": 1'))
    before = (one.parent / "log.jsonl").stat().st_mtime_ns
    for words in (["--jobs", "1"], ["--only-table"]):
        found = said(capsys, "sensitivity", *words, status=2)
        assert "1 of 2 runs" in found.out and "not complete" not in found.out
        assert f"{one.parent.relative_to(tmp_path)} holds a run that differs in batch: move it away" in found.err
    assert (one.parent / "log.jsonl").stat().st_mtime_ns == before


def test_a_kept_run_counts_once(tmp_path, capsys):
    said(capsys, "sensitivity", "--jobs", "1")
    lines, folder = known_lines("sensitivity", "cpu"), tmp_path / "runs" / "reproduce" / "sensitivity-cpu"
    line = next(iter(lines))
    (tmp_path / "kept").mkdir()
    run = read_folder(line, None, folder / sweep.folder_name(line))
    kept_file("sensitivity", "cpu", tmp_path / "kept").write_text(
        text_of(run._replace(summary={**run.summary, "initial": .123})) + "\n")
    assert row_of(said(capsys, "--out", "empty").out, "sensitivity")[3].strip().startswith("1,")
    assert row_of(said(capsys).out, "sensitivity")[3].strip().startswith("2,")
    out = said(capsys, "sensitivity", "--only-table", "--out", "empty").out
    assert "1 of 2 runs (1 kept in docs/runs), scale cpu" in out and " 12.3 %" in out and "not complete" not in out
    out = said(capsys, "sensitivity", "--only-table").out
    assert "2 of 2 runs, scale cpu" in out and " 12.3 %" not in out, "a run that is here comes before a kept one"


def test_a_run_that_fails_is_told(tmp_path, capsys):
    (tmp_path / "lines" / "sensitivity.txt").write_text(LINES + "--noise labels --noise-file none.npy\n")
    found = said(capsys, "sensitivity", "--jobs", "1", status=2)
    assert "2 of 3 runs" in found.out and "none.npy" in found.err


@pytest.mark.parametrize("words, message", [
    (["sn-cfar"], "there is no experiment 'sn-cfar': choose one of sn-cifar, an-cifar"),
    (["update", "--scale", "huge"], "--scale huge: update has the scales cpu, medium, paper"),
    (["sensitivity", "--seeds", "0"], "--seeds 0: choose 1 or more"),
    (["sensitivity", "--jobs", "0"], "--jobs 0: choose 1 or more"),
    (["sn-cifar", "--data", "nowhere"], "nowhere does not exist"),
    (["sn-cifar", "--data", "photos"], "photos is not CIFAR-10"),
    (["sensitivity-features", "--data", "photos"], "photos is not CIFAR-10"),
    (["pl-cifar", "--data", "cifar-10-batches-py"], "pl-labels.npy does not exist: make it by")])
def test_mistakes_are_named_before_anything_runs(words, message, tmp_path, capsys):
    write_folder(tmp_path / "photos", images=1)
    (tmp_path / "cifar-10-batches-py").mkdir()
    found = said(capsys, *words, status=2)
    assert message in found.err and found.out == "" and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("words, jobs, gpu", [([], None, None), (["--gpu"], 1, 0),
                                              (["--gpu", "1", "--jobs", "2"], 2, 1)])
def test_runs_on_a_gpu_are_one_at_a_time(words, jobs, gpu, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(sweep, "sweep", lambda runs, out, jobs: (asked.append((runs, jobs)), []))
    said(capsys, "sensitivity", "--seeds", "2", *words)
    (runs_asked, jobs_asked), = asked
    assert jobs_asked == jobs and [config.gpu for _, config in runs_asked] == [gpu] * 4
    assert [config.seed for _, config in runs_asked] == [0, 1] * 2


@pytest.mark.parametrize("name, words, setting, expected", [
    ("update", ["--data", "elsewhere.tar.gz"], "data", "elsewhere.tar.gz"), ("update", [], "cache", None),
    ("sensitivity-features", ["--data", "elsewhere.tar.gz"], "data", "elsewhere.tar.gz"),
    ("sensitivity-features", ["--out", "there"], "cache", str(Path("there", "features"))),
    ("sensitivity-features", [], "cache", str(Path("runs", "reproduce", "features"))),
    ("pl-cifar", ["--labels", "mine.npy"], "noise_file", "mine.npy"), ("pl-cifar", [], "noise_file", "pl-labels.npy")])
def test_data_and_labels_that_are_named_are_those_of_every_run(name, words, setting, expected, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(reproduce, "check_data", lambda *args: None)
    monkeypatch.setattr(sweep, "sweep", lambda runs, out, jobs: (asked.extend(runs), []))
    said(capsys, name, *words)
    assert {getattr(config, setting) for _, config in asked} == {expected}
