"""Out-of-sample probabilities: no image is classified by a network that saw it, its label, or a mean image with it."""
import numpy as np
import pytest

from core import train
from core.data import DataSet, Split
from core.errors import InputError
from core.labels import SoftLabels, one_hot
from core.model import fresh_model
from core.recipes import RECIPES
from core.run import folds
from core.run.task import as_task
from nets import preact_resnet
from nets.preact_resnet import Architecture

N, K, C = 11, 3, 3
RECIPE = RECIPES["quick"]._replace(epochs=2, begin=1, K=1, epochs2=1, batch=4)
GIVEN = np.arange(N) % C


def example(seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (N, 8, 8, 3), np.uint8)
    split = Split(images, GIVEN, np.arange(N), truth=GIVEN[::-1], paths=np.array([f"{i}.png" for i in range(N)]))
    return DataSet("example", ("a", "b", "c"), split, split, split, pad=1, flip=True)


def method(data, given, fold):
    """Both steps, small."""
    task, arch = as_task(data, 0, np), Architecture(C, (4, 4), (1, 1))
    labels, models = SoftLabels(one_hot(given, C), RECIPE.K), []
    for train_on in (train.joint_optimization, train.retrain):
        models.append(fresh_model(preact_resnet, arch, np.random.default_rng(fold), np))
        list(train_on(models[-1], task, labels, RECIPE))
    return models[-1]


def test_every_row_is_in_one_fold_and_the_folds_are_alike():
    given = np.repeat([0, 1, 2], [50, 30, 7])
    dealings = [folds.dealt(given, 4, 3, seed) for seed in range(5)]
    for parts in dealings:
        assert sorted(np.concatenate(parts)) == list(range(87))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        for c, number in enumerate((50, 30, 7)):
            assert all(abs((given[part] == c).sum() - number / 4) <= 1.5 for part in parts)
    assert not np.array_equal(dealings[0][0], dealings[1][0])


def test_copies_of_an_image_are_in_one_fold():
    """Under whatever labels: a network that has seen one has seen the other."""
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), np.uint8)
    images[40:50], images[[50, 51, 59]] = images[:10], images[7]
    given = np.arange(60) % 3
    before = folds.dealt(given, 5, 3, seed=0)
    parts = folds.with_copies(before, images)
    fold_of = {row: k for k, rows in enumerate(parts) for row in rows.tolist()}
    assert sorted(fold_of) == list(range(60)) and all((np.diff(rows) > 0).all() for rows in parts)
    assert all(fold_of[k] == fold_of[40 + k] for k in range(10))
    assert fold_of[7] == fold_of[47] == fold_of[50] == fold_of[51] == fold_of[59]
    others = {k: set(rows.tolist()) - set(range(40, 60)) for k, rows in enumerate(before)}
    assert all(fold_of[row] == k for k, rows in others.items() for row in rows), "the others stay where they were"


def test_where_all_images_are_alike_the_folds_are_as_they_were_dealt():
    parts = folds.dealt(GIVEN, K, C, seed=0)
    for images in (np.zeros((N, 4, 4, 3), np.uint8), example().train.images):
        assert all(map(np.array_equal, folds.with_copies(parts, images), parts))


def test_no_network_has_seen_a_copy_of_what_it_classifies(monkeypatch):
    monkeypatch.setattr(folds, "predictions", lambda model, images: np.zeros((len(images.pixels), C)))
    model = fresh_model(preact_resnet, Architecture(C, (4, 4), (1, 1)), np.random.default_rng(0), np)
    data, seen = example(), []
    data.train.images[6:9] = data.train.images[:3]
    folds.out_of_sample(data, GIVEN, K, 0, lambda others, given, fold: seen.append(set(others.train.index)) or model)
    assert all((row in rows) == (row + 6 in rows) for rows in seen for row in range(3)) and len(seen) == K


def test_the_seed_of_the_run_deals_the_folds(monkeypatch):
    monkeypatch.setattr(folds, "predictions", lambda model, images: np.zeros((len(images.pixels), C)))
    model = fresh_model(preact_resnet, Architecture(C, (4, 4), (1, 1)), np.random.default_rng(0), np)
    found = []
    for seed in (0, 1, 7, 7):
        rests = []
        folds.out_of_sample(example(), GIVEN, K, seed,
                            lambda data, given, fold: rests.append(data.train.index.tolist()) or model)
        assert rests == [np.setdiff1d(range(N), rows).tolist() for rows in folds.dealt(GIVEN, K, C, seed)]
        found.append(str(rests))
    assert len(set(found)) == 3


def test_there_may_be_as_many_folds_as_images():
    assert sorted(map(list, folds.dealt(GIVEN, N, C, 0))) == [[row] for row in range(N)]
    assert len(folds.dealt(GIVEN, 2, C, 0)) == 2


@pytest.mark.parametrize("number", [-1, 0, 1, N + 1])
def test_a_number_of_folds_that_cannot_be_is_one_sentence(number):
    with pytest.raises(InputError, match=f"--folds {number}: choose 2 to {N}"):
        folds.dealt(GIVEN, number, C, 0)


def test_the_network_of_a_fold_is_trained_on_the_images_of_all_others_with_their_labels(monkeypatch):
    data, learnt, asked = example(), {}, []

    def learn(others, given, fold):
        learnt[fold] = {int(np.flatnonzero((data.train.images == image).all(axis=(1, 2, 3)))[0])
                        for image in others.train.images}
        assert (given == GIVEN[others.train.index]).all()
        assert (others.train.truth == GIVEN[::-1][others.train.index]).all()
        assert others.train.paths.tolist() == [f"{i}.png" for i in others.train.index]
        assert len(others.validation.labels) == len(others.test.labels) == 0
        return method(others, given, fold)

    monkeypatch.setattr(folds, "predictions",
                        lambda model, images: asked.append(images) or np.full((len(images.pixels), C), 1 / C))
    folds.out_of_sample(data, GIVEN, K, 0, learn)
    for fold, rows in enumerate(folds.dealt(GIVEN, K, C, 0), start=1):
        assert learnt[fold] == set(range(N)) - set(rows.tolist())
        shown = asked[fold - 1]
        assert (shown.pixels == data.train.images[rows]).all()
        assert shown.mean == pytest.approx(np.delete(data.train.images, rows, axis=0).mean(axis=0) / 255, abs=1e-6)


def test_an_image_has_no_influence_on_the_probabilities_of_its_own_fold():
    """Another image in its place changes the probabilities of all other folds, and of its own fold only its own."""
    data, other = example(), example()
    before = folds.out_of_sample(data, GIVEN, K, 0, method)
    other.train.images[5] = 255 - other.train.images[5]
    after = folds.out_of_sample(other, GIVEN, K, 0, method)
    own, = (rows for rows in folds.dealt(GIVEN, K, C, 0) if 5 in rows)
    same = (before == after).all(axis=1)
    assert set(np.flatnonzero(same)) == set(own) - {5}
    assert before.dtype == np.float32 and before.sum(axis=1) == pytest.approx(np.ones(N), abs=1e-5)
