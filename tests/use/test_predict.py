"""The classifier at work: the network, the size and the mean image of the training, on files, folders and arrays."""
import csv
import io
import json
import os
import pickle
import tempfile
from zipfile import ZipFile, ZipInfo

import numpy as np
import pytest
from PIL import Image

from core.data.csv_cells import plain
from core.data.images import decode
from core.errors import InputError
from core.report import manifest
from core.use import predict
from core.use.networks import Ready
from nets import preact_resnet
from nets import safetensors_file as export
from nets.preact_resnet import Architecture
from tests.lib.deep_images import png
from tests.lib.power import full_disk
from tests.lib.small_net import drawn

ARCH, CLASSES = Architecture(3, (16, 16), (1, 1)), ("cat", "=dog", "bird, small")


@pytest.fixture(scope="module")
def network():
    theta, running = drawn(ARCH, dtype=np.float32)
    return theta, running, np.random.default_rng(1).random((8, 8, 3)).astype(np.float32)


@pytest.fixture
def run(tmp_path, network):
    """A run folder with what is needed of one."""
    folder = tmp_path / "run"
    folder.mkdir()
    theta, running, mean = network
    export.save(folder / "model.safetensors", {**theta, **running}, mean, CLASSES, 1)
    about = {"files": {"model.safetensors": manifest.described(folder / "model.safetensors")}}
    (folder / "manifest.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def pixels():
    return np.random.default_rng(2).integers(0, 256, (25, 8, 8, 3), np.uint8)


def expected(pixels, network):
    """softmax of the readable network's logits"""
    theta, running, mean = network
    z = preact_resnet.predict(theta, running, pixels.astype(np.float32) / 255 - mean, ARCH)
    s = np.exp(z - z.max(axis=1, keepdims=True))
    return s / s.sum(axis=1, keepdims=True)


def written(path):
    """({path: label}, probabilities (n, C)) of predictions.csv."""
    with open(path, newline="", encoding="utf-8") as file:
        head, *rows = [[plain(cell) for cell in row] for row in csv.reader(file)]
    assert head == ["path", "label", "probability", *(f"p({name})" for name in CLASSES)]
    probs = np.array([row[3:] for row in rows], float)
    assert [float(row[2]) for row in rows] == probs.max(axis=1).tolist()
    return {row[0]: row[1] for row in rows}, probs


def test_an_array(run, network, pixels, tmp_path):
    np.save(tmp_path / "images.npy", pixels)
    lines = predict.predict([tmp_path / "images.npy"], run)
    labels, probs = written(run / "predictions.csv")
    assert probs == pytest.approx(expected(pixels, network), abs=1e-5)
    assert labels == {str(i): CLASSES[c] for i, c in enumerate(expected(pixels, network).argmax(axis=1))}
    assert sum("%" in line for line in lines) == 20 and "... and 5 more" in lines and "predictions.csv" in lines[-1]
    assert [line.split("  ")[0] for line in lines[2:22]] == [*map(str, range(20))]
    assert all(CLASSES[row.argmax()] in line and f"{100 * row.max():.1f} %" in line
               for line, row in zip(lines[2:22], probs))


def test_a_folder_with_and_without_class_folders_and_single_files(run, network, pixels, tmp_path):
    names = ["b.png", "class/a.png", "class/deeper/é.png", "z.png"]
    for name, image in zip(names, pixels):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "in" / name)
    (tmp_path / "in" / ".hidden.png").write_bytes(b"x")
    (tmp_path / "in" / "notes.txt").write_text("no image")
    (tmp_path / "in" / "broken.jpg").write_text("no image either")
    lines = predict.predict([tmp_path / "in", tmp_path / "in" / "b.png"], run, tmp_path / "out")
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        assert [row[0] for row in csv.reader(file)][1:] == [str(tmp_path / "in" / name) for name in [*names, "b.png"]]
    _, probs = written(tmp_path / "out" / "predictions.csv")
    assert probs == pytest.approx(expected(pixels[[0, 1, 2, 3, 0]], network), abs=1e-5)
    assert [line for line in lines if "left out" in line] == [
        f"left out: {tmp_path / 'in' / 'broken.jpg'}: not an image of a known kind, or its beginning is damaged"]


