"""A saved network is used as it was trained: its mean, its statistics, its size and weights, each image its own row."""
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from core.data import backbone, resnet_weights
from core.errors import InputError
from core.use import networks
from nets import head, preact_resnet, safetensors_file
from nets.efficientnet_lite import NAME
from nets.head import Head
from nets.head_file import TrainedHead
from nets.preact_resnet import Architecture
from nets.resnet import MEAN
from tests.lib.deep_images import png
from tests.lib.small_net import drawn

CLASSES, D, S, N = ("a", "b", "c"), 3, 8, 12
LEVELS = {1: (0.0, 1000.0)}
PIXELS = np.random.default_rng(0).integers(0, 256, (N, S, S, 3), np.uint8)


def softmax(z):
    s = np.exp(z - z.max(axis=1, keepdims=True))
    return s / s.sum(axis=1, keepdims=True)


def on_images(levels=None):
    """A network on images, and what it makes of pixels by the definition."""
    arch = Architecture(len(CLASSES), (8, 8), (1, 1))
    theta, running = drawn(arch, dtype=np.float32)
    mean = np.random.default_rng(1).random((S, S, 3)).astype(np.float32)
    network = safetensors_file.Trained(arch, theta, running, mean, CLASSES, levels)
    return network, lambda pixels: softmax(preact_resnet.predict(theta, running, pixels / np.float32(255) - mean, arch))


def on_features(about=None, levels=None):
    """A head, and what it makes of features by the definition."""
    rng, arch = np.random.default_rng(2), Head(D, len(CLASSES))
    theta = {"linear.w": rng.standard_normal((D, 3)).astype(np.float32), "linear.b": np.float32([0.1, 0.2, 0.3])}
    mean, std = rng.random((2, D)).astype(np.float32) + 1
    network = TrainedHead(arch, theta, {}, mean, std, CLASSES, about, levels)
    return network, lambda x: softmax(head.predict(theta, {}, (x - mean) / std, arch))


def test_a_network_on_images_sees_them_less_the_mean_of_its_training():
    network, expected = on_images(LEVELS)
    found = networks.ready(network, 5)
    assert found[:3] == (CLASSES, (S, S, 3), None) and found.of_features is None
    assert (found.size, found.levels, found.jobs, found.resample) == (S, LEVELS, 5, "LANCZOS")
    for n in (0, 1, N):
        assert found.of_pixels(PIXELS[:n]) == pytest.approx(expected(PIXELS[:n]), abs=1e-5)


def test_weights_of_a_pretrained_network_are_for_a_run_on_its_features():
    for network in (on_images()[0], on_features()[0]):
        with pytest.raises(InputError, match="the run did not learn from features of a pretrained network"):
            networks.ready(network, 1, "w.safetensors")


def test_files_are_decoded_at_its_size_and_levels_and_what_cannot_be_read_has_no_row(tmp_path):
    network, expected = on_images(LEVELS)
    files, good = [], [k for k in range(N) if k % 4 != 1]
    for k in range(N):
        files.append(tmp_path / f"{k}.png")
        Image.fromarray(PIXELS[k]).save(files[-1]) if k in good else files[-1].write_text("no image")
    (tmp_path / "deep.png").write_bytes(png(np.full((S, S, 3), 500, np.uint16)))
    [(probs, reasons)] = networks.ready(network, 1).of_files([*files, tmp_path / "deep.png"])
    assert [reason is None for reason in reasons] == [k in good for k in range(N)] + [True]
    assert probs[:-1] == pytest.approx(expected(PIXELS[good]), abs=1e-5)
    grey = [expected(np.full((1, S, S, 3), value, np.uint8)) for value in (127, 128)]
    assert any(probs[-1:] == pytest.approx(one, abs=1e-5) for one in grey)


