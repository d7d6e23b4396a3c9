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
    monkeypatch.setattr(pseudo_labels, "keep", lambda found, images, seed: asked.append((images, seed)))
    assert pseudo_labels.main(["--features", str(tmp_path / "f.npz"), "--keep", *words]) == 0
    assert asked == [seed, (10, seed)]


def test_the_starts_of_the_clusters_follow_the_seed():
    features = np.random.default_rng(0).normal(size=(100, 2))
    one, again, other = (clusters(features, seed, starts=1) for seed in (1, 1, 2))
    assert (one == again).all() and (one != other).any()


def test_a_kept_result_takes_the_place_of_the_earlier_one(tmp_path):
    truth, path = np.arange(8) % 2, tmp_path / "kept.jsonl"
    for cluster, images, seed in ((truth * 0, 8, 0), (truth, 4, 1), (1 - truth, 8, 0)):
        pseudo_labels.keep(named(cluster, truth, 2), images, seed, path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"images": images, "seed": seed, "correct": 1, "majority": 1, "unnamed": 0}
        for images, seed in ((4, 1), (8, 0))]


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


@pytest.mark.parametrize("words", [[], ["a", "--features", "b"]])
def test_one_source_is_asked_for(words, capsys):
    with pytest.raises(SystemExit):
        pseudo_labels.main(words)
    assert "--features FILE" in capsys.readouterr().err


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
