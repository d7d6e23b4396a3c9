"""core/run/config.py: for every setting the values at the edge that a run takes, and the ones behind it that it
refuses."""
import math
import os
from pathlib import Path

import pytest

from core.errors import InputError
from core.files import is_inside
from core.recipes import RECIPES
from core.run import Config
from core.run.config import LARGEST, check, outside

R = RECIPES["digits"]
DIGITS = Config(R)
OWN = Config(R, data="photos", noise="none", rate=None, net="medium")
CIFAR = Config(R, data="c.tar.gz", net="paper")
HEAD = OWN._replace(net="head", features="f.npy", augment="none")
SEEN = OWN._replace(net="linear", backbone="efficientnet-lite0", augment="flip")
KINDS = [(DIGITS, "digits"), (CIFAR, "cifar10"), (CIFAR, "cifar100"), (OWN, "own"), (HEAD, "own"), (SEEN, "own"),
         (SEEN._replace(data="digits"), "digits")]
FOR_OWN = {"test": "t", "held_out": 0.2, "size": 32, "cache": "c", "path_column": "p", "images": "i", "labels": "l.npy",
           "follow_links": True}


def settings(base, changes):
    """The Config with other settings, also of its recipe."""
    of_recipe = {name: value for name, value in changes.items() if name in R._fields}
    others = {name: value for name, value in changes.items() if name not in R._fields}
    return base._replace(recipe=base.recipe._replace(**of_recipe), **others)


def said(base, kind, **changes):
    """The sentence that refuses them, "" if they are taken."""
    try:
        check(settings(base, changes), kind)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("base, kind", KINDS, ids=range(len(KINDS)))
def test_usual_settings_are_taken(base, kind):
    assert said(base, kind) == ""


NAN, INF = math.nan, math.inf
EDGES = {                              # setting: (values that are taken, values that are not, what names them)
    "rate": ((0, 1, 0.5), (-0.01, 1.01, NAN, None), "--rate "),
    "noise": (("pair", "symmetric-others"), ("other", "matrix", "labels", "asymmetric"), "noise"),
    "net": (("paper", "medium", "small"), ("head", "linear", "large"), "net "),
    "folds": ((None, 2, 50), (1, 0, -1), "--folds "),
    "augment": (("both", "crop", "flip", "none"), ("mirror", ""), "--augment "),
    "sure": ((0, 1, 0.5), (-0.1, 1.1, NAN), "--sure "),
    "seed": ((0, 10**9), (-1,), "--seed -1"),
    "precision": (("tf32", "float32"), ("half",), "--precision half"),
    "ranks": ((None, 1), (0, -1), "--ranks "),
    "kernels": ((None,), ("half",), "--kernels is for --gpu"),
    "noise_file": ((None,), ("f.npy",), "--noise-file"),
    "class_map": ((None,), ({1: 2},), "--map"),
    "backbone": ((None,), ("efficientnet-lite0", "no/such/file"), "--backbone"),
    "posterior": ((False,), (True,), "needs --folds"),
    "lr": ((1e-9, 5), (0, -1, INF, NAN), "--lr "), "lr2": ((1e-9,), (0, -1, INF, NAN), "--lr"),
    "alpha": ((0, 9), (-1e-9, INF, NAN), "--alpha"), "beta": ((0, 9), (-1e-9, INF, NAN), "--beta"),
    "K": ((1, 99), (0,), "--K"), "batch": ((1, LARGEST), (0, LARGEST + 1), "--batch"),
    "epochs": ((R.begin, LARGEST), (0, LARGEST + 1, R.begin - 1), "epochs"),
    "epochs2": ((1, LARGEST), (0, LARGEST + 1), "--epochs"),
    "begin": ((1, R.epochs), (0, R.epochs + 1), "--begin "),
    "update": (("soft", "hard", "hard-1", "hard-50"),
               ("hard-0", "hard-", "hard--1", "hard-x", "hard-²", "soft-3", "7", ""), "--update "),
}


@pytest.mark.parametrize("name", EDGES)
def test_a_setting_is_taken_up_to_its_edge_and_refused_behind_it(name):
    taken, refused, words = EDGES[name]
    assert [value for value in taken if said(DIGITS, "digits", **{name: value})] == []
    assert [value for value in refused if words not in said(DIGITS, "digits", **{name: value})] == []


