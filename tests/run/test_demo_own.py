"""Own images from end to end, as their owner meets the program: run, tables, decisions, the cleaned labels,
another image."""
import csv
import json
import os
import re
import shlex
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

import demo
from core.data.source import open_source
from core.report import console, manifest
from core.run import experiment
from core.run.command_line import flat
from core.run.commands import parse
from core.run.options import configuration
from core.run.resume import stored
from nets import families
from tests.lib.document import Document
from tests.lib.own_data import write_image

CLASSES = ("ant", "bee", "cat")
SMALL = ["--net", "small", "--size", "16", "--epochs", "2", "--ranks", "1"]
N = 24


@pytest.fixture(scope="module", autouse=True)
def tiny_network():
    """A net of one block, and no waiting for the disk, which only matters when the power fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(families.NETS, "small", {"widths": (4,), "blocks": (1,)})
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """photos/CLASS/0.png, ...: each class has a colour; two ants lie among the bees."""
    root = tmp_path_factory.mktemp("own") / "photos"
    for i in range(N):
        pixels = np.random.default_rng(i).integers(0, 60, (12, 10, 3), np.uint8)
        pixels[..., i % 3] += 150
        write_image(root / CLASSES[1 if i in (0, 3) else i % 3] / f"{i}.png", pixels)
    return root


@pytest.fixture(scope="module")
def run(photos):
    """The folder of a run on them."""
    out = photos.parent / "run"
    assert demo.main(["--data", str(photos), "--out", str(out), *SMALL]) == 0
    return out


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def failed(capsys, *arguments):
    """The one sentence with which the program refuses."""
    capsys.readouterr()
    assert demo.main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ") and err.count("\n") == 1 and out == ""
    return err.removeprefix("error: ").strip()


def test_the_last_table_has_no_column_of_dashes(photos, tmp_path, no_pictures, capsys):
    """There is no validation split and no test set; with a test set its column is there."""
    for k, (more, columns) in enumerate([
            ([], ["seconds"]), (["--test", str(photos)], ["test, last epoch", "seconds"])]):
        assert demo.main(["--data", str(photos), "--out", str(tmp_path / str(k)), *SMALL, *more]) == 0
        head, rule, *rows = capsys.readouterr().out.split("\n\n")[-2].splitlines()
        assert re.split(r"  +", head.strip()) == columns and set(rule) == {"-"}
        assert [row.startswith(title) for row, title in zip(rows, console.TITLES.values())] == [True, True]


def test_the_run_folder_holds_what_it_promises_and_the_photos_are_as_before(run, photos):
    of_a_truth = {"true_labels.npy", "given_is_wrong.npy"}
    always = {*manifest.WHAT, "manifest.json", "summary.json", ".lock"} - of_a_truth - {"corrected.png"}
    assert set(os.listdir(run)) >= always
    corrected = (np.load(run / "corrected_labels.npy") != np.load(run / "given_labels.npy")).any()
    assert (run / "corrected.png").exists() == corrected
    assert not of_a_truth & set(os.listdir(run))
    summary = json.loads((run / "summary.json").read_text())
    assert summary["initial"] is summary["recovery"] is summary["retrain"]["test"] is None
    assert "detection" not in summary
    assert "noise: none" not in (run / "report.html").read_text(encoding="utf-8"), "nobody knows that"
    assert sorted(os.listdir(photos)) == list(CLASSES) and sum(len(files) for *_, files in os.walk(photos)) == N


def test_the_page_shows_the_photos_themselves_and_how_to_repeat_the_run(run, photos):
    document = Document((run / "report.html").read_text(encoding="utf-8"))
    data, classes = document.data, (run / "classes.txt").read_text().split()
    assert {tuple(size) for size in data["sizes"].values()} == {(10, 12)}, "uncut, as in the files"
    assert data["root"] == photos.as_uri() and len(data["index"]) == N
    names = [data["folders"][folder] + name for folder, name in data["names"]]
    assert sorted(names) == sorted(row["path"] for row in rows_of(run / "label_issues.csv"))
    assert [classes[c] for c in data["given"]] == [name.split("/")[0] for name in names]
    command = next(text for text in document.words if text.startswith("python demo.py"))
    source = open_source(str(photos))
    config = configuration(parse([*shlex.split(command)[2:], "--out", str(run)]), source)
    assert flat(config) == flat(stored(run)) and "seed 0" in document.text
    environment = json.loads((run / "config.json").read_text())["environment"]
    assert f"begun {environment['date']}" in document.text and f"numpy {environment['numpy']}" in document.text
    assert "Reading the data gave no findings." in document.text
    assert "findings" not in json.loads((run / "summary.json").read_text())


def test_findings_are_on_the_page_and_in_the_summary(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos" / CLASSES[0] / "cut <off>.png").write_bytes(b"\x89PNG")
    (tmp_path / "photos" / "notes.txt").touch()
    assert demo.main(["--data", str(tmp_path / "photos"), "--out", str(tmp_path / "run"), *SMALL]) == 0
    text = Document((tmp_path / "run" / "report.html").read_text(encoding="utf-8")).text
    assert f"1 × images that cannot be read, left out {CLASSES[0]}/cut <off>.png: " in text
    assert "1 × files that are no images, ignored notes.txt" in text
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["findings"] == {"unreadable": 1, "other": 1}


def test_the_list_of_suspicious_labels_is_about_the_photos(run, photos):
    rows = rows_of(run / "label_issues.csv")
    assert sorted(int(row["index"]) for row in rows) == list(range(N)) and "true_label" not in rows[0]
    for row in rows:
        assert (photos / row["path"]).is_file() and row["given_label"] == row["path"].split("/")[0]
        assert row["is_label_issue"] == str(row["suggested_label"] != row["given_label"])
    scores = [float(row["label_score"]) for row in rows]
    assert scores == sorted(scores)
    suggested = np.load(run / "suggested_labels.npy")
    assert all(row["suggested_label"] == CLASSES[suggested[int(row["index"])]] for row in rows)


def test_the_corrected_labels_are_data_again(run, tmp_path, monkeypatch, no_pictures):
    monkeypatch.chdir(tmp_path)                                # the table can be read from anywhere
    assert demo.main(["--data", str(run / "corrected_labels.csv"), "--out", "again", *SMALL]) == 0
    assert (np.load("again/given_labels.npy") == np.load(run / "corrected_labels.npy")).all()
    assert (np.load("again/index.npy") == np.arange(N)).all()


def test_another_image_is_classified_and_the_table_written(run, tmp_path, capsys):
    image = write_image(tmp_path / "new.jpg")
    assert demo.main(["predict", str(image), "--from", str(run), "--out", str(tmp_path)]) == 0
    row, = rows_of(tmp_path / "predictions.csv")
    probs = {name: float(row[f"p({name})"]) for name in CLASSES}
    assert row["path"] == str(image) and sum(probs.values()) == pytest.approx(1, abs=1e-5)
    assert row["label"] == max(probs, key=probs.get) and float(row["probability"]) == max(probs.values())
    assert row["label"] in capsys.readouterr().out
    assert failed(capsys, "predict", image, "--from", run, "--ranks", "0") == "--ranks 0: choose 1 or more"


def test_decisions_become_cleaned_labels(run, photos, tmp_path, capsys):
    rows = rows_of(run / "label_issues.csv")
    accepted, rejected, changed, removed, *others = rows
    decisions = tmp_path / "decisions.csv"
    decisions.write_text("index,path,decision,label\n"
                         + "".join(f"{row['index']},{row['path']},{what}\n" for row, what in (
        (accepted, "accept,"), (rejected, "reject,"), (changed, "change,cat"), (removed, "remove,"))))
    expected = {row["path"]: row["given_label"] for row in (*others, rejected)}
    expected |= {accepted["path"]: accepted["suggested_label"], changed["path"]: "cat"}

    command = ["apply", str(decisions), "--from", str(run), "--out", str(tmp_path / "clean.csv")]
    assert demo.main(command) == 0
    found = rows_of(tmp_path / "clean.csv")
    assert {Path(row["path"]).relative_to(photos).as_posix(): row["label"] for row in found} == expected
    assert "is already there" in failed(capsys, *command)
    assert demo.main([*command, "--force", "--undecided", "suggested"]) == 0
    labels = {Path(row["path"]).relative_to(photos).as_posix(): row["label"] for row in rows_of(tmp_path / "clean.csv")}
    assert all(labels[row["path"]] == row["suggested_label"] for row in others) and removed["path"] not in labels


def test_the_suspicious_images_are_tasks_for_label_studio(run, photos, tmp_path):
    """And what is decided there, as the page's three lines make it decisions, becomes the cleaned labels."""
    issues = [row for row in rows_of(run / "label_issues.csv") if row["is_label_issue"] == "True"]
    tasks = json.loads((run / "label_studio.json").read_text())
    assert 0 < len(tasks) == len(issues) < N
    for task, row in zip(tasks, issues):
        prefix, _, file = task["data"]["image"].partition("?d=")
        assert prefix == "/data/local-files/" and Path("/", unquote(file)) == photos / row["path"]
        prediction, = task["predictions"]
        assert task["data"]["index"] == int(row["index"]) and task["data"]["given_label"] == row["given_label"]
        assert (task["data"]["label_score"], prediction["score"]) == (float(row["label_score"]),
                                                                      float(row["p_suggested"]))
        assert prediction["result"] == [{"from_name": "label", "to_name": "image", "type": "choices",
                                         "value": {"choices": [row["suggested_label"]]}}]
    decided = [f"{row['index']},,change,{row['suggested_label']}\n" for row in issues]
    (tmp_path / "decisions.csv").write_text("index,path,decision,label\n" + "".join(decided))
    command = ["apply", str(tmp_path / "decisions.csv"), "--from", str(run), "--out", str(tmp_path / "clean.csv")]
    assert demo.main(command) == 0
    suggested = {row["path"]: row["suggested_label"] for row in rows_of(run / "label_issues.csv")}
    assert {Path(row["path"]).relative_to(photos).as_posix(): row["label"]
            for row in rows_of(tmp_path / "clean.csv")} == suggested


