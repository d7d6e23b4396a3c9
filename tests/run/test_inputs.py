"""What a run is made of: seeds that count, labels and noise for the right rows, one mean image for all parts."""
import inspect
from types import SimpleNamespace

import numpy as np
import pytest

from core import noise
from core.batches import mean_image, unaugmented
from core.data import DataSet, Split, own
from core.data.how import How
from core.data.source import Source
from core.errors import InputError
from core.parallel.ranks import Serial
from core.recipes import RECIPES
from core.run import Config, experiment, inputs, options
from core.run.commands import parse
from core.run.config import RATED
from core.run.inputs import given_labels, read_data
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


def test_labels_of_another_order_are_told_by_the_clean_ones_beside_them(tmp_path):
    clean = np.full(N + 10, -1)
    clean[DATA.train.index] = DATA.train.truth
    asked = config(noise="labels", noise_file=f"{tmp_path / 'f.npy'}:worse_label", rate=None)
    for order, good in ((slice(None), True), (slice(None, None, -1), False)):
        np.save(tmp_path / "f.npy", {"clean_label": np.maximum(clean, 0)[order], "worse_label": np.zeros(N + 10, int)})
        if good:
            assert (given_labels(asked, DATA) == 0).all()
        else:
            with pytest.raises(InputError, match="another order"):
                given_labels(asked, DATA)
            some = DATA.train._replace(truth=np.where(DATA.train.index == 10, -1, DATA.train.truth))
            assert (given_labels(asked, DATA._replace(train=some)) == 0).all(), "nothing to compare with"


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


# ---- what is read ----------------------------------------------------------------------------------------------------

def asked_of(reader, monkeypatch, config, source, data=DATA):
    """{parameter: value} of the one call of a reader by read_data, and what came of it."""
    module, name = reader
    function, calls = getattr(module, name), []

    def called(*args, **options):
        bound = inspect.signature(function).bind(*args, **options)
        bound.apply_defaults()
        calls.append(bound.arguments)
        return own.Reading(data) if module is own else data

    monkeypatch.setattr(module, name, called)
    reading = read_data(config, source)
    return calls[0], reading.data


OWN_SETTINGS = {"seed": 7, "size": 48, "held_out": 0.2, "test": "t", "truth": "u", "cache": "c", "ranks": 3,
                "path_column": "p", "label_column": "l", "images": "i", "labels": "a.npy", "follow_links": True}


def test_own_images_are_read_as_the_settings_say(monkeypatch):
    listing = object()
    asked = config(data="photos", noise="none", rate=None, **OWN_SETTINGS)
    found, _ = asked_of((own, "load"), monkeypatch, asked, Source("own", "photos", listing))
    assert found == {"path": "photos", "seed": 7, "size": 48, "held_out": 0.2, "test": "t", "truth": "u", "store": "c",
                     "jobs": 3, "listing": listing, "how": How("p", "l", "i", "a.npy", True)}


@pytest.mark.parametrize("changes, size", [
    ({}, 32), ({"size": 48}, 48), ({"backbone": "b"}, 32), ({"backbone": "b", "size": 48}, 32),
    ({"backbone": "b", "finetune": True}, 224), ({"backbone": "b", "finetune": True, "size": 48}, 48)])
def test_images_are_read_as_large_as_the_network_sees_them(monkeypatch, changes, size):
    asked = config(data="photos", noise="none", rate=None, **changes)
    found, _ = asked_of((own, "load"), monkeypatch, asked, Source("own", "photos"))
    assert (found["size"], found["held_out"], found["jobs"]) == (size, 0, inputs.available_processors())


