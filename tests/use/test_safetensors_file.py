"""The network in a safetensors file: the same bits come back, PyTorch gives the same logits,
and no other file is taken for one."""
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from core.errors import InputError
from core.layers import BATCHNORM_EPS
from nets import preact_resnet
from nets import safetensors_file as export
from nets.preact_resnet import Architecture
from tests.lib.small_net import drawn

ARCH = Architecture(classes=3, widths=(4, 5, 6), blocks=(2, 1, 2))
CLASSES = ("cat", "=dog\ud800", "ünion,\n")


def network():
    theta, running = drawn(ARCH, dtype=np.float32)
    return theta, running, np.random.default_rng(5).random((9, 8, 3)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    theta, running, mean = network()
    export.save(tmp_path / "model.safetensors", {**theta, **running}, mean, CLASSES, 77)
    return tmp_path / "model.safetensors"


def test_the_same_bits_come_back(path):
    theta, running, mean = network()
    found = export.load(path)
    assert found.arch == ARCH and found.classes == CLASSES
    for ours, theirs in ((theta, found.theta), (running, found.running), ({"mean": mean}, {"mean": found.mean})):
        assert list(ours) == list(theirs)
        assert all(ours[name].tobytes() == theirs[name].tobytes() and ours[name].shape == theirs[name].shape
                   for name in ours)


@pytest.mark.parametrize("levels", [None, {1: (0.0, 4095.0)}, {2: (-1.5, 2.0), 1: (7.0, 65535.0)}], ids=str)
def test_what_was_black_and_white_in_training_comes_back(tmp_path, levels):
    theta, running, mean = network()
    export.save(tmp_path / "m.safetensors", {**theta, **running}, mean, CLASSES, 77, levels)
    assert export.load(tmp_path / "m.safetensors").levels == (levels or {})


def test_the_names_are_those_of_pytorch(path):
    tensors = load(path.read_bytes())
    assert {"conv1.weight", "layer1.0.bn1.weight", "layer1.0.bn1.bias", "layer1.0.bn1.running_mean",
            "layer1.0.bn1.running_var",
            "layer1.0.bn1.num_batches_tracked", "layer1.0.shortcut.0.weight", "layer1.1.conv2.weight", "bn.running_var",
            "linear.weight", "linear.bias", "mean"} <= set(tensors)
    assert tensors["layer2.0.conv1.weight"].shape == (5, 4, 3, 3) and tensors["linear.weight"].shape == (3, 6)
    assert tensors["mean"].shape == (3, 9, 8) and tensors["bn.num_batches_tracked"] == 77


def test_pytorch_gives_the_same_logits(path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    from tests.lib.torch_net import Net
    pixels = np.random.default_rng(6).integers(0, 256, (7, 9, 8, 3), np.uint8)
    net = Net(load_file(path)).double().eval()
    with torch.no_grad():
        theirs = net(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy()
    found = export.load(path)
    theta, running = ({name: a.astype(np.float64) for name, a in arrays.items()}
                      for arrays in (found.theta, found.running))
    x = pixels / 255 - found.mean.astype(np.float64)
    ours = preact_resnet.predict(theta, running, x, found.arch)
    assert np.abs(ours - theirs).max() < 1e-12 * np.abs(theirs).max()


def test_the_same_network_is_the_same_file(path):
    """The library itself writes the metadata in another order each time."""
    theta, running, mean = network()
    first = path.read_bytes()
    for _ in range(20):
        export.save(path, {**theta, **running}, mean, CLASSES, 77)
        assert path.read_bytes() == first


def test_another_reader_finds_metadata_and_tensors(path):
    from safetensors import safe_open
    with safe_open(path, "np") as file:
        about, names = file.metadata(), set(file.keys())
    assert tuple(json.loads(about["classes"])) == CLASSES and about["format"] == "pt"
    assert float(about["batchnorm_eps"]) == BATCHNORM_EPS
    assert names == set(load(path.read_bytes())) and (8 + int.from_bytes(path.read_bytes()[:8], "little")) % 8 == 0


def without(tensors, name):
    del tensors[name]


WRONG = {
    "no mean": lambda t: without(t, "mean"),
    "a layer missing": lambda t: without(t, "layer1.1.bn2.bias"),
    "no layers": lambda t: [without(t, name) for name in list(t) if name.startswith("layer1")],
    "another shape": lambda t: t.update({"layer1.0.bn1.weight": np.ones(5, np.float32)}),
    "another type": lambda t: t.update({"linear.bias": np.zeros(3)}),
    "not a number": lambda t: t.update({"linear.bias": np.full(3, np.nan, np.float32)}),
    "another number of classes": lambda t: t.update({"linear.weight": np.zeros((4, 6), np.float32)}),
    "a mean of one colour": lambda t: t.update({"mean": np.zeros((1, 9, 8), np.float32)}),
    "a mean outside of 0 to 1": lambda t: t.update({"mean": np.full((3, 9, 8), 2, np.float32)}),
    "a negative variance": lambda t: t.update({"bn.running_var": -t["bn.running_var"]}),
    "a huge empty layer": lambda t: t.update({"layer1.0.conv1.weight": np.zeros((2**40, 0, 3, 3), np.float32)}),
}


@pytest.mark.parametrize("name", WRONG)
def test_another_network_is_one_sentence(path, name):
    tensors = dict(load(path.read_bytes()))
    WRONG[name](tensors)
    path.write_bytes(save(tensors, {"classes": json.dumps(CLASSES)}))
    with pytest.raises(InputError, match="model.safetensors is damaged or no network"):
        export.load(path)


@pytest.mark.parametrize("metadata", [None, {"classes": "3"}, {"classes": "[1, 2, 3]"}, {"classes": "[[[["},
                                      {"classes": "[]"}, {"classes": '["a", "a", "b"]'},
                                      {"classes": json.dumps(["a", "b", "c" * 1000])}])
def test_a_file_without_class_names_is_one_sentence(path, metadata):
    path.write_bytes(save(dict(load(path.read_bytes())), metadata))
    with pytest.raises(InputError, match="damaged"):
        export.load(path)


def test_a_file_that_is_not_there_or_too_large_is_one_sentence(path, monkeypatch):
    with pytest.raises(InputError, match="cannot be read"):
        export.load(path.parent / "none.safetensors")
    monkeypatch.setattr(export, "LARGEST", 1000)
    with pytest.raises(InputError, match="damaged"):
        export.load(path)


@settings(max_examples=100)
@given(st.data())
def test_changed_bytes_are_a_network_or_one_sentence(path, data):
    """Safetensors has no checksum: a changed weight is another network (the manifest's checksum tells it from the one
    saved)."""
    raw = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(raw[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.one_of(st.integers(0, header - 1), st.integers(0, len(raw) - 1)))
        raw[place] = data.draw(st.integers(0, 255))
    other = path.with_name("changed.safetensors")
    other.write_bytes(raw[:data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw))))])
    try:
        found = export.load(other)
    except InputError as error:
        assert "changed.safetensors is damaged" in str(error)
    else:
        assert found.arch == ARCH and len(found.classes) == 3
