"""What a run is made of: seeds that count, labels and noise for the right rows, one mean image for all parts."""
from types import SimpleNamespace

import numpy as np
import pytest

from core.batches import mean_image
from core.data import DataSet, Split
from core.data.source import Source
from core.parallel.ranks import Serial
from core.recipes import RECIPES
from core.run import Config, experiment, options
from core.run.commands import parse
from core.run.config import RATED
from core.run.inputs import given_labels
from core.run.options import configuration
from core.run.task import as_task

N, C = 600, 4


def split(N, seed, truth=True):
    rng = np.random.default_rng(seed)
    labels = rng.integers(C, size=N)
    return Split(rng.integers(256, size=(N, 8, 8, 3), dtype=np.uint8), labels, np.arange(N) + 10 * seed,
                 labels.copy() if truth else None)


DATA = DataSet("d", tuple("abcd"), split(N, 1), split(50, 2), split(60, 3), pad=1, flip=True, rows=N + 10)


def config(**changes):
    return Config(RECIPES["quick"])._replace(**changes)


@pytest.mark.parametrize("kind", RATED)
def test_noise_follows_its_seed_and_its_rate(kind):
    asked = config(noise=kind, class_map={0: 1, 1: 2, 2: 3, 3: 0} if kind == "asymmetric" else None)
    found = {(seed, rate): given_labels(asked._replace(seed=seed, rate=rate), DATA) for seed in (0, 1, 7)
             for rate in (0, 0.2, 0.6)}
    assert all((found[seed, 0] == DATA.train.truth).all() for seed in (0, 1, 7))
    for rate in (0.2, 0.6):
        assert (found[0, rate] == given_labels(asked._replace(rate=rate), DATA)).all()
        assert len({found[seed, rate].tobytes() for seed in (0, 1, 7)}) == 3
        wrong = (found[0, rate] != DATA.train.truth).mean()
        expected = rate * (1 - 1 / C if kind == "symmetric" else 1)
        assert wrong == pytest.approx(expected, abs=0.06)


def test_noise_by_a_matrix_follows_its_seed(tmp_path):
    np.save(tmp_path / "T.npy", np.full((C, C), 1 / C))
    asked = config(noise="matrix", noise_file=str(tmp_path / "T.npy"))
    assert len({given_labels(asked._replace(seed=seed), DATA).tobytes() for seed in (0, 1, 1, 2)}) == 3


def test_labels_without_noise_are_the_datas_own_and_a_copy():
    found = given_labels(config(noise="none"), DATA)
    assert (found == DATA.train.labels).all() and not np.shares_memory(found, DATA.train.labels)


def test_all_parts_are_shown_less_the_training_images_mean_and_with_their_own_labels():
    task = as_task(DATA, 5, np)
    mean = mean_image(DATA.train.images)
    for (images, labels), part in ((task.validation, DATA.validation), (task.test, DATA.test)):
        assert (images.mean == mean).all() and (images.pixels == part.images).all() and (labels == part.labels).all()
    assert (task.train.mean == mean).all() and (task.train.pixels == DATA.train.images).all()
    assert (task.train.pad, task.train.flip, task.seed) == (1, True, 5)
    assert (task.truth == DATA.train.truth).all()
    for nothing in (None, np.full(N, -1)):
        assert as_task(DATA._replace(train=DATA.train._replace(truth=nothing)), 5, np).truth is None


# ---- weights and order -----------------------------------------------------------------------------------------------

def begun(seed, monkeypatch):
    """{training: (its first weights, the seed of its order)} of a run whose trainings end at once."""
    found, names = {}, iter(("joint", "retrain", "fold1.joint", "fold1.retrain", "fold2.joint", "fold2.retrain",
                             "cross-entropy"))

    def nothing(model, task, labels, *args, done, theta_epoch):
        found[next(names)] = model.theta.buffer.tobytes(), task.seed
        yield from ()

    with monkeypatch.context() as patch:
        patch.setattr(experiment.train, "joint_optimization", nothing)
        patch.setattr(experiment.train, "retrain", nothing)
        asked = config(seed=seed, folds=2, compare=True)
        experiment.trained(asked, DATA, DATA.train.labels, np, Serial(), None, lambda records, *args: records, print)
    return found