def test_digits_and_cifar_are_read_as_the_settings_say(monkeypatch):
    found, _ = asked_of((inputs.digits, "load"), monkeypatch, config(seed=7, digits=(30, 20, 10)),
                        Source("digits", "digits"))
    assert tuple(found.values())[:4] == (7, 30, 20, 10)
    monkeypatch.setattr(inputs.cifar10, "is_official", lambda path, layout: (path, layout) == ("c", "cifar-100-python"))
    found, _ = asked_of((inputs.cifar10, "load"), monkeypatch,
                        config(data="c", seed=7, subset=90, label_column="coarse_labels"),
                        Source("cifar100", "c", layout="cifar-100-python"))
    assert found == {"path": "c", "seed": 7, "subset": 90, "layout": "cifar-100-python", "labels": "coarse_labels"}


@pytest.mark.parametrize("official, name", [(True, "d"), (None, "d (binary version)"),
                                            (False, "d (not the official files)")])
@pytest.mark.parametrize("noise", ["none", "pair"])
def test_labels_of_cifar_count_as_true_where_they_are_known_to_be(monkeypatch, official, name, noise):
    monkeypatch.setattr(inputs.cifar10, "is_official", lambda path, layout: official)
    asked = config(data="c", noise=noise, rate=0.3 if noise == "pair" else None)
    _, data = asked_of((inputs.cifar10, "load"), monkeypatch, asked, Source("cifar10", "c", layout="l"))
    assert data.name == name
    for part in (data.train, data.validation):
        if official is False and noise == "none":
            assert part.truth is None
        else:
            assert (part.truth == part.labels).all()


def test_a_truth_of_cifar_is_that_of_the_rows_of_each_part(monkeypatch, tmp_path):
    """Which lie anywhere in the files."""
    order = np.random.default_rng(5).permutation(N + 50)
    mixed = DATA._replace(train=DATA.train._replace(index=order[:N]), rows=N + 50,
                          validation=DATA.validation._replace(index=order[N:]))
    truth = np.random.default_rng(6).integers(-1, C, size=N + 50)
    np.save(tmp_path / "t.npy", truth)
    monkeypatch.setattr(inputs.cifar10, "is_official", lambda path, layout: True)
    asked = config(data="c", noise="none", rate=None, truth=str(tmp_path / "t.npy"))
    _, data = asked_of((inputs.cifar10, "load"), monkeypatch, asked, Source("cifar10", "c", layout="l"), mixed)
    assert (data.train.truth == truth[order[:N]]).all() and (data.validation.truth == truth[order[N:]]).all()
    assert (data.train.labels == DATA.train.labels).all()
    (tmp_path / "t.csv").write_text("path,label\na.png,0\n")
    with pytest.raises(InputError, match="t.csv"):
        asked_of((inputs.cifar10, "load"), monkeypatch, asked._replace(truth=str(tmp_path / "t.csv")),
                 Source("cifar10", "c", layout="l"), mixed)
    with pytest.raises(InputError, match="^--noise pair is made from the true labels of all images"):
        asked_of((inputs.cifar10, "load"), monkeypatch, asked._replace(noise="pair", rate=0.3),
                 Source("cifar10", "c", layout="l"), mixed)


def test_what_does_not_fit_the_classes_is_refused_and_augmentation_is_as_asked(monkeypatch):
    def read(**changes):
        with monkeypatch.context() as patch:
            recipe = RECIPES["quick"]._replace(prior=changes.pop("prior", "uniform"))
            asked = config(digits=(8, 8, 8))._replace(recipe=recipe, **changes)
            return asked_of((inputs.digits, "load"), patch, asked, Source("digits", "digits"))[1]

    for good in ({"class_map": {3: 0}}, {"class_map": {0: 3}}, {"prior": (1,) * C}, {"folds": 2}, {"folds": N}):
        assert (read(**good).pad, read(**good).flip) == (1, True)
    for bad, why in (({"class_map": {4: 0}}, "--map names class 4: use 0 to 3"), ({"prior": (1, 2)}, "--prior has 2"),
                     ({"class_map": {0: 4}}, "--map names class 4"), ({"folds": N + 1}, f"--folds {N + 1}:"),
                     ({"prior": (1,) * 5}, "--prior has 5 weights for 4 classes")):
        with pytest.raises(InputError, match=f"^{why}"):
            read(**bad)
    found = {augment: (data.pad, data.flip) for augment in ("both", "crop", "flip", "none")
             for data in [read(augment=augment)]}
    assert found == {"both": (1, True), "crop": (1, False), "flip": (0, True), "none": (0, False)}