@pytest.mark.parametrize("arguments, status, waits", [(["apply", "no-such.csv", "--from", "a"], 0, []),
                                                      (["predict", "no-such.png", "--from", "a"], 0, []),
                                                      (["--data", "no-such"], 2, [2])])
def test_of_the_processes_of_mpirun_the_first_alone_writes_tables_and_says_what_is_wrong(monkeypatch, capsys, arguments,
                                                                                         status, waits):
    """Another one that failed at once would end the first before it has said why."""
    slept = []
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    monkeypatch.setattr(demo.time, "sleep", slept.append)
    assert demo.main(arguments) == status and slept == waits and capsys.readouterr() == ("", "")


def test_the_processes_of_mpirun_share_training_and_checks_and_the_first_alone_prints(monkeypatch, capsys):
    did = []
    words = {"predict": ["a.png", "--from", "a"], "apply": ["a.csv", "--from", "a"], "resume": ["a"], "sweep": ["a"]}
    for rank in ("1", "0"):
        monkeypatch.setenv("OMPI_COMM_WORLD_RANK", rank)
        for name in [*demo.DO]:
            monkeypatch.setitem(demo.DO, name, lambda args: did.append(args.command) or print(args.command) or 0)
            assert demo.main([name, *words.get(name, [])]) == 0
    assert sorted(did[:4]) == ["check", "resume", "run", "sweep"] and did[4:] == [*demo.DO]
    assert capsys.readouterr().out.split() == did[4:]


