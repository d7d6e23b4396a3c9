"""core/data/resnet_weights.py: weights by the names of three libraries, and one sentence for any other file."""
import json

import numpy as np
import pytest
import safetensors.numpy

from core.data import resnet_weights
from core.errors import InputError
from nets import resnet
from nets.resnet import architecture
from tests.lib.fuzzing import damaged
from tests.lib.small_resnet import tensors, transformers_name
from tests.lib.torch_files import described, zip_file

DEPTHS = (18, 34, 50)


def blank(arch):
    """{torchvision's name: zeros}"""
    return {name: np.zeros(shape, np.float32) for name, shape in resnet_weights.expected(arch).values()}


def fewer(names):
    """Without the linear layer, and without `resnet.`: as ResNetModel has them."""
    return {name.removeprefix("resnet."): a for name, a in names.items() if not name.startswith("classifier.")}


LIBRARIES = {"torchvision, timm": dict,
             "transformers": lambda found: {transformers_name(name): a for name, a in found.items()},
             "DataParallel": lambda found: {f"module.{name}": a for name, a in found.items()}}
FORMATS = {"pth": lambda found: zip_file(*described(found)), "safetensors": safetensors.numpy.save}


@pytest.fixture(scope="module")
def resnet18():
    return tensors(architecture(18, classes=6))


@pytest.mark.parametrize("depth", [18, *(pytest.param(depth, marks=pytest.mark.thorough) for depth in (34, 50))])
@pytest.mark.parametrize("library", LIBRARIES)
def test_depth_and_classes_are_seen_from_names_and_shapes(depth, library):
    given = blank(architecture(depth, classes=6))
    arch, theta, running = resnet_weights.parameters(LIBRARIES[library](given))
    assert arch == architecture(depth, 6, frozen=True)
    fresh_theta, fresh_running = resnet.init(arch, np.random.default_rng(0))
    for found, fresh in ((theta, fresh_theta), (running, fresh_running)):
        assert {name: (a.shape, a.dtype) for name, a in found.items()} == {
            name: (a.shape, a.dtype) for name, a in fresh.items()}
        assert list(found) == list(fresh) and all(a.flags.c_contiguous for a in found.values())


@pytest.mark.parametrize("form", FORMATS)
def test_arrays_of_a_file_are_those_that_were_saved(tmp_path, resnet18, form):
    path = tmp_path / "weights"
    path.write_bytes(FORMATS[form](resnet18))
    arch, theta, running = resnet_weights.read(path, frozen=False)
    assert arch == architecture(18, 6)
    assert (theta["conv"][2, 5, 1, 7] == resnet18["conv1.weight"][7, 1, 2, 5]).all()
    assert (theta["stage3.block0.projection"] == resnet18["layer3.0.downsample.0.weight"].transpose(2, 3, 1, 0)).all()
    assert (theta["stage3.block0.bn_projection.beta"] == resnet18["layer3.0.downsample.1.bias"]).all()
    assert (theta["stage2.block1.bn2.gamma"] == resnet18["layer2.1.bn2.weight"]).all()
    assert (running["stage4.block1.bn1.mean"] == resnet18["layer4.1.bn1.running_mean"]).all()
    assert (running["bn.var"] == resnet18["bn1.running_var"]).all()
    assert (theta["linear.w"] == resnet18["fc.weight"].T).all() and (theta["linear.b"] == resnet18["fc.bias"]).all()


LEVELS = {2: (-1.5, 2.0), 1: (7.0, 65535.0)}