def test_an_image_of_another_size_is_made_that_of_the_training(run, network, tmp_path):
    Image.new("L", (50, 30), 77).save(tmp_path / "grey.png")
    predict.predict([tmp_path / "grey.png"], run, tmp_path / "grey.csv")
    _, probs = written(tmp_path / "grey.csv")
    assert probs == pytest.approx(expected(np.full((1, 8, 8, 3), 77, np.uint8), network), abs=1e-5)


def test_a_long_array_is_classified_piece_by_piece(run, network, pixels, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "PIECE", 8)
    for n in (8, 24, 25):
        np.save(tmp_path / "images.npy", pixels[:n])
        predict.predict([tmp_path / "images.npy"], run)
        assert written(run / "predictions.csv")[1] == pytest.approx(expected(pixels[:n], network), abs=1e-5)


def in_archive(path, images, broken=()):
    """Write {name: bytes} in any order, and files between them that are no images."""
    with ZipFile(path, "w") as archive:
        names = [*images, *broken]
        for k in np.random.default_rng(3).permutation(len(names)):
            archive.writestr(names[k], images.get(names[k], b"no image"))


def as_png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return file.getvalue()


def test_images_in_an_archive_are_classified_by_their_names(run, network, pixels, tmp_path):
    """Whatever their order in it, and whatever cannot be read between them."""
    path = tmp_path / "new.zip"
    images = {f"{'bac'[k % 3]}/{k}.png": k for k in range(25)}
    broken = [f"{'bac'[k % 3]}/{k}x.jpg" for k in range(0, 25, 4)]
    in_archive(path, {name: as_png(pixels[k]) for name, k in images.items()}, [*broken, "../out.png"])
    with ZipFile(path, "a") as archive:
        link = ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "a/0.png")
    for inner in ("", "/a"):
        inside = f"{inner[1:]}/" if inner else ""
        names = sorted(name for name in images if name.startswith(inside))
        lines = predict.predict([f"{path}{inner}"], run, tmp_path / "predictions.csv")
        labels, probs = written(tmp_path / "predictions.csv")
        assert list(labels) == [f"{path}{inner}/{name.removeprefix(inside)}" for name in names]
        assert probs == pytest.approx(expected(pixels[[images[name] for name in names]], network), abs=1e-5)
        assert sorted(line.split(": ")[1] for line in lines if "left out" in line) == sorted(
            f"{path}{inner}/{name.removeprefix(inside)}" for name in [*broken, "../out.png", "link.png"]
            if name.startswith(inside))
    in_archive(path, {}, broken)
    with pytest.raises(InputError, match="no image to classify: .*x.jpg"):
        predict.predict([path], run, tmp_path / "predictions.csv")


def test_a_pretrained_network_is_given_many_images_of_an_archive_at_once(tmp_path, monkeypatch):
    """For each call it reads its weights and starts its processes anew."""
    monkeypatch.setattr(predict, "PIECE", 50)
    in_archive(tmp_path / "new.zip", {f"{k:03d}.png": as_png(np.full((8, 8, 3), k, np.uint8)) for k in range(120)})
    given = []
    network = Ready(CLASSES, None, None, "files", lambda pixels: given.append(pixels) or pixels[:, 0, 0], size=8)
    found = predict.classified(tmp_path / "new.zip", network)
    assert [len(pixels) >= 50 for pixels in given[:-1]] == [True] * (len(given) - 1) and len(given) <= 3
    assert found.probs[:, 0].tolist() == [*range(120)] and found.names[7].endswith("new.zip/007.png")


def test_images_in_an_archive_are_resized_and_scaled_as_files_are(tmp_path):
    images = {f"{k}.png": png(np.random.default_rng(k).integers(0, 900, (30, 40, 3), np.uint16)) for k in range(4)}
    in_archive(tmp_path / "new.zip", images)
    levels = {1: (0.0, 1000.0)}
    network = Ready(CLASSES, None, None, "files", lambda pixels: pixels.reshape(-1, 8 * 8 * 3)[:, :3], size=8,
                    levels=levels, resample="BICUBIC")
    found = predict.classified(tmp_path / "new.zip", network).probs
    as_files = [pixels for pixels, *_ in decode([images[name] for name in sorted(images)], 8, 1, levels, "BICUBIC")]
    assert np.array_equal(found, np.concatenate(as_files)[:, 0, 0])


