"""manifest.json: what each file of a run folder is, how its numbers are defined,
and by which checksum it is known again.

N training images, C classes.
"""
import json

import numpy as np

from core.errors import InputError
from core.files import force, load_json, save_text, sha256
from core.report.config import read_config, read_places

WHAT = {
    "config.json": "every setting and version",
    "log.jsonl": "a JSON object for each epoch",
    "classes.txt": "names of the C classes, one a line: the columns of (N, C) arrays, the numbers of labels",
    "index.npy": "row of each image in its source: the column `index` of the tables",
    "given_labels.npy": "the labels that came with the images, or were made wrong on purpose",
    "true_labels.npy": "the true labels, -1 where nobody knows",
    "given_is_wrong.npy": "where the given label is known not to be the true one",
    "pred_probs.npy": "class probabilities of each image, defined below",
    "soft_labels.npy": "the label distributions that step 2 learnt from, defined below",
    "suggested_labels.npy": "the class of greatest weight in the soft labels",
    "corrected_labels.npy": "the suggested label where its probability is at least `sure`, else the given one",
    "noise_matrix.npy": "estimated probability of each given label (column) where the truth is the class of the row",
    "label_issues.csv": "every image, the most suspicious first",
    "corrected_labels.csv": "the corrected labels, by path, to be given to --data, or by index, to --noise labels",
    "label_studio.json": "the suspicious images as tasks for Label Studio, each with its suggested label",
    "model.safetensors": "the network of step 2 with the names and layouts of PyTorch, its mean image and class names",
    "model_step1.safetensors": "the same of the network of step 1, which made the labels",
    "weights.npz": "the same network with the names and layouts of this program",
    "report.html": "the run to look at, and its suspicious labels to decide on: open it in a browser",
    "curves.png": "accuracies over the epochs; without a truth, labels that changed as well",
    "losses.png": "the terms of the loss over the epochs",
    "confusion.png": "labels before and after, against the truth; given and suggested ones without it",
    "corrected.png": "the most confident corrections, if a label was corrected",
}
DEFINITIONS = {
    "suggested_label": "the class of greatest weight in the soft labels",
    "is_label_issue": "the suggested label is not the given one",
    "label_score": "self-confidence: p_given, the probability of the given label, in [0, 1]; low is suspicious",
    "margin": "p_given less the largest other entry of the row, in [-1, 1]; (margin + 1) / 2 is the normalized margin",
    "cells of tables": "text that begins with = + - @, a tab or a line break is written with an apostrophe "
                       "before it, so that no spreadsheet takes it for a formula",
}


def save_manifest(folder):
    """Write manifest.json for the files that are in the run folder now."""
    settings, environment = read_config(folder)
    files = {name: described(folder / name) for name in sorted(WHAT) if (folder / name).is_file()}
    if "log.jsonl" in files:
        force(folder / "log.jsonl")                          # all else is forced to the disk as it is written
    text = {"rows": "row i of every (N, ...) array is the image index[i] of the source",
            "files": files,
            "definitions": {"pred_probs": probabilities(settings), **by_soft_labels(settings), **DEFINITIONS},
            "settings": settings, "paths": read_places(folder), "environment": environment}
    save_text(folder / "manifest.json", json.dumps(text, indent=2) + "\n")


def described(path):
    """What a file is, its checksum, and the shape and type of an array."""
    about = {"what": WHAT[path.name], "bytes": path.stat().st_size, "sha256": sha256(path)}
    if path.suffix == ".npy":
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        about |= {"shape": list(array.shape), "dtype": array.dtype.name}
    return about


def by_soft_labels(settings):
    """What the soft labels of a run are, and what follows from them or from pred_probs."""
    if settings.get("posterior"):
        return {"soft_labels": "the posterior of the true class given image and given label, from pred_probs and "
                               "given_labels with the temperature in summary.json and noise_matrix "
                               "(core/posterior.py)",
                "p_given, p_suggested": "entries of soft_labels",
                "noise_matrix": "of maximum likelihood, together with the temperature"}
    return {"soft_labels": "the label distributions that step 1 ended with",
            "p_given, p_suggested": "entries of pred_probs",
            "noise_matrix": "from the confident joint of given_labels and pred_probs, calibrated to the numbers of "
                            "given labels"}


def probabilities(settings):
    """What the pred_probs of a run are."""
    recipe, folds = settings["recipe"], settings.get("folds")
    if folds:
        seen = settings.get("features") or settings.get("backbone") and not settings.get("finetune")     # by a head
        what, step = ("step 1", 1) if seen else ("the whole method", 2)
        return (f"out-of-sample: {folds} trainings of {what}, each on all folds but one, "
                f"and the network of step {step} on the images of that one, not augmented")
    seen = {"training": "the training pass (augmented images, statistics of the batch)",
            "evaluation": "an evaluation pass (images as they are, running statistics)"}[recipe["predict"]]
    return (f"NOT out-of-sample: mean over the last {min(recipe['K'], recipe['epochs'])} epochs of step 1 of "
            "the network's softmax "
            f"in {seen}. The network was trained on these images, on their given labels for the first "
            f"{recipe['begin']} epochs, and "
            "may have learnt some wrong ones by heart; --folds gives out-of-sample probabilities")


def checked(folder, name):
    """The path of a file of a complete run that has the checksum which the manifest gives. InputError for any other."""
    try:
        expected = load_json(folder / "manifest.json")["files"][name]["sha256"]
    except PermissionError as error:
        raise InputError(f"{error.filename} cannot be read, {error.strerror}: check its permissions") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder} has no manifest.json that knows {name}: give the folder of a finished run, or "
                         f"finish this one: demo.py resume {folder}") from None
    try:
        found = sha256(folder / name)
    except OSError as error:
        raise InputError(f"{folder / name} cannot be read, {error.strerror}: copy it again") from None
    if found != expected:
        raise InputError(f"{folder / name} is damaged, its checksum is not that of manifest.json: "
                         "copy it again, or train again")
    return folder / name
