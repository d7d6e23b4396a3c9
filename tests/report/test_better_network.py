"""The better of the two networks is named, and `predict` takes either."""
import csv
import os

import numpy as np
import pytest

import demo
from core.report import console
from nets import families, safetensors_file
from tests.lib.own_data import write_folder


def outcome(first, second, key="last_validation"):
    unknown = {"last_validation": None, "test": None}
    return {"joint": {**unknown, key: first}, "retrain": {**unknown, key: second}}


@pytest.mark.parametrize("first, second, key, said", [
    (0.733, 0.333, "last_validation", "The network of step 1 is better on the validation images, 73.3 % against 33.3 % "
                                      "of step 2: `predict --network step1` takes it."),
    (0.9, 0.8, "test", "The network of step 1 is better on the test images, 90.0 % against 80.0 % of step 2: `predict "
                       "--network step1` takes it."),
    (0.8, 0.8, "test", None), (0.7, 0.8, "last_validation", None), (None, None, "test", None)])
def test_the_better_network_is_named(first, second, key, said):
    assert console.better(outcome(first, second, key)) == ([said] if said else [])


def test_the_validation_split_decides_before_the_test_set():
    both = outcome(0.6, 0.7)
    both["joint"]["test"], both["retrain"]["test"] = 0.9, 0.1
    assert console.better(both) == [] and console.better_network(both) == (2, "validation", [0.6, 0.7])
    assert console.better({}) == []


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(families.NETS, "small", {"widths": (4,), "blocks": (1,)})
    monkeypatch.setattr(os, "fsync", lambda file: None)
    write_folder(tmp_path / "photos", images=6)
    words = ["--data", "photos", "--net", "small", "--size", "16", "--epochs", "2", "--ranks", "1", "--out", "run"]
    assert demo.main(words) == 0
    return tmp_path / "run"


def test_predict_takes_either(run):
    found = {}
    for words in ([], ["--network", "step2"], ["--network", "step1"]):
        assert demo.main(["predict", "photos", "--from", "run", *words]) == 0
        with open(run / "predictions.csv", newline="", encoding="utf-8") as file:
            found[" ".join(words)] = [row[3:] for row in csv.reader(file)][1:]
    assert found[""] == found["--network step2"] != found["--network step1"]


def test_the_network_of_step_1_is_the_one_that_step_1_ended_with(run, monkeypatch):
    """Also when the run was interrupted in step 2 and goes on."""
    whole = safetensors_file.load(run / "model_step1.safetensors")
    second = safetensors_file.load(run / "model.safetensors")
    assert any((whole.theta[name] != second.theta[name]).any() for name in whole.theta)

    def interrupted(records, epochs, step, fold=None):
        for record in records:
            yield record
            if step == "retrain":
                raise KeyboardInterrupt
    words = ["--data", "photos", "--net", "small", "--size", "16", "--epochs", "2", "--ranks", "1", "--out", "again"]
    with monkeypatch.context() as patch:
        patch.setattr(console, "watched", interrupted)
        assert demo.main(words) == 130
    assert demo.main(["resume", "again"]) == 0
    again = safetensors_file.load(run.parent / "again" / "model_step1.safetensors")
    assert all(np.array_equal(again.theta[name], whole.theta[name]) for name in whole.theta)
    assert all(np.array_equal(again.running[name], whole.running[name]) for name in whole.running)