def test_what_is_resumed_is_no_new_run(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(demo, "stored", lambda folder: configuration(parse(["--quick", "--out", folder])))
    monkeypatch.setattr(demo, "finish", lambda config, resume=False: asked.append((config.out, resume)) or 0)
    assert demo.main(["resume", str(tmp_path)]) == 0 and asked == [(str(tmp_path), True)]


def test_predict_is_asked_for_what_the_command_line_says(monkeypatch):
    asked = []
    monkeypatch.setattr(demo, "predict", lambda *args: asked.append(args) or [])
    monkeypatch.setattr(demo, "available_processors", lambda: 7)
    words = ["predict", "a.png", "--from", "r"]
    assert demo.main([*words, "--out", "o", "--backbone", "w", "--ranks", "2", "--network", "step1"]) == 0
    assert demo.main(words) == 0
    assert asked == [(["a.png"], "r", "o", 2, "w", "model_step1.safetensors"),
                     (["a.png"], "r", None, 7, None, "model.safetensors")]


@pytest.mark.parametrize("data, said", [("photos", "24 training, 0 validation"),
                                        ("digits", "2000 training, 200 validation")])
def test_a_check_reads_and_measures_and_writes_nothing(photos, tmp_path, monkeypatch, capsys, data, said):
    monkeypatch.chdir(tmp_path)
    assert demo.main(["check", *(["--quick", "--ranks", "1"] if data == "digits"
                                 else ["--data", str(photos), *SMALL])]) == 0
    out, err = capsys.readouterr()
    assert f"{data}: {said}" in out and "\ntime     about" in out and "\nmemory   about" in out and err == ""
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("wrong, fault", [(["--prior", "1,2"], "--prior has 2 weights for 3"),
                                          (["--folds", "25"], "--folds 25:")])
def test_a_check_refuses_what_the_run_would(photos, capsys, wrong, fault):
    assert failed(capsys, "check", "--data", photos, *SMALL, *wrong).startswith(fault)


@pytest.mark.parametrize("augment, pad, flip", [(None, 0, True), ("both", 2, True), ("crop", 2, False),
                                                ("none", 0, False)])
def test_images_are_varied_as_asked_for(photos, augment, pad, flip):
    arguments = ["--data", str(photos), *SMALL] + (["--augment", augment] if augment else [])
    data = experiment.read_data(configuration(parse(arguments))).data
    assert (data.pad, data.flip) == (pad, flip)


def test_a_truth_of_images_held_out_says_nothing_of_the_others(photos, tmp_path):
    """And the lines before a run say so."""
    arguments = ["--data", str(photos), *SMALL, "--held-out", "0.3"]
    held_out = experiment.read_data(configuration(parse(arguments))).data.validation.paths[0]
    (tmp_path / "truth.csv").write_text(f"path,label\n{held_out},ant\n")
    config = configuration(parse([*arguments, "--truth", str(tmp_path / "truth.csv")]))
    data = experiment.read_data(config).data
    assert "the number of wrong labels is unknown" in experiment.description(config, data, data.train.labels, 1)
