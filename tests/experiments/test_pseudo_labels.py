"""experiments/pseudo_labels.py: clusters found, and named by the best assignment there is."""
import json
import re
import runpy
import sys
from itertools import permutations

import numpy as np
import pytest

from core.data.cifar10_files import FOLDER
from core.errors import InputError
from core.run.commands import parse
from core.run.experiment import run
from core.run.options import configuration
from experiments import pseudo_labels
from experiments.pseudo_labels import clusters, features_of_run, named
from nets import preact_resnet, safetensors_file

pytest.importorskip("sklearn")


@pytest.mark.parametrize("seed", range(5))
def test_names_are_the_best_of_all_assignments(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(4, size=60)
    cluster = np.where(rng.random(60) < .5, rng.integers(4, size=60), (truth + 1) % 4)
    found = named(cluster, truth, 4)
    best = max((np.array(names)[cluster] == truth).mean() for names in permutations(range(4)))
    assert found.correct == pytest.approx(best) == (found.labels == truth).mean()
    majority = sum(np.bincount(truth[cluster == c]).max() for c in range(4)) / 60
    assert found.majority == pytest.approx(majority) and found.majority >= found.correct


def test_a_class_without_a_majority_is_counted():
    found = named(np.array([0, 0, 1, 1, 1]), np.array([0, 0, 0, 0, 1]), 2)
    assert found.unnamed == 1 and found.correct == pytest.approx(.6) and found.majority == pytest.approx(.8)


def test_separate_clusters_are_found_whatever_the_scale_of_a_feature():
    rng = np.random.default_rng(0)
    truth = np.arange(300) % 10
    features = (np.eye(10)[truth] * 20 + rng.normal(size=(300, 10))).astype(np.float32)
    features *= 10. ** np.arange(-3, 7)
    assert named(clusters(features, starts=5), truth).correct == 1


def test_features_that_are_there_are_told(tmp_path, capsys):
    truth = np.arange(200) % 10
    np.savez(tmp_path / "f.npz", train=np.eye(10, dtype=np.float32)[truth] * 20, labels=truth)
    assert pseudo_labels.main(["--features", str(tmp_path / "f.npz")]) == 0
    assert capsys.readouterr().out.startswith("200 images: 100.0 % of the labels correct")


def test_labels_are_written_for_all_training_images_in_the_order_of_the_files(tmp_path, monkeypatch, capsys):
    """The clusters are those of the stand-in's features: a class for each image."""
    images = np.arange(120, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    truth = np.arange(120) % 10
    planes = [images[k:k + 24].transpose(0, 3, 1, 2) for k in range(0, 120, 24)]
    asked = []
    monkeypatch.setattr(pseudo_labels, "read_batches", lambda path: (
        [*planes, planes[0]], [*truth.reshape(5, 24), truth[:24]], ("a",) * 10))
    monkeypatch.setattr(pseudo_labels.backbone, "features", lambda images, size, jobs, store: (
        asked.append((images, size)), pseudo_labels.backbone.Features(
            np.eye(10, dtype=np.float32)[images[:, 0, 0, 0] % 10][None] * 20, {}, []))[1])
    out = tmp_path / "labels.npy"
    assert pseudo_labels.main([FOLDER, "--out", str(out)]) == 0
    assert np.array_equal(np.load(out), truth) and asked[0][1] == 128
    assert np.array_equal(asked[0][0][:, 5, 7, 2], np.arange(120))
    out.unlink()
    assert pseudo_labels.main([FOLDER, "--images", "60", "--size", "96", "--out", str(out)]) == 0 and not out.exists()
    assert "60 images" in capsys.readouterr().out and asked[1][1] == 96


@pytest.mark.parametrize("words, seed", [([], 0), (["--seed", "3"], 3)])
def test_the_seed_is_that_of_the_clusters_and_of_the_note(words, seed, tmp_path, monkeypatch):
    asked = []
    np.savez(tmp_path / "f.npz", train=np.eye(10), labels=np.arange(10))
    monkeypatch.setattr(pseudo_labels, "clusters", lambda features, seed: asked.append(seed) or np.arange(10))
    monkeypatch.setattr(pseudo_labels, "keep", lambda found, *what: asked.append(what))
    assert pseudo_labels.main(["--features", str(tmp_path / "f.npz"), "--keep", *words]) == 0
    assert asked == [seed, (10, seed, "from a file")]


def test_the_starts_of_the_clusters_follow_the_seed():
    features = np.random.default_rng(0).normal(size=(100, 2))
    one, again, other = (clusters(features, seed, starts=1) for seed in (1, 1, 2))
    assert (one == again).all() and (one != other).any()


def test_a_kept_result_takes_the_place_of_the_earlier_one(tmp_path):
    truth, path = np.arange(8) % 2, tmp_path / "kept.jsonl"
    for cluster, images, seed, features in ((truth * 0, 8, 0, "a"), (truth, 4, 1, "a"), (truth, 8, 0, "b"),
                                            (1 - truth, 8, 0, "a")):
        pseudo_labels.keep(named(cluster, truth, 2), images, seed, features, path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"images": images, "seed": seed, "features": features, "correct": 1, "majority": 1, "unnamed": 0}
        for images, seed, features in ((4, 1, "a"), (8, 0, "a"), (8, 0, "b"))]


def test_features_of_a_run_are_what_its_linear_layer_takes(tmp_path, no_pictures):
    config = configuration(parse(["--quick", "--epochs", "1"]))
    found = run(config._replace(digits=(60, 20, 20), out=str(tmp_path / "a"), ranks=1, force=True))
    features = features_of_run(tmp_path / "a", found.images, batch=25)
    network = safetensors_file.load(tmp_path / "a" / "model.safetensors")
    logits = preact_resnet.predict(network.theta, network.running, found.images.astype(np.float32) / 255 - network.mean,
                                   network.arch)
    again = features @ network.theta["linear.w"] + network.theta["linear.b"]
    assert features.shape == (60, 64) and features.dtype == np.float32
    assert np.abs(again - logits).max() < 1e-4 * np.abs(logits).max()
    with pytest.raises(InputError, match="manifest"):
        features_of_run(tmp_path, found.images)


@pytest.mark.parametrize("words, message", [
    ([], "or --features FILE"), (["a", "--features", "b"], "or --features FILE"),
    (["--features", "b", "--run", "c"], "--features and --run: choose one"),
    (["a", "--images", "9"], "--images 9: 10 clusters need at least as many"),
    (["a", "--images", "-5"], "--images -5: 10 clusters need at least as many")])
def test_words_that_make_no_sense_are_refused(words, message, capsys):
    with pytest.raises(SystemExit) as end:
        pseudo_labels.main(words)
    assert end.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize("content, message", [
    (None, "cannot be read as .npz with arrays train and labels"), ("text", "cannot be read as .npz"),
    (np.eye(10), "cannot be read as .npz"), ({"labels": np.arange(10)}, "cannot be read as .npz"),
    ({"train": np.eye(10, dtype=int), "labels": np.arange(10)}, "train has to be float, of shape (N, D)"),
    ({"train": np.eye(10), "labels": np.arange(9)}, "a whole number for each of the 10 rows of train"),
    ({"train": np.eye(10), "labels": np.arange(10.)}, "a whole number for each of the 10 rows of train"),
    ({"train": np.eye(10), "labels": np.arange(1, 11)}, "row 9: 10 is no label: use 0 to 9"),
    ({"train": np.eye(9), "labels": np.arange(9)}, "9 images: 10 clusters need at least as many")])
def test_a_file_of_features_that_cannot_be_used_is_one_line(content, message, tmp_path, capsys):
    path = tmp_path / "f.npz"
    if isinstance(content, dict):
        np.savez(path, **content)
    elif isinstance(content, str):
        path.write_text(content)
    elif content is not None:
        with path.open("wb") as file:
            np.save(file, content)
    assert pseudo_labels.main(["--features", str(path)]) == 2
    found = capsys.readouterr()
    assert found.out == "" and found.err.startswith("error: ") and message in found.err and found.err.count("\n") == 1


def test_without_the_package_of_k_means_its_name_is_said(tmp_path, monkeypatch, capsys):
    np.savez(tmp_path / "f.npz", train=np.eye(10), labels=np.arange(10))
    monkeypatch.setitem(sys.modules, "sklearn.cluster", None)
    assert pseudo_labels.main(["--features", str(tmp_path / "f.npz")]) == 2
    assert "pip install scikit-learn" in capsys.readouterr().err


@pytest.mark.parametrize("words, source", [
    (["--size", "96"], "EfficientNet-Lite0, 96 pixels"), (["--run", "runs/first"], "the network of first")])
def test_the_note_says_whose_features_they_are(words, source, monkeypatch):
    asked = []
    monkeypatch.setattr(pseudo_labels, "training_images", lambda path, n: (np.zeros((10, 32, 32, 3)), np.arange(10)))
    monkeypatch.setattr(pseudo_labels, "features_of_run", lambda run, images: np.eye(10))
    monkeypatch.setattr(pseudo_labels.backbone, "features", lambda images, size, **_: (
        pseudo_labels.backbone.Features(np.eye(10)[None], {}, [])))
    monkeypatch.setattr(pseudo_labels, "keep", lambda found, *what: asked.append(what))
    assert pseudo_labels.main(["a", "--images", "10", "--keep", *words]) == 0
    assert asked == [(10, 0, source)]


def test_every_option_is_explained(capsys):
    with pytest.raises(SystemExit):
        pseudo_labels.main(["--help"])
    options = re.split(r"^  (?=\S)", capsys.readouterr().out.partition("options:\n")[2], flags=re.MULTILINE)[1:]
    assert len(options) == 9 and [text for text in options if len(text.split()) < 4] == []


def test_as_a_module_it_ends_with_its_status(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pseudo_labels", str(tmp_path)])
    monkeypatch.delitem(sys.modules, "experiments.pseudo_labels")
    with pytest.raises(SystemExit) as end:
        runpy.run_module("experiments.pseudo_labels", run_name="__main__")
    assert end.value.code == 2


def test_a_path_that_is_not_cifar10_is_named(tmp_path, capsys):
    assert pseudo_labels.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