def test_what_is_saved_has_torchvisions_names_and_comes_back_as_it_was(tmp_path, resnet18, monkeypatch):
    arch, theta, running = resnet_weights.parameters(resnet18)
    path, classes = tmp_path / "model.safetensors", tuple("zebra cat émeu 7 dog ant".split())
    resnet_weights.save(path, theta | running, classes, 48, LEVELS)
    saved = safetensors.numpy.load_file(path)
    assert saved.keys() == {name for name in resnet18 if not name.endswith("num_batches_tracked")}
    assert all((array == resnet18[name]).all() for name, array in saved.items())
    with safetensors.safe_open(path, "np") as file:
        about = file.metadata()
    found = resnet_weights.load_finetuned(path, about)
    assert (found.arch, found.size, found.classes) == (architecture(18, 6, frozen=True), 48, classes)
    assert found.levels == LEVELS
    for before, after in ((theta, found.theta), (running, found.running)):
        assert before.keys() == after.keys() and all((after[name] == before[name]).all() for name in before)
    monkeypatch.setattr(resnet_weights, "read", lambda path: (arch, theta, running))       # once is enough
    for size in (8, 512):
        assert resnet_weights.load_finetuned(path, about | {"size": str(size)}).size == size
    for other in ({"size": "7"}, {"size": "513"}, {"size": "x"}, {"classes": json.dumps(classes[:5])}, {"classes": "["},
                  {"classes": '"abcdef"'}, {"classes": "[1, 2, 3, 4, 5, 6]"}, {"classes": json.dumps([*classes, "b"])},
                  {"levels": "[[3, 0, 1]]"}, {"levels": "[1]"}):
        with pytest.raises(InputError, match="model.safetensors is damaged or no network of this program"):
            resnet_weights.load_finetuned(path, about | other)
    with pytest.raises(InputError, match="is damaged or no network of this program"):
        resnet_weights.load_finetuned(path, {})


def test_every_tensor_has_a_place_of_its_own():
    given = blank(architecture(50, classes=6))
    for number, name in enumerate(given):
        given[name] = np.full(given[name].shape, number, np.float32)
    _, theta, running = resnet_weights.parameters(given)
    found = {float(a.flat[0]): a.shape for a in (*theta.values(), *running.values())}
    assert len(found) == len(theta) + len(running) == len(given)
    hub = {transformers_name(name): a for name, a in given.items()}
    assert len(hub) == len(given)
    _, theirs, _ = resnet_weights.parameters(hub)
    assert all((theirs[name] == theta[name]).all() for name in theta)


@pytest.mark.parametrize("drop", [lambda found: {name: a for name, a in found.items() if not name.startswith("fc.")},
                                  lambda found: fewer(LIBRARIES["transformers"](found))],
                         ids=["torchvision", "transformers"])
def test_weights_without_a_linear_layer_have_no_classes(resnet18, drop):
    arch, theta, running = resnet_weights.parameters(drop(resnet18))
    assert arch == architecture(18, 0, frozen=True) and theta["linear.w"].shape == (512, 0)
    x = np.zeros((1, 32, 32, 3), np.float32)
    assert resnet.features(theta, running, x, arch).shape == (1, 512)
    assert resnet.predict(theta, running, x, arch).shape == (1, 0)


def test_half_precision_becomes_float32(resnet18):
    half = {name: a.astype(np.float16) if a.dtype.kind == "f" else a for name, a in resnet18.items()}
    _, theta, _ = resnet_weights.parameters(half)
    assert theta["conv"].dtype == np.float32 and np.allclose(theta["conv"].transpose(3, 2, 0, 1),
                                                             resnet18["conv1.weight"], rtol=1e-3, atol=1e-6)


# ---- files that are none -------------------------------------------------------------------------------------------

def without(*names):
    return lambda found: {name: a for name, a in found.items() if name not in names}


def changed(name, change):
    return lambda found: found | {name: change(found[name])}