def test_each_network_of_a_run_is_the_one_that_its_step_has_trained(run, network, pixels, tmp_path):
    np.save(tmp_path / "images.npy", pixels)
    first = {name: -array for name, array in network[0].items()}
    export.save(run / "model_step1.safetensors", {**first, **network[1]}, network[2], CLASSES, 1)
    about = {name: manifest.described(run / name) for name in ("model.safetensors", "model_step1.safetensors")}
    (run / "manifest.json").write_text(json.dumps({"files": about}))
    for step, theta in (("step2", network[0]), ("step1", first)):
        predict.predict([tmp_path / "images.npy"], run, file=predict.NETWORKS[step])
        assert written(run / "predictions.csv")[1] == pytest.approx(expected(pixels, (theta, *network[1:])), abs=1e-5)


class Planted:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_in_an_array_is_executed(run, tmp_path):
    (tmp_path / "images.npy").write_bytes(pickle.dumps(Planted(str(tmp_path / "executed"))))
    with pytest.raises(InputError, match="not an intact .npy file"):
        predict.predict([tmp_path / "images.npy"], run)
    assert not (tmp_path / "executed").exists()


def test_an_array_of_features_is_one_of_those_of_the_training(tmp_path):
    good = np.random.default_rng(4).random((5, 4)).astype(np.float32)
    network, path = Ready(CLASSES, None, 4, None, None, lambda features: features[:, :3]), tmp_path / "features.npy"
    for array in (good, good[:0], good.astype(np.float64), (9 * good).astype(np.int16)):
        np.save(path, array)
        found = predict.classified(path, network)
        assert np.array_equal(found.probs, array[:, :3]) and found.names == [*map(str, range(len(array)))]
    for wrong in (good[:, :3], good[:, :, None], good[0], good.astype(str), good * np.float32("nan"), good > 0.5):
        np.save(path, wrong)
        with pytest.raises(InputError, match=r"not an array of features as in the training: .*\(n, 4\)"):
            predict.classified(path, network)


def damage(run):
    raw = bytearray((run / "model.safetensors").read_bytes())
    raw[-9] ^= 16
    (run / "model.safetensors").write_bytes(raw)


def folder_of(root):
    (root / "images.npy").unlink()
    (root / "images.npy").mkdir()
    return root / "images.npy"


MISTAKES = {
    "no such run": (lambda run, root: run.rename(root / "moved"), "run is not a folder: .*--from"),
    "not a run": (lambda run, root: (run / "manifest.json").unlink(), "run has no manifest.json .*demo.py resume"),
    "weights gone": (lambda run, root: (run / "model.safetensors").unlink(), "model.safetensors cannot be read"),
    "weights damaged": (lambda run, root: damage(run), "model.safetensors is damaged, its checksum"),
    "no such image": (lambda run, root: (root / "images.npy").unlink(), "images.npy does not exist"),
    "another size": (lambda run, root: np.save(root / "images.npy", np.zeros((2, 9, 9, 3), np.uint8)),
                     r"shape \(n, 8, 8, 3\)"),
    "another type": (lambda run, root: np.save(root / "images.npy", np.zeros((2, 8, 8, 3))), "as uint8"),
    "a pickle": (lambda run, root: np.save(root / "images.npy", np.array([{}])), "not an intact .npy file"),
    "no images": (lambda run, root: np.save(root / "images.npy", np.zeros((0, 8, 8, 3), np.uint8)),
                  "no image to classify"),
    "an empty folder": (lambda run, root: folder_of(root), "images.npy has no images"),
    "not an image": (lambda run, root: (folder_of(root) / "a.png").write_text("x"),
                     "no image to classify: .*a.png: not an image"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence(run, tmp_path, pixels, name):
    np.save(tmp_path / "images.npy", pixels)
    mistake, sentence = MISTAKES[name]
    mistake(run, tmp_path)
    with pytest.raises(InputError, match=sentence):
        predict.predict([tmp_path / "images.npy"], run, tmp_path)
    assert not list(tmp_path.glob("*.csv"))


def test_predictions_are_replaced_only_as_this_run_wrote_them(run, tmp_path, pixels):
    """Not those of a person, nor of another network."""
    np.save(tmp_path / "images.npy", pixels)
    for _ in range(2):
        predict.predict([tmp_path / "images.npy"], run)
    for place in (run, tmp_path):
        (place / "predictions.csv").write_text("edited, or of another run")
        with pytest.raises(InputError, match="predictions.csv was not written by `predict` from this run, or was"):
            predict.predict([tmp_path / "images.npy"], run, place)
        assert (place / "predictions.csv").read_text() == "edited, or of another run"


def test_an_error_while_writing_leaves_the_old_table(run, tmp_path, pixels, monkeypatch):
    np.save(tmp_path / "images.npy", pixels)
    predict.predict([tmp_path / "images.npy"], run)
    before = {path: path.read_bytes() for path in run.iterdir()}
    np.save(tmp_path / "images.npy", pixels[:3])
    with monkeypatch.context() as patch, pytest.raises(InputError, match="the disk is full"):
        patch.setattr(os, "replace", full_disk)
        predict.predict([tmp_path / "images.npy"], run)
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_nothing_is_written_among_the_images_of_the_training(run, tmp_path, pixels):
    np.save(tmp_path / "images.npy", pixels)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"settings": {}, "paths": {"data": str(tmp_path / "photos")}}))
    with pytest.raises(InputError, match="predictions.csv is inside the images of the run"):
        predict.predict([tmp_path / "images.npy"], run, tmp_path / "photos" / "cat")
    assert list((tmp_path / "photos" / "cat").iterdir()) == []
    with pytest.raises(InputError, match="predictions.csv is inside the images of the run"):
        predict.predict([tmp_path / "images.npy"], run, tmp_path / "photos" / "new")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat"], "no folder is made there, either"


