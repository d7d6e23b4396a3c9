"""experiments/runs.py: a kept run says what its folder says; what is asked of a run, by definition."""
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from core.measure import Epoch
from core.run.commands import parse
from core.run.experiment import run
from core.run.options import configuration
from core.run.resume import as_written
from core.run.sweep import folder_name
from experiments import runs
from experiments.runs import Run, at_best, at_last, groups, read_folder, read_kept, scores_of, text_of
from tests.lib.undrawn import undrawn

DIGITS = (200, 40, 60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "a"
    config = configuration(parse(["--quick", "--epochs", "3", "--begin", "2"]))
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch)
        run(config._replace(digits=DIGITS, out=str(out), ranks=1, compare=True))
    return out


def test_a_kept_run_is_that_of_its_folder(folder, tmp_path):
    found = read_folder("--a", "config", folder)
    (tmp_path / "x-cpu.jsonl").write_text(f"{text_of(found)}\n{text_of(found._replace(line='--gone'))}\n")
    kept, = read_kept("x", "cpu", {"--a": "config"}, tmp_path)
    assert kept.summary == found.summary and kept.scores == found.scores and kept.config == "config"
    assert kept.about["numpy"] == np.__version__ and len(kept.records) == len(found.records) == 3 + 1 + 4
    for ours, theirs in zip(kept.records, found.records, strict=True):
        for name in Epoch._fields:
            a, b = getattr(ours, name), getattr(theirs, name)
            assert name == "seconds" or a == (b if isinstance(b, (str, type(None))) else pytest.approx(b, rel=1e-4))
    assert text_of(kept) == text_of(found), "keeping twice changes nothing"


def test_what_is_read_from_a_log_is_what_the_summary_says(folder):
    found = read_folder("", None, folder)
    for step in runs.STEPS:
        assert at_last(found, step, "test") == found.summary[step]["test"]
        assert at_best(found, step, "validation") == found.summary[step]["best_validation"]
    assert at_last(found, "joint", "recovery") == pytest.approx(found.summary["recovery"])


def test_corrections_are_scored_as_by_hand(folder):
    given, suggested, true, P = (np.load(folder / f"{name}.npy") for name in (
        "given_labels", "suggested_labels", "true_labels", "pred_probs"))
    for text, (precision, recall) in scores_of(folder).items():
        changed = right = wrong = 0
        for i in range(len(given)):
            wrong += given[i] != true[i]
            taken = suggested[i] != given[i] and P[i, suggested[i]] >= float(text)
            changed += taken
            right += taken and suggested[i] == true[i]
        assert recall == pytest.approx(right / wrong) and precision == (
            pytest.approx(right / changed) if changed else None)


def test_a_threshold_counts_what_reaches_it(tmp_path):
    """Four labels are wrong; three of them get suggestions, of 0.5, 0.7 (wrong too) and 0.95; a right one gets 0.99."""
    chosen = np.array([.5, .7, .95, .9, .99])
    P = np.full((5, 3), .001)
    P[np.arange(5), [1, 2, 1, 0, 2]] = chosen
    for name, array in {"given_labels": [0, 0, 0, 0, 1], "suggested_labels": [1, 2, 1, 0, 2],
                        "true_labels": [1, 1, 1, 1, 1], "pred_probs": P}.items():
        np.save(tmp_path / f"{name}.npy", np.array(array))
    assert scores_of(tmp_path) == {"0": [.5, .5], "0.5": [.5, .5], "0.7": [pytest.approx(1 / 3), .25],
                                   "0.9": [.5, .25], "0.99": [0, 0]}