FAULTS = {
    "missing": (without("conv1.weight", "layer2.0.bn1.bias"), "lacks conv1.weight, layer2.0.bn1.bias: give"),
    "many missing": (lambda found: {name: a for name, a in found.items() if "layer4" not in name},
                     r"lacks layer4.0.conv1.weight, layer4.0.bn1.weight, layer4.0.bn1.bias and 22 others: give"),
    "surplus": (lambda found: found | {"layer1.0.se.fc1.weight": np.zeros(3)}, "has besides layer1.0.se.fc1.weight:"),
    "shape": (changed("conv1.weight", lambda w: w[:, :, :3, :3]),
              r"has in another shape conv1.weight \(64, 3, 3, 3\), not \(64, 3, 7, 7\): give"),
    "half a linear layer": (without("fc.weight"), r"lacks fc.weight; has in another shape fc.bias \(6,\), not \(0,\)"),
    "one linear number": (changed("fc.weight", lambda w: w[0, 0]), r"fc.weight \(\), not \(0, 512\)"),
    "whole numbers": (changed("bn1.weight", lambda a: a.astype(int)), "numbers in bn1.weight that are no weights"),
    "nan": (changed("layer1.1.conv2.weight", lambda w: w * np.nan), "numbers in layer1.1.conv2.weight"),
    "variance": (changed("layer1.1.bn2.running_var", lambda a: -a), "numbers in layer1.1.bn2.running_var"),
    "nothing": (lambda found: {}, "lacks conv1.weight, bn1.weight, bn1.bias and 97 others"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_other_tensors_are_one_sentence(resnet18, fault):
    change, words = FAULTS[fault]
    with pytest.raises(InputError, match=f"^w.pth has (no weights of ResNet-18, .*)?{words}") as caught:
        resnet_weights.parameters(change(resnet18), "w.pth")
    assert "\n" not in str(caught.value) and ("ResNet-18" in str(caught.value) or "download" in str(caught.value))


def test_wide_resnets_are_told_by_their_shapes():
    wide = blank(architecture(50)._replace(widths=(128, 256, 512, 1024)))
    with pytest.raises(InputError, match=r"ResNet-50, .* has in another shape .* and \d+ others: give"):
        resnet_weights.parameters(wide)


def test_deeper_resnets_are_told_by_their_names():
    deeper = blank(architecture(50)._replace(blocks=(3, 4, 23, 3)))
    with pytest.raises(InputError, match=r"ResNet-50, .* has besides layer3.6.conv1.weight, .* and 252 others: give"):
        resnet_weights.parameters(deeper)


def test_long_names_are_cut(resnet18):
    with pytest.raises(InputError) as caught:
        resnet_weights.parameters(resnet18 | {"x" * 9999: np.zeros(1)})
    assert len(str(caught.value)) < 1000


def test_damaged_files_give_weights_or_one_sentence(tmp_path):
    """Of a network with few channels: what reads the file does not know how large it should be."""
    small = tensors(architecture(18, classes=2)._replace(widths=(2, 2, 2, 2)))
    files, outcomes = [form(small) for form in FORMATS.values()], set()
    for case in range(300):
        rng = np.random.default_rng([5, case])
        path = tmp_path / "w.pth"
        path.write_bytes(damaged(files[case % 2], files, rng))
        with pytest.raises(InputError) as caught:
            resnet_weights.read(path)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
        outcomes.add("ResNet" in str(caught.value))
    assert outcomes == {False, True}


def test_damaged_tensors_give_weights_or_one_sentence(resnet18):
    read = 0
    for case in range(150):
        rng = np.random.default_rng([6, case])
        found = {name: a for name, a in resnet18.items() if a.ndim}
        for _ in range(rng.integers(1, 4)):
            name = list(found)[rng.integers(len(found))]
            change = [lambda: found.pop(name), lambda: found.update({name: found[name][:1]}),
                      lambda: found.update({name[:-1]: found[name]}), lambda: found.update({name: found[name].T}),
                      lambda: found.update({name: found[name] * 1e30}), lambda: found.update({"": np.zeros(0)}),
                      lambda: found.update({name: np.zeros((0,) * 9)})]
            change[rng.integers(len(change))]()
        try:
            resnet_weights.parameters(found)
            read += 1
        except InputError as error:
            assert "\n" not in str(error)
    assert 0 < read < 150
