"""nets/head_file.py: a head comes back as it was saved, whatever its shape, and no other file is taken for one."""
import json

import numpy as np
import pytest
import safetensors
import safetensors.numpy

from core.errors import InputError
from nets import head_file, safetensors_file
from nets.head import Head, init, predict

BACKBONE = {"name": "resnet18", "file": "/w/resnet.pth", "sha256": "5e" * 32, "size": 224}
CLASSES = ("cat", "b;ee", "=dog\ud800")
ARCHS = [Head(5, 3, 0), Head(5, 3, 4), Head(3, 3, 0), Head(3, 3, 3), Head(1, 3, 1)]          # square ones too


def drawn(arch, seed=0):
    """(theta, mean, std): numbers that are all different."""
    rng = np.random.default_rng(seed)
    theta, _ = init(arch, rng)
    theta = {name: rng.standard_normal(array.shape).astype(np.float32) for name, array in theta.items()}
    return theta, *rng.uniform(0.5, 2, (2, arch.features)).astype(np.float32)


def saved(path, arch=ARCHS[1], backbone=BACKBONE, levels=None):
    head_file.save(path, *drawn(arch), CLASSES, backbone, levels)
    return path


@pytest.mark.parametrize("arch", ARCHS, ids=str)
@pytest.mark.parametrize("backbone", [None, BACKBONE], ids=["of another program", "of a backbone"])
@pytest.mark.parametrize("levels", [None, {1: (0.0, 4095.0)}, {2: (-1.5, 2.0), 1: (7.0, 65535.0)}], ids=str)
def test_every_entry_comes_back(tmp_path, arch, backbone, levels):
    found = safetensors_file.load(saved(tmp_path / "m.safetensors", arch, backbone, levels))
    theta, mean, std = drawn(arch)
    assert (found.arch, found.classes, found.backbone, found.running) == (arch, CLASSES, backbone, {})
    assert found.levels == (levels or {})
    assert found.theta.keys() == theta.keys() and all((found.theta[name] == theta[name]).all() for name in theta)
    assert all(array.flags.c_contiguous for array in found.theta.values())
    assert (found.mean == mean).all() and (found.std == std).all()


@pytest.mark.parametrize("arch", ARCHS[:2], ids=str)
def test_the_tensors_of_the_file_are_those_of_pytorchs_layers(tmp_path, arch):
    """logits = weight x + bias, of each layer as torch.nn.Linear has it."""
    theta, mean, std = drawn(arch)
    features = np.random.default_rng(1).standard_normal((7, arch.features)).astype(np.float32)
    with safetensors.safe_open(saved(tmp_path / "m.safetensors", arch), "np") as file:
        there, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()
    x = (features - there["mean"]) / there["std"]
    if arch.hidden:
        x = np.maximum(x @ there["hidden.weight"].T + there["hidden.bias"], 0)
    ours = predict(theta, {}, (features - mean) / std, arch)
    assert x @ there["linear.weight"].T + there["linear.bias"] == pytest.approx(ours, abs=1e-5)
    assert about["format"] == "pt" and about["input"] == "(N, D) float32: (features - mean) / std"


def test_the_same_head_is_the_same_file(tmp_path):
    files = {saved(tmp_path / f"{k}", levels={1: (0.0, 1.0)}).read_bytes() for k in range(20)}
    assert len(files) == 1


# ---- other files -----------------------------------------------------------------------------------------------------

def tensor(name, change):
    return lambda tensors, about: tensors.update({name: np.ascontiguousarray(change(tensors[name]))})


def entry(name, value):
    return lambda tensors, about: about.update({name: value})


def backbone(**changes):
    return entry("backbone", json.dumps({**BACKBONE, **changes}))


NAMES = ("hidden.weight", "hidden.bias", "linear.weight", "linear.bias", "mean", "std")
OTHERS = {
    **{f"{name} missing": lambda tensors, about, name=name: tensors.pop(name) for name in NAMES},
    **{f"{name} in float64": tensor(name, lambda a: a.astype(np.float64)) for name in NAMES},
    **{f"{name} shorter": tensor(name, lambda a: a[:-1]) for name in NAMES},
    **{f"{name} of one more dimension": tensor(name, lambda a: a[..., None]) for name in NAMES},
    **{f"{name} nan": tensor(name, lambda a: a * np.nan) for name in NAMES},
    **{f"{name} infinite": tensor(name, lambda a: a / np.float32(0)) for name in NAMES},
    "weights transposed": tensor("hidden.weight", lambda a: a.T),
    "one more tensor": lambda tensors, about: tensors.update(more=np.zeros(1, np.float32)),
    "a deviation of 0": tensor("std", lambda a: a * np.float32([1, 1, 0, 1, 1])),
    "a negative deviation": tensor("std", lambda a: a * np.float32([1, 1, -1, 1, 1])),
    "other classes": entry("classes", '["a", "b"]'), "no backbone": lambda tensors, about: about.pop("backbone"),
    "a backbone of text": entry("backbone", '"resnet18"'), "a backbone as a list": entry("backbone", "[]"),
    "a backbone without entries": entry("backbone", "{}"), "brackets": entry("backbone", "[" * 100_000),
    **{f"{name} of another type": backbone(**{name: None}) for name in BACKBONE}, "one more entry": backbone(x=1),
    "a size that is true": backbone(size=True), "levels of text": entry("levels", '"x"'),
    "levels of an unknown kind": entry("levels", "[[3, 0, 1]]"), "levels of kind 0": entry("levels", "[[0, 0, 1]]"),
    "infinite levels": entry("levels", "[[1, 0, Infinity]]"), "levels nan": entry("levels", "[[1, NaN, 1]]"),
    "half a level": entry("levels", "[[1, 0]]"), "levels that are no numbers": entry("levels", '[[1, "a", 1]]'),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_file_is_one_sentence(tmp_path, name):
    with safetensors.safe_open(saved(tmp_path / "m.safetensors"), "np") as file:
        tensors, about = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()
    assert set(tensors) == set(NAMES)
    with np.errstate(all="ignore"):
        OTHERS[name](tensors, about)
    (tmp_path / "m.safetensors").write_bytes(safetensors.numpy.save(tensors, about))
    with pytest.raises(InputError, match="^.*m.safetensors is damaged or no network of this program: copy it again"):
        safetensors_file.load(tmp_path / "m.safetensors")
