"""--backbone FILE with --finetune: all weights of a ResNet trained, saved by torchvision's names, and used."""
import csv
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from core.batches import augmented, unaugmented
from core.data import resnet_weights
from core.errors import InputError
from core.recipes import RECIPES, Recipe
from core.run import Config, commands, options, run
from core.run.inputs import read_data
from core.run.network import network_of
from core.run.seen import with_features
from core.run.task import shown_by
from core.use import networks
from core.use.predict import predict
from nets import resnet
from nets.resnet_fast_memory import fast_training_bytes
from tests.lib.own_data import picture, write_folder, write_image
from tests.lib.small_resnet import tensors

RECIPE = Recipe(lr=1e-3, alpha=1.2, beta=0.4, epochs=2, begin=1, K=2, lr2=1e-3, epochs2=1, drops2=(1,), batch=4,
                decay=1e-3)
SIZE = 32


@pytest.fixture(autouse=True)
def small(no_pictures, monkeypatch):
    """A ResNet of one block in each stage, under the name of ResNet-18; no pictures."""
    monkeypatch.setitem(resnet.BLOCKS, 18, ((1, 1, 1, 1), False))


@pytest.fixture
def case(tmp_path):
    """The Config of a run on eight photographs, and the tensors of its weights."""
    found = tensors(resnet.architecture(18, 7))
    save_file(found, tmp_path / "w.safetensors")
    rng = np.random.default_rng(0)
    for k in range(8):
        write_image(tmp_path / "photos" / "ab"[k % 2] / f"{k}.png", rng.integers(0, 256, (40, 40, 3), np.uint8))
    return Config(RECIPE, data=str(tmp_path / "photos"), noise="none", rate=None, net="resnet", finetune=True, ranks=1,
                  backbone=str(tmp_path / "w.safetensors"), size=SIZE, augment="flip", out=str(tmp_path / "r")), found


def test_the_memory_of_a_step_is_said_before_it_is_taken_by_each_process_for_its_share(case):
    config, _ = case
    data = with_features(config, read_data(config)).data
    for rank, ranks, share in ((0, 1, 4), (0, 2, 2), (0, 3, 2), (1, 3, 2)):
        said = []
        arch, _ = network_of(config, data, np, SimpleNamespace(rank=rank, size=ranks), said.append)
        assert arch == resnet_weights.read(config.backbone)[0]._replace(classes=2)
        needed = f"{fast_training_bytes(arch, SIZE, share) / 1e9:.1f} GB for a training step of {share} images"
        each = f", in each of {ranks} processes" if ranks > 1 else ""
        assert said == [f"memory   {needed}{each}, without the images"] * (rank == 0)


def test_training_begins_with_the_weights_of_the_file_and_moves_them_all(case, tmp_path):
    config, before = case
    result = run(config._replace(recipe=RECIPE._replace(lr=1e-12, lr2=1e-12, decay=0)))
    assert result.weights["linear.w"].shape == (512, 2)
    there = resnet_weights.expected(resnet.architecture(18, 2))
    for name, array in result.weights.items():
        if not name.startswith("linear"):
            assert np.abs(resnet_weights.layout_there(array) - before[there[name][0]]).max() < 1e-6, name
    moved = run(config._replace(out=str(tmp_path / "moved")))
    still = [name for name in moved.weights if np.array_equal(moved.weights[name], result.weights[name])]
    assert still == [name for name in moved.weights if name.endswith((".mean", ".var"))]       # frozen statistics


def test_images_are_shown_as_torchvision_shows_them(case):
    config, _ = case
    data = with_features(config, read_data(config)).data
    shown = shown_by(data)(data.train)
    expected = data.train.images / 255 - np.array([0.485, 0.456, 0.406])
    assert data.train.images.shape == (8, SIZE, SIZE, 3)
    assert np.abs(unaugmented(shown, slice(None)) - expected).max() < 1e-6
    flipped = augmented(shown, np.arange(8), 0, 0)
    same = [np.abs(flipped[k] - expected[k]).max() < 1e-6 for k in range(8)]
    mirrored = [np.abs(flipped[k] - expected[k, :, ::-1]).max() < 1e-6 for k in range(8)]
    assert all(a or b for a, b in zip(same, mirrored)) and any(same) and any(mirrored)