@pytest.mark.parametrize("posterior", [True, False])
def test_where_the_noise_posterior_decides_it_is_what_the_threshold_is_compared_with(folder, tmp_path, posterior):
    """One suggestion, with a posterior of 0.95 and a prediction of 0.6."""
    for name in ("summary.json", "log.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    about = json.loads((folder / "config.json").read_text())
    about["settings"]["posterior"] = posterior
    (tmp_path / "config.json").write_text(json.dumps(about))
    for name, array in {"given_labels": [0, 1], "suggested_labels": [1, 1], "true_labels": [1, 1],
                        "pred_probs": [[.4, .6], [0, 1]], "soft_labels": [[.05, .95], [0, 1]]}.items():
        np.save(tmp_path / f"{name}.npy", np.array(array))
    assert read_folder("", None, tmp_path).scores["0.9"] == ([1, 1] if posterior else [None, 0])


def test_the_trainings_without_a_fold_are_not_kept(folder):
    """They are further ones of step 1, of other networks."""
    found = read_folder("", None, folder)
    more = [record._replace(fold=k, test=0) for k in range(5) for record in found.records]
    assert text_of(found._replace(records=[*found.records[:3], *more, *found.records[3:]])) == text_of(found)


@pytest.mark.parametrize("missing", ["summary.json", "log.jsonl", "config.json"])
def test_a_run_that_is_not_complete_is_none(folder, tmp_path, missing):
    for path in folder.iterdir():
        if path.is_file() and path.name != missing:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert read_folder("", None, tmp_path) is None


# ---- whether a complete run is the one that is asked for -------------------------------------------------------------

def copied(folder, to):
    for path in folder.iterdir():
        if path.is_file():
            (to / path.name).write_bytes(path.read_bytes())
    return to


def test_a_run_stands_for_its_own_settings_wherever_it_is_and_was_computed(folder, tmp_path):
    config = as_written(folder)
    for same in (config, config._replace(out="elsewhere", ranks=2, gpu=1)):
        assert runs.refused(same, copied(folder, tmp_path)) is None
    assert runs.refused(config, tmp_path / "nothing") is None


@pytest.mark.parametrize("change, named", [
    (dict(seed=1), "differs in seed:"), (dict(net="medium", rate=.3), "differs in rate, net:"),
    (dict(recipe=dict(lr=.5, K=1)), "differs in lr, K:"), (dict(subset=10), "differs in subset:")])
def test_settings_that_differ_are_named(folder, change, named):
    config = as_written(folder)
    if "recipe" in change:
        change = {"recipe": config.recipe._replace(**change["recipe"])}
    why = runs.refused(config._replace(**change), folder)
    assert named in why and str(folder) in why and why.endswith("move it away, or choose another --out")


def test_a_run_stands_for_the_labels_that_it_learnt(folder, tmp_path, monkeypatch):
    """As if its images were rows 3, 2, 1, ... of 203, and their labels in a file."""
    copied(folder, tmp_path)
    given, N = np.load(folder / "given_labels.npy"), DIGITS[0]
    monkeypatch.setattr(runs, "CIFAR10", N + 3)
    index = np.arange(N)[::-1]
    np.save(tmp_path / "index.npy", index)
    labels = np.zeros(N + 3, np.int64)
    labels[index] = given
    about = json.loads((folder / "config.json").read_text())
    about["settings"] |= {"noise": "labels", "noise_file": str(tmp_path / "labels.npy")}
    (tmp_path / "config.json").write_text(json.dumps(about))
    config = as_written(folder)._replace(noise="labels", noise_file=str(tmp_path / "labels.npy"))
    assert runs.refused(config, tmp_path) is None, "where there is no file, nothing is known"
    np.save(tmp_path / "labels.npy", labels)
    assert runs.refused(config, tmp_path) is None
    (tmp_path / "labels.csv").write_text("\n".join(map(str, labels)))
    assert runs.refused(config._replace(noise_file=str(tmp_path / "labels.csv")), tmp_path) is None
    labels[-1] = 1
    np.save(tmp_path / "labels.npy", labels)
    assert runs.refused(config, tmp_path) is None, "an image that the run has not"
    labels[7] = (labels[7] + 1) % 10
    np.save(tmp_path / "labels.npy", labels)
    assert f"differs in the labels of {tmp_path / 'labels.npy'}" in runs.refused(config, tmp_path)


def test_a_run_that_cannot_be_read_is_named(folder, tmp_path):
    config = as_written(folder)
    (copied(folder, tmp_path) / "log.jsonl").write_text("nothing")
    assert "log.jsonl cannot be read" in runs.refused(config, tmp_path)
    (tmp_path / "config.json").write_text("nothing")
    assert "config.json cannot be read" in runs.refused(config, tmp_path)


def test_a_run_of_other_settings_is_not_read(folder, tmp_path):
    config = as_written(folder)
    (tmp_path / folder_name("--a 1")).symlink_to(folder)
    assert runs.read_run("--a 1", config, tmp_path).line == "--a 1"
    assert runs.read_run("--a 1", config._replace(seed=5), tmp_path) is runs.read_run("--b", config, tmp_path) is None


def test_a_run_without_true_labels_has_no_scores(tmp_path):
    assert scores_of(tmp_path) == {}


def epoch(step, number, validation, test):
    return Epoch(step, None, number, *[0.] * 6, validation, test, math.nan, 0, math.nan)


def test_best_is_the_first_epoch_of_the_best_validation_accuracy():
    records = [epoch("joint", 1, .5, .1), epoch("joint", 2, .7, .2), epoch("joint", 3, .7, .3),
               epoch("joint", 4, .6, .4), epoch("retrain", 1, math.nan, .9)]
    one = Run("", None, {}, records, {}, {})
    assert at_best(one, "joint", "test") == .2 and at_last(one, "joint", "test") == .4
    assert at_best(one, "retrain", "test") is None and at_last(one, "retrain", "test") == .9
    assert at_best(one, "cross-entropy", "test") is at_last(one, "cross-entropy", "test") is None


def test_runs_that_differ_in_their_seed_are_one_group():
    found = groups([SimpleNamespace(line=line) for line in ("--K 1", "--K 1 --seed 1", "--K 3 --seed 0")])
    assert {line: len(same) for line, same in found.items()} == {"--K 1": 2, "--K 3": 1}


def test_null_in_a_log_is_a_number_that_is_not_known_but_for_the_fold():
    found = runs.record_of({"step": "joint", "fold": None, "epoch": 3, "loss": None})
    assert math.isnan(found.loss) and found.fold is None and (found.step, found.epoch) == ("joint", 3)


def test_numbers_are_kept_to_five_digits():
    assert [runs.brief(value) for value in (0.123456789, 12345.678, 3, math.nan, "joint")] == [
        0.12346, 12346.0, 3, None, "joint"]
    assert json.dumps(runs.brief(2.0000000001)) == "2.0"