def test_labels_of_images_without_a_truth_count_as_true_where_noise_is_added(monkeypatch):
    unknown = DATA._replace(train=DATA.train._replace(truth=None))
    for kind, expected in (("pair", True), ("none", False), ("labels", False)):
        asked = config(noise=kind, noise_file="f" if kind == "labels" else None)
        _, data = asked_of((inputs.digits, "load"), monkeypatch, asked, Source("digits", "digits"), unknown)
        assert (data.train.truth is not None and (data.train.truth == DATA.train.labels).all()) == expected
        monkeypatch.undo()


def test_noise_is_made_of_the_true_labels_by_a_stream_of_its_own(tmp_path):
    """The same for a seed at any time, and another one than that of the data."""
    truth, rate, pairs = np.random.default_rng(9).integers(C, size=N), 0.4, {0: 1, 2: 3}
    T = np.random.default_rng(10).dirichlet(np.ones(C), size=C)
    np.save(tmp_path / "T.npy", T)
    data = DATA._replace(train=DATA.train._replace(truth=truth))
    makers = {"symmetric": (noise.symmetric, rate, C), "symmetric-others": (noise.symmetric_others, rate, C),
              "pair": (noise.pair_flip, rate, C), "asymmetric": (noise.asymmetric, rate, pairs),
              "matrix": (noise.transition, T)}
    for kind, (function, *args) in makers.items():
        for seed in (0, 7):
            asked = config(noise=kind, seed=seed, rate=rate, class_map=pairs, noise_file=str(tmp_path / "T.npy"))
            expected = function(truth, *args, np.random.default_rng([seed, *b"noise"]))
            assert np.array_equal(given_labels(asked, data), expected), kind
    found = given_labels(config(noise="none"), data)
    assert np.array_equal(found, DATA.train.labels) and not np.shares_memory(found, DATA.train.labels)


def test_every_part_is_shown_by_the_statistics_of_the_training_images_features():
    rng = np.random.default_rng(11)
    parts = [part._replace(features=rng.normal(k, k + 1, (len(part.labels), 2, 3)).astype(np.float32))
             for k, part in enumerate((DATA.train, DATA.validation, DATA.test))]
    found = as_task(DATA._replace(train=parts[0], validation=parts[1], test=parts[2]), 0, np)
    x = parts[0].features.astype(np.float64)
    mean, std = x.mean(axis=(0, 1)), x.std(axis=(0, 1))
    for part, shown in zip(parts, (found.train, found.validation[0], found.test[0])):
        assert unaugmented(shown, slice(None)) == pytest.approx((part.features[:, 0] - mean) / std, abs=1e-4)
    for part, (_, labels) in zip(parts[1:], (found.validation, found.test)):
        assert np.array_equal(labels, part.labels)


def test_noisy_labels_of_a_file_reach_their_rows(tmp_path):
    labels = np.random.default_rng(8).integers(C, size=N + 10)
    np.save(tmp_path / "l.npy", labels)
    asked = config(noise="labels", noise_file=str(tmp_path / "l.npy"), rate=None)
    assert (given_labels(asked, DATA) == labels[DATA.train.index]).all()
    without_rows = DATA._replace(rows=0, train=DATA.train._replace(index=np.arange(N)[::-1]))
    np.save(tmp_path / "l.npy", labels[:N])
    assert (given_labels(asked, without_rows) == labels[:N][::-1]).all()


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
        experiment.trained(asked, DATA, DATA.train.labels, np, Serial(), None, lambda records, *_: records, print,
                           False)
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
