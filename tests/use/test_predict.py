"""The classifier at work: the network, the size and the mean image of the training, on files, folders and arrays."""
import csv
import json

import numpy as np
import pytest
from PIL import Image

from core.data.csv_cells import plain
from core.errors import InputError
from core.report import manifest
from core.use import predict
from nets import preact_resnet
from nets import safetensors_file as export
from nets.preact_resnet import Architecture
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


def test_nothing_is_written_among_the_images_of_the_training(run, tmp_path, pixels):
    np.save(tmp_path / "images.npy", pixels)
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"settings": {}, "paths": {"data": str(tmp_path / "photos")}}))
    with pytest.raises(InputError, match="predictions.csv is inside the images of the run"):
        predict.predict([tmp_path / "images.npy"], run, tmp_path / "photos" / "cat")
    assert list((tmp_path / "photos" / "cat").iterdir()) == []


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