def test_a_place_that_cannot_be_written_is_told_before_any_image_is_classified(run, tmp_path, monkeypatch, pixels):
    np.save(tmp_path / "images.npy", pixels)
    monkeypatch.setattr(predict, "classified", None)
    monkeypatch.setattr(tempfile, "TemporaryFile", full_disk)
    with pytest.raises(InputError, match="cannot write .*new: the disk is full"):
        predict.predict([tmp_path / "images.npy"], run, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def resealed(run, theta, mean, classes=CLASSES):
    """The run's model replaced, with its checksum."""
    export.save(run / "model.safetensors", theta, mean, classes, 1)
    about = {"files": {"model.safetensors": manifest.described(run / "model.safetensors")}}
    (run / "manifest.json").write_text(json.dumps(about))


@pytest.mark.parametrize("shape", [(8, 7, 3), (600, 600, 3), (0, 0, 3)])
def test_a_model_whose_images_have_another_shape_is_one_sentence(run, tmp_path, network, pixels, shape):
    np.save(tmp_path / "images.npy", pixels)
    resealed(run, {**network[0], **network[1]}, np.zeros(shape, np.float32))
    with pytest.raises(InputError, match="model.safetensors is damaged or no network of this program"):
        predict.predict([tmp_path / "images.npy"], run)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_model_that_predicts_no_numbers_is_one_sentence(run, tmp_path, network, pixels):
    np.save(tmp_path / "images.npy", pixels)
    theta = {name: np.full_like(array, 1e38) for name, array in network[0].items()}
    resealed(run, {**theta, **network[1]}, network[2])
    with pytest.raises(InputError, match="model.safetensors is damaged or no network of this program"):
        predict.predict([tmp_path / "images.npy"], run)


def test_no_name_of_a_class_moves_the_cursor_of_the_terminal(run, tmp_path, network, pixels):
    np.save(tmp_path / "images.npy", pixels)
    resealed(run, {**network[0], **network[1]}, network[2], ("\x1b[2J", "\x1b]0;x\x07", "a\rb"))
    text = "\n".join(predict.predict([tmp_path / "images.npy"], run))
    assert text.replace("\n", "").isprintable() and "\\u00" in text


def test_no_other_file_is_replaced(run, tmp_path, pixels):
    np.save(tmp_path / "images.npy", pixels)
    (tmp_path / "mine.csv").write_text("mine")
    with pytest.raises(InputError, match="mine.csv is already there"):
        predict.predict([tmp_path / "images.npy"], run, tmp_path / "mine.csv")
    with pytest.raises(InputError, match="cannot write"):
        predict.predict([tmp_path / "images.npy"], run, tmp_path / "mine.csv" / "folder")
    assert (tmp_path / "mine.csv").read_text() == "mine"