def test_the_saved_network_has_torchvisions_names_and_predict_uses_it(case, tmp_path):
    config, before = case
    result = run(config)
    saved = load_file(tmp_path / "r" / "model.safetensors")
    assert saved.keys() == {name for name in before if not name.endswith("num_batches_tracked")}
    arch, theta, running = resnet_weights.read(tmp_path / "r" / "model.safetensors")
    assert all(np.array_equal(theta[name], result.weights[name]) for name in theta)
    np.save(tmp_path / "x.npy", result.images)
    predict([tmp_path / "x.npy"], tmp_path / "r")
    with open(tmp_path / "r" / "predictions.csv", newline="") as file:
        _, *rows = csv.reader(file)
    z = resnet.predict(theta, running, resnet.centred(result.images), arch)
    s = np.exp(z - z.max(axis=1, keepdims=True))
    assert np.abs(np.array([row[3:] for row in rows], float) - s / s.sum(1, keepdims=True)).max() < 1e-5


def test_predict_shows_images_of_many_bits_as_the_training_did(case, tmp_path):
    """A dark image alone is not made bright."""
    config, _ = case
    for k, path in enumerate(sorted((tmp_path / "photos").glob("?/*.png"))):
        Image.fromarray(picture(k, 40, 40)[..., 0].astype(np.uint16) * (1 + 15 * (k % 2))).save(path)
    run(config)
    assert networks.load(tmp_path / "r" / "model.safetensors").levels == {1: (0, 4095)}


def test_features_of_a_file_of_weights_are_those_of_its_network(case):
    config, _ = case
    config = config._replace(finetune=False, net="linear", augment="none")
    from core.run.inputs import open_source
    source = open_source(config.data)
    data = with_features(config, read_data(config, source)).data
    arch, theta, running = resnet_weights.read(config.backbone)
    large = read_data(config._replace(finetune=True, net="resnet")).data.train.images      # Lanczos, not bicubic
    near = resnet.features(theta, running, resnet.centred(large), arch)
    found = data.train.features[:, 0]
    assert found.shape == (8, 512) and data.backbone["name"] == "resnet18"
    assert np.corrcoef(found.ravel(), near.ravel())[0, 1] > 0.9


def asked(*words):
    return options.configuration(commands.parse(["run", *map(str, words)]))


def test_the_papers_recipe_is_the_usual_one(case, tmp_path):
    config, _ = case
    found = asked("--data", config.data, "--backbone", config.backbone, "--finetune")
    assert (found.net, found.folds, found.posterior, found.augment) == ("resnet", None, False, "flip")
    paper = RECIPES["clothing1m"]
    assert (found.recipe.alpha, found.recipe.decay, found.recipe.prior) == (paper.alpha, paper.decay, "given")


@pytest.mark.parametrize("words, why", [
    (("--finetune",), "name the file of its weights"),
    (("--finetune", "--backbone", "efficientnet-lite0"), "name the file of its weights"),
    (("--finetune", "--backbone", "missing.pth"), "name the file of its weights"),
    (("--finetune", "--backbone", "W", "--net", "small"), "leave out --net"),
    (("--finetune", "--backbone", "W", "--features", "f.npy"), "leave out --features"),
])
def test_options_that_do_not_go_with_it_are_refused(tmp_path, words, why):
    (tmp_path / "w.pth").write_bytes(b"")
    write_folder(tmp_path / "data")
    words = [str(tmp_path / "w.pth") if word == "W" else word for word in words]
    with pytest.raises(InputError, match=why):
        asked("--data", tmp_path / "data", *words)