FITTING = [                            # settings, those that they need, those that must not stand beside them
    (DIGITS, "digits", {"noise": "asymmetric"}, {"class_map": {1: 2}}, {}),
    (DIGITS, "digits", {"noise": "matrix", "rate": None}, {"noise_file": "f"}, {"class_map": {1: 2}}),
    (OWN, "own", {"noise": "labels"}, {"noise_file": "f"}, {"class_map": {1: 2}}),
    (DIGITS, "digits", {"kernels": "half"}, {"gpu": 0}, {"ranks": 2}),
    (DIGITS, "digits", {"posterior": True}, {"folds": 2}, {}),
    (OWN, "own", {"net": "head", "augment": "none"}, {"features": "f.npy"}, {"backbone": "efficientnet-lite0"}),
    (OWN, "own", {"net": "linear", "augment": "flip"}, {"backbone": "efficientnet-lite0"}, {"augment": "both"}),
    (HEAD, "own", {}, {}, {"augment": "flip"}), (HEAD, "own", {}, {}, {"net": "medium"}),
    (SEEN, "own", {"augment": "none"}, {}, {"augment": "crop"}),
    (SEEN, "own", {}, {}, {"net": "small"}),
]


@pytest.mark.parametrize("base, kind, changes, needed, wrong", FITTING, ids=range(len(FITTING)))
def test_settings_that_need_others_are_taken_with_them_alone(base, kind, changes, needed, wrong):
    assert said(base, kind, **changes, **needed) == ""
    assert not needed or said(base, kind, **changes).strip()
    assert not wrong or said(base, kind, **{**changes, **needed, **wrong}).strip()


@pytest.mark.parametrize("name", FOR_OWN)
def test_no_setting_of_own_images_is_ignored_for_other_data(name):
    assert said(OWN, "own", **{name: FOR_OWN[name]}) == ""
    flag = "--" + name.replace("_", "-")
    for base, kind in KINDS[:3]:
        assert flag in said(base, kind, **{name: FOR_OWN[name]})
    assert (said(*KINDS[-1], **{name: FOR_OWN[name]}) == "") == (name in ("size", "cache"))      # of its features


def test_settings_of_files_are_not_ignored_for_the_digits_nor_a_subset_for_own_images():
    for name, taken in (("subset", [False, True, True, False]), ("truth", [False, True, True, True]),
                        ("label_column", [False, True, True, True])):
        found = [said(base, kind, **{name: 5 if name == "subset" else "x"}) for base, kind in KINDS[:4]]
        assert [text == "" for text in found] == taken
        assert all("--" + name.replace("_", "-") in text for text in found if text)


def test_all_weights_are_trained_of_a_file_alone(tmp_path):
    (tmp_path / "w.pth").touch()
    base = OWN._replace(net="resnet", finetune=True, backbone=str(tmp_path / "w.pth"), augment="both")
    assert said(base, "own") == said(base, "own", folds=5, posterior=True) == ""
    wrong = [{"backbone": None}, {"backbone": "efficientnet-lite0"}, {"backbone": str(tmp_path)},
             {"backbone": str(tmp_path / "no.pth")}, {"features": "f.npy"}, {"net": "medium"}, {"posterior": True}]
    assert [changes for changes in wrong if "--finetune" not in said(base, "own", **changes)
            and "needs --folds" not in said(base, "own", **changes)] == []


def test_a_folder_is_inside_itself_and_what_lies_below_or_leads_there(tmp_path, monkeypatch):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "photos" / "cat")
    (tmp_path / "table.csv").touch()
    monkeypatch.chdir(tmp_path)
    inside = ["photos", "photos/cat", "photos/runs/new", "link", "link/new", "runs/../photos/x",
              str(tmp_path / "photos")]
    assert [out for out in inside if not is_inside(out, "photos")] == []
    assert [out for out in ["runs", "photos2", ".", "photos/../x"] if is_inside(out, "photos")] == []
    assert not is_inside("table.csv/x", "table.csv") and not is_inside("x", "no-such")
    for data, test in (("photos", None), ("table.csv", "photos"), ("table.csv", "link")):
        config = OWN._replace(data=data, test=test, out=os.path.join("photos", "cat", "new"))
        text, remedy = said(config, "own"), outside(config.out, test or data)
        assert "into which nothing is written" in text and text.endswith(f"--out, for example {remedy}")
        assert said(config, "own", out=str(remedy)) == ""
    assert outside("photos/new", "photos") == Path(os.path.realpath(tmp_path)) / "runs" / "new"
    assert said(OWN._replace(data="table.csv"), "own", out="photos") == said(DIGITS, "digits", out="photos") == ""
