"""core/run/description.py: what is printed before a run, and stands on its page, number by number."""
import numpy as np
import pytest

from core.data import DataSet, Split
from core.recipes import RECIPES, Recipe
from core.run import Config
from core.run import description as module
from core.run.description import description, quick_run, settings

RECIPE = Recipe(lr=0.11, alpha=1.2, beta=0.8, source="ours", epochs=31, begin=12, K=5, update="hard-9", lr2=0.22,
                epochs2=14, drops2=(6, 9))


def split(n, features=None, paths=False):
    return Split(np.zeros((n, 6, 8, 3), np.uint8), np.zeros(n, int), np.arange(n), np.arange(n) % 4,
                 np.array([f"{k}.png" for k in range(n)]) if paths else None, features)


DATA = DataSet("photos", ("a", "b", "c", "d"), split(40), split(7), split(9), pad=1, flip=True)
GIVEN = np.arange(40) % 4 * (np.arange(40) >= 8)           # six of 40 are wrong: 1 2 3 1 2 3 became 0


def lines(data=DATA, **changes):
    changes = {"net": "small", **changes}
    return dict(settings(Config(RECIPE)._replace(**changes), data, GIVEN))


def test_every_number_stands_where_it_belongs():
    assert lines() == {
        "data": "photos: 40 training, 7 validation, 9 test images of 6x8, 4 classes",
        "noise": "symmetric, rate 0.5 requested, 15.0 % of the labels really wrong",
        "network": "small: widths (16, 32, 64), blocks (1, 1, 1)",
        "step 1": "31 epochs, lr 0.11, alpha 1.2, beta 0.8, hard-9 labels from epoch 12 on, mean of 5, prior uniform   "
                  "(ours)",
        "step 2": "14 epochs, lr 0.22, divided by 10 after epochs 6, 9"}


def test_what_is_not_known_or_another_way_is_said():
    unknown = DATA._replace(train=DATA.train._replace(truth=None))
    assert lines(unknown, noise="none", rate=None)["noise"] == "none, the number of wrong labels is unknown"
    assert lines(augment="none")["data"].endswith("4 classes, not augmented")
    assert lines(augment="flip")["data"].endswith("4 classes, augmented by flip")
    assert "prior a vector" in lines(recipe=RECIPE._replace(prior=(1, 2, 3, 4)))["step 1"]
    assert lines(folds=3)["folds"] == "3 times both steps, each without one fold"
    assert list(lines(folds=3)) == ["data", "noise", "network", "step 1", "folds", "step 2"]
    assert lines(folds=3, posterior=True)["folds"].endswith("fold; their noise posterior decides on the labels")


@pytest.mark.parametrize("changes, views, expected", [
    ({"net": "head", "features": "f.npy"}, 1, "head: a hidden layer of 256, on 5 features of f.npy"),
    ({"net": "linear", "backbone": "e"}, 1, "linear: no hidden layer, on 5 features of e, images of 128x128"),
    ({"net": "linear", "backbone": "e"}, 2,
     "linear: no hidden layer, on 5 features of e, images of 128x128, as they are and mirrored")])
def test_a_head_says_what_it_sees(changes, views, expected):
    data = DATA._replace(train=split(40, np.zeros((40, views, 5), np.float32)), backbone={"size": 128})
    found = lines(data, folds=5, **changes)
    assert found["network"] == expected and found["folds"].startswith("5 times step 1, each without")
    assert "9 test images, 4 classes" in found["data"]


def test_a_pretrained_network_is_named():
    assert lines(net="resnet", finetune=True, backbone="w.pth")["network"].startswith("w.pth, all weights")


@pytest.mark.parametrize("ranks, gpu, place", [(1, None, "the CPU, 1 process"), (3, None, "the CPU, 3 processes"),
                                               (1, 2, "GPU 2")])
def test_the_network_says_where_it_computes(ranks, gpu, place):
    first, second, third, *_ = description(Config(RECIPE, gpu=gpu), DATA, GIVEN, ranks).split("\n")
    assert first.startswith("data     photos: 40") and second.startswith("noise    symmetric")
    assert third == f"network  small: widths (16, 32, 64), blocks (1, 1, 1), on {place}"


def test_the_pretrained_network_is_recommended_for_files_that_are_learnt_from_scratch(monkeypatch):
    files = DATA._replace(train=split(40, paths=True))
    for there in (True, False):
        monkeypatch.setattr(module, "installed", lambda there=there: there)
        found = [("never seen a photograph" in description(Config(RECIPE)._replace(**changes), data, GIVEN, 1))
                 for data, changes in ((files, {}), (DATA, {}), (files, {"backbone": "w.pth", "finetune": True}))]
        assert found == [not there, False, False]


@pytest.mark.parametrize("net, epochs, option", [
    ("small", 20, ""), ("small", 21, "--epochs 10"), ("small", 99, "--epochs 10"), ("small", 100, "--epochs 10"),
    ("small", 209, "--epochs 20"), ("head", 200, ""), ("linear", 200, "")])
def test_a_first_list_takes_a_tenth_of_the_epochs(net, epochs, option):
    assert quick_run(Config(RECIPES["unknown"]._replace(epochs=epochs), net=net)) == option