def test_a_head_sees_features_as_the_training_standardised_them():
    network, expected = on_features()
    found = networks.ready(network, 2)
    x = np.random.default_rng(3).random((N, D)).astype(np.float32)
    assert found[:5] == (CLASSES, None, D, None, None) and found.size is None
    assert found.of_features(x) == pytest.approx(expected(x), abs=1e-5)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Two files of weights, and a pretrained network whose features of an image are its first pixel; its calls."""
    calls = []
    for name in ("package.pth", "own.pth"):
        (tmp_path / name).touch()

    def features(images, size, views, jobs, file):
        calls.append((size, views, jobs, file))
        return backbone.Features(np.float32(images[None, :, 0, 0, :]) / 256, {}, [])

    def file_features(root, paths, size, views, jobs, file, levels):
        calls.append((root, size, views, jobs, file, levels))
        rows = np.array([int(Path(path).stem) for path in paths])
        reasons = {row: f"why {row}" for row in range(len(rows)) if row % 3 == 1}
        return backbone.Features(np.float32(PIXELS[None, rows, 0, 0, :]) / 256, reasons, [])

    for name, function in (("features", features), ("file_features", file_features),
                           ("digest_of", lambda path: f"sha of {path.name}"),
                           ("weights", lambda: tmp_path / "package.pth")):
        monkeypatch.setattr(backbone, name, function)
    return calls


def about(tmp_path, name="net", file="own.pth", sha="own.pth"):
    return {"name": name, "file": str(tmp_path / file), "sha256": f"sha of {sha}", "size": 64}


def test_a_head_on_a_pretrained_network_sees_its_features_of_each_image(tmp_path, weights):
    network, expected = on_features(about(tmp_path), LEVELS)
    found = networks.ready(network, 4)
    assert found[:3] == (CLASSES, None, None) and found.of_features is None
    assert (found.size, found.levels, found.jobs, found.resample) == (64, LEVELS, 4, "BICUBIC")
    x = np.float32(PIXELS[:, 0, 0, :]) / 256
    assert found.of_pixels(PIXELS[::-1]) == pytest.approx(expected(x[::-1]), abs=1e-5)
    order = np.random.default_rng(4).permutation(N)
    [(probs, reasons)] = found.of_files([f"{k}.png" for k in order])
    assert reasons == [f"why {row}" if row % 3 == 1 else None for row in range(N)]
    assert probs == pytest.approx(expected(x[[k for row, k in enumerate(order) if row % 3 != 1]]), abs=1e-5)
    path = tmp_path / "own.pth"
    assert weights == [(64, 1, 4, path), (Path(), 64, 1, 4, path, LEVELS)]


def test_the_weights_are_those_that_the_run_learnt_with_wherever_they_are(tmp_path, weights):
    own, package = tmp_path / "own.pth", tmp_path / "package.pth"
    assert networks.weights_of(about(tmp_path)) == own
    assert networks.weights_of(about(tmp_path, NAME, "own.pth", "package.pth")) == package
    assert networks.weights_of(about(tmp_path, sha="package.pth"), NAME) == package
    moved = own.rename(tmp_path / "moved.pth")
    assert networks.weights_of(about(tmp_path, sha="moved.pth"), str(moved)) == moved
    for given, why in ((None, "are no longer at .*own.pth: name their file with --backbone"),
                       (str(moved), "moved.pth has not the weights of net that the run learnt with"),
                       (NAME, "package.pth has not the weights of net that")):
        with pytest.raises(InputError, match=why):
            networks.weights_of(about(tmp_path), given)


def test_a_network_that_was_trained_on_sees_images_less_the_mean_of_its_weights():
    class Other:
        size = 5
    mean = networks.mean_of(Other)
    assert mean.shape == (5, 5, 3) and mean.dtype == np.float32 and (mean == MEAN.astype(np.float32)).all()
    assert networks.levels_of(Other) is None


@pytest.mark.parametrize("shape, good", [((1, 1, 3), True), ((512, 512, 3), True), ((513, 513, 3), False),
                                         ((8, 7, 3), False), ((8, 8, 1), False), ((0, 0, 3), False)])
def test_a_file_whose_mean_is_no_image_is_damaged(tmp_path, monkeypatch, shape, good):
    network = on_images()[0]._replace(mean=np.zeros(shape, np.float32))
    monkeypatch.setattr(safetensors_file, "load", lambda path: network)
    if good:
        assert networks.load(tmp_path) is network
    else:
        with pytest.raises(InputError, match="is damaged or no network of this program"):
            networks.load(tmp_path)
    save_file({"w": np.zeros(1)}, tmp_path / "resnet.safetensors", {"network": "resnet", "size": "9"})
    save_file({"w": np.zeros(1)}, tmp_path / "other.safetensors", {"network": "other"})
    monkeypatch.setattr(resnet_weights, "load_finetuned", lambda path, about: (path, about))
    assert networks.load(tmp_path / "resnet.safetensors") == (
        tmp_path / "resnet.safetensors", {"network": "resnet", "size": "9"})
    of_head, _ = on_features()
    monkeypatch.setattr(safetensors_file, "load", lambda path: of_head)
    assert networks.load(tmp_path) is networks.load(tmp_path / "other.safetensors") is of_head