def test_weights_are_drawn_by_the_seed_and_the_training(monkeypatch):
    first, again, other = (begun(seed, monkeypatch) for seed in (0, 0, 1))
    assert first == again and len(first) == 7
    weights = [weights for found in (first, other) for weights, _ in found.values()]
    assert len(set(weights)) == 14 and {seed for _, seed in other.values()} == {1}


# ---- options ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("counts, prior", [((10, 10), "uniform"), ((40, 10), "uniform"), ((41, 10), "given"),
                                           ((10, 30, 41), "given"), ((7,), "uniform")])
def test_the_prior_of_own_images_follows_their_classes_where_they_are_uneven(counts, prior):
    labels = [str(c) for c, n in enumerate(counts) for _ in range(n)]
    source = Source("own", "photos", SimpleNamespace(labels=labels))
    assert configuration(parse(["--data", "photos"]), source).recipe.prior == prior
    for said, meant in (("uniform", "uniform"), ("given", "given"), ("1,2", (1, 2))):
        assert configuration(parse(["--data", "photos", "--prior", said]), source).recipe.prior == meant


EVERY = {                              # an option and its value: the settings that it makes
    "--size 48": {"size": 48}, "--test t": {"test": "t"}, "--truth t": {"truth": "t"},
    "--held-out 0.2": {"held_out": 0.2},
    "--path-column p": {"path_column": "p"}, "--label-column l": {"label_column": "l"}, "--images i": {"images": "i"},
    "--labels l.npy": {"labels": "l.npy"}, "--follow-links": {"follow_links": True}, "--cache c": {"cache": "c"},
    "--net paper": {"net": "paper"}, "--seed 3": {"seed": 3}, "--folds 4": {"folds": 4, "posterior": True},
    "--folds 4 --no-posterior": {"folds": 4}, "--compare": {"compare": True}, "--augment crop": {"augment": "crop"},
    "--sure 0.7": {"sure": 0.7}, "--ranks 2": {"ranks": 2}, "--precision float32": {"precision": "float32"},
    "--out o": {"out": "o"}, "--force": {"force": True}, "--noise pair": {"noise": "pair", "rate": 0.5},
    "--noise pair --rate 0.1": {"noise": "pair", "rate": 0.1}, "--gpu 2": {"gpu": 2, "net": "paper"},
    "--noise labels --noise-file f": {"noise": "labels", "noise_file": "f"},
    "--noise asymmetric --map 1:2,2:0": {"noise": "asymmetric", "rate": 0.5, "class_map": {1: 2, 2: 0}},
    "--lr 0.3": {"lr": 0.3}, "--alpha 3": {"alpha": 3}, "--beta 2": {"beta": 2}, "--begin 5": {"begin": 5},
    "--K 3": {"K": 3}, "--batch 9": {"batch": 9}, "--update hard": {"update": "hard"},
    "--predictions evaluation": {"predict": "evaluation"},
    "--epochs 20": {"epochs": 20, "begin": 7, "epochs2": 12, "K": 7}}


@pytest.mark.parametrize("words", EVERY)
def test_every_option_makes_its_setting_and_no_other(words):
    source = Source("own", "photos", SimpleNamespace(labels=["a", "b"] * 50))
    scratch = ["--data", "photos", "--backbone", "none"]
    plain, changed = (configuration(parse([*scratch, *more]), source) for more in ([], words.split()))
    before, after = ({**c._asdict(), **c.recipe._asdict()} for c in (plain, changed))
    moved = {name: after[name] for name in after if after[name] != before[name]}
    beside = {"recipe", "source", "out", "lr2", "drops2"}
    assert {name: value for name, value in moved.items() if name in EVERY[words] or name not in beside} == EVERY[words]


def test_every_option_of_a_run_is_among_them():
    import argparse
    p = argparse.ArgumentParser()
    options.run_options(p)
    elsewhere = {"-h", "--data", "--subset", "--recipe", "--prior", "--quick", "--kernels",
                 "--backbone", "--features", "--finetune"}            # tests/run/test_run_features.py, test_finetune.py
    flags = {action.option_strings[0] for action in p._actions} - elsewhere
    words = " ".join(EVERY).replace("--no-posterior", "--posterior").split()
    assert flags == {word for word in words if word.startswith("--")}
