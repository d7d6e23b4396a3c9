"""The trained network at work: classes with probabilities for images that it has not seen.

n images, C classes, S pixels to the side of the training images.
"""
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.batches import Images
from core.data.csv_cells import csv_text
from core.data.folder import SUFFIXES, walk
from core.data.images import decode
from core.data.listing import printable
from core.errors import InputError, need, pass_on
from core.files import disk_errors, save_text
from core.measure import predictions
from core.model import Model
from core.optim import Flat
from core.report import written
from core.report.console import aligned
from core.report.manifest import checked
from core.report.numbers import percent
from core.use.apply import check_outside
from nets import safetensors_file as export
from nets.families import on_processors

PIECE = 500                            # images in memory at a time
SHOWN = 20                             # lines of the table
NAME = "predictions.csv"


class Predicted(NamedTuple):
    """What the network says."""
    names: list                        # n texts: paths, or rows of an array
    probs: np.ndarray                  # (n, C) float32
    unread: list                       # (path, reason) of images that are left out


def predict(sources, run, out=None, jobs=1):
    """Classify the images of `sources` by the network of the folder `run`, write predictions.csv;
    the lines of a short table.

    sources: image files, folders of images with or without sub-folders, or .npy arrays (n, S, S, 3) uint8. out: a
    folder, or the name of a .csv file; None: the folder of the run. Raises InputError.
    """
    run = Path(run)
    need(os.path.isdir(run), f"{run} is not a folder: give the folder of a run with --from")
    network = export.load(checked(run, "model.safetensors"))
    side = len(network.mean)
    need(network.mean.shape == (side, side, 3) and 1 <= side <= 512, export.damaged(run / "model.safetensors"))
    path = target(run if out is None else Path(out), run)
    found = [classified(source, network, jobs) for source in map(Path, sources)]
    names, unread = [name for part in found for name in part.names], [lost for part in found for lost in part.unread]
    need(names, "there is no image to classify" + "".join(f": {name}: {reason}" for name, reason in unread[:1]))
    probs = np.concatenate([part.probs for part in found])
    need(np.isfinite(probs).all(), export.damaged(run / "model.safetensors"))
    save_text(path, listed(names, probs, network.classes))
    written.note(run, path)
    return [*table(names, probs, unread, network.classes), "",
            f"all {len(names)} with the probability of each class: {path}"]


def target(out, run):
    """The file to write: `out` itself if it is called .csv, else the file of the usual name in that folder,
    which is made. Raises InputError if a file would be replaced that was not written by the network of this run."""
    path = out if out.suffix.lower() == ".csv" else out / NAME
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        there, ours = os.path.lexists(path), written.is_noted(run, path)
    need(path.name == NAME or not there, f"{path} is already there: choose another file with --out")
    need(ours or not there, f"{path} was not written by `predict` from this run, or was changed since, and is never "
                            "replaced: choose another file with --out, or move it")
    check_outside(path, run)
    return path


# ---- the images ----------------------------------------------------------------------------------------------------

def classified(source, network, jobs):
    """Predicted of one file, folder or array.

    Raises InputError for a path without images, and for an array that does not fit the network.
    """
    classify = ready(network)
    if source.suffix.lower() == ".npy" and os.path.isfile(source):
        pixels = array(source, network.mean.shape)
        probs = [classify(np.array(pixels[k:k + PIECE])) for k in range(0, max(len(pixels), 1), PIECE)]
        return Predicted([str(row) for row in range(len(pixels))], np.concatenate(probs), [])
    files, unread = images(source)
    names, probs, waiting = [], [], iter(files)
    for pixels, shapes, reasons in decode(files, len(network.mean), jobs):
        probs.append(classify(pixels[shapes[:, 0] > 0]))
        for reason, name in zip(reasons, waiting):
            names.append(name) if reason is None else unread.append((name, reason))
    return Predicted(names, np.concatenate(probs), unread)


def ready(network):
    """pixels (n, S, S, 3) uint8 -> probabilities (n, C), as the training itself measures its network"""
    model = Model(on_processors(network.arch), network.arch, Flat(network.theta), Flat(network.running), None)
    return lambda pixels: predictions(model, Images(pixels, network.mean, 0, False))


def images(source):
    """([paths of the image files in a folder, sorted, or of the one file], [(path, reason) of what is left out]).

    Raises InputError if there are none, and for a path that does not exist.
    """
    need(os.path.exists(source), f"{printable(str(source))} does not exist: check the path")
    if not os.path.isdir(source):
        return [str(source)], []
    inside, _, findings = walk(source)
    inside += [finding.path for finding in findings if finding.kind == "beside"]      # images without a class folder
    need(inside, f"{source} has no images: their names end in {' '.join(sorted(SUFFIXES))}")
    left_out = [(str(source / f.path), f.detail) for f in findings if f.kind in ("link", "name", "unreadable")]
    return [str(source / path) for path in sorted(inside)], left_out


def array(path, shape):
    """The images in a .npy file, which stay on the disk. Raises InputError for a damaged or other array."""
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:         # a damaged file can raise nearly anything
        pass_on(error)
        raise InputError(f"{path} is not an intact .npy file ({type(error).__name__}): "
                         "save it again with numpy.save") from None
    need(isinstance(pixels, np.ndarray) and pixels.shape[1:] == shape and pixels.dtype == np.uint8,
         f"{path} is not an array of images as in the training: save it as uint8 of shape (n, "
         f"{', '.join(map(str, shape))})")
    return pixels


# ---- output --------------------------------------------------------------------------------------------------------

def table(names, probs, unread, classes):
    """Lines: path, class, probability of the first images; what could not be read."""
    rows = [(printable(name), printable(classes[row.argmax()]), percent(float(row.max())))
            for name, row in zip(names, probs[:SHOWN])]
    lost = [f"left out: {printable(name)}: {reason}" for name, reason in unread[:SHOWN]]
    return [*aligned([("image", "class", "probability"), *rows]),
            *[f"... and {len(names) - SHOWN} more"] * (len(names) > SHOWN),
            *lost, *[f"... and {len(unread) - SHOWN} more left out"] * (len(unread) > SHOWN)]


def listed(names, probs, classes):
    """predictions.csv: path, or row of the array; label; its probability; the probability of each class."""
    rows = ([name, classes[row.argmax()], *(float(f"{p:.6g}") for p in (row.max(), *row))]
            for name, row in zip(names, probs))
    text = csv_text([["path", "label", "probability", *(f"p({name})" for name in classes)], *rows])
    return text.encode("utf-8", "backslashreplace").decode()
