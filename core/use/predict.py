"""The trained network at work: classes with probabilities for images that it has not seen.

n images, C classes, S pixels to the side of the training images, D features.
"""
import os
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data.archive import Archive, archive_of, sorted_out
from core.data.csv_cells import csv_text
from core.data.folder import walk
from core.data.listing import printable
from core.data.nothing import check_any, nearest
from core.errors import InputError, need, pass_on
from core.files import check_writable, disk_errors, save_text
from core.report import written
from core.report.console import aligned
from core.report.manifest import checked
from core.report.numbers import percent
from core.use.apply import check_outside
from core.use.networks import load, ready
from nets.safetensors_file import damaged

PIECE = 500                            # images in memory at a time
SHOWN = 20                             # lines of the table
NAME = "predictions.csv"
NETWORKS = {"step1": "model_step1.safetensors", "step2": "model.safetensors"}
NAMED = ("link", "name", "unreadable", "ending", "foreign")        # findings: files that may have been meant


class Predicted(NamedTuple):
    """What the network says."""
    names: list                        # n texts: paths, or rows of an array
    probs: np.ndarray                  # (n, C) float32
    unread: list                       # (path, reason) of images that are left out


def predict(sources, run, out=None, jobs=1, backbone=None, file="model.safetensors"):
    """Classify the images of `sources` by the network of the folder `run`, write predictions.csv;
    the lines of a short table.

    sources: image files, folders or archives of images with or without sub-folders, or .npy arrays (n, S, S, 3) uint8;
    for a run on features of another program .npy arrays (n, D) of its features. out: a folder, or the name of a .csv
    file; None: the folder of the run. backbone: the file of the weights of the pretrained network, where it has moved.
    file: of NETWORKS. Raises InputError.
    """
    run = Path(run)
    need(os.path.isdir(run), f"{run} is not a folder: give the folder of a run with --from")
    network = ready(load(checked(run, file)), jobs, backbone)
    path = target(run if out is None else Path(out), run)
    found = [classified(source, network) for source in map(Path, sources)]
    names, unread = [name for part in found for name in part.names], [lost for part in found for lost in part.unread]
    need(names, "there is no image to classify" + "".join(f": {name}: {reason}" for name, reason in unread[:1]))
    probs = np.concatenate([part.probs for part in found])
    need(np.isfinite(probs).all(), damaged(run / file))
    save_text(path, listed(names, probs, network.classes))
    written.note(run, path)
    return [*table(names, probs, unread, network.classes), "",
            f"all {len(names)} with the probability of each class: {path}"]


def target(out, run):
    """The file to write: `out` itself if it is called .csv, else the file of the usual name in that folder,
    which is made. Raises InputError if a file would be replaced that was not written by the network of this run."""
    path = out if out.suffix.lower() == ".csv" else out / NAME
    check_outside(path, run)
    check_writable(path.parent)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        there, ours = os.path.lexists(path), written.is_noted(run, path)
    need(path.name == NAME or not there, f"{path} is already there: choose another file with --out")
    need(ours or not there, f"{path} was not written by `predict` from this run, or was changed since, and is never "
                            "replaced: choose another file with --out, or move it")
    return path


# ---- the images ----------------------------------------------------------------------------------------------------

def classified(source, network):
    """Predicted of one file, folder or array by a Ready network.

    Raises InputError for a path without images, and for an array that does not fit the network.
    """
    if source.suffix.lower() == ".npy" and os.path.isfile(source):
        rows, classify = array(source, network), network.of_features or network.of_pixels
        probs = [classify(np.array(rows[k:k + PIECE])) for k in range(0, max(len(rows), 1), PIECE)]
        return Predicted([str(row) for row in range(len(rows))], np.concatenate(probs), [])
    need(network.of_files, f"{printable(str(source))}: the run learnt from features of another program: give a .npy "
         "file of the features of new images, made by the same program")
    if inside := archive_of(source):
        return in_archive(*inside, network)
    files, unread = images(source)
    names, probs, waiting = [], [], iter(files)
    for found, reasons in network.of_files(files):
        probs.append(found)
        for reason, name in zip(reasons, waiting):
            names.append(name) if reason is None else unread.append((name, reason))
    return Predicted(names, np.concatenate(probs), unread)


def in_archive(path, inner, network):
    """Predicted of the images in an archive, or in a folder in it, with or without class folders, by a Ready network.

    Raises InputError for an archive that cannot be read.
    """
    archive, place = Archive(path), f"{path}/{inner}" if inner else path
    names, _, findings = sorted_out(archive.entries, inner)
    check_any(place, names, findings)
    found, unread = {}, [(f"{place}/{f.path}", f.detail) for f in findings if f.kind in NAMED]
    paths, archive.numbers = sorted(names), names
    pieces = archive.decode(paths, range(len(paths)), network.size, network.jobs, network.levels, network.resample)
    for rows, pixels, reasons in gathered(pieces):
        good = [k for k, reason in enumerate(reasons) if reason is None]
        found.update(zip([rows[k] for k in good], network.of_pixels(pixels[good])))
        unread += [(f"{place}/{paths[row]}", reason) for row, reason in zip(rows, reasons) if reason]
    probs = np.array([found[row] for row in sorted(found)], np.float32).reshape(-1, len(network.classes))
    return Predicted([f"{place}/{paths[row]}" for row in sorted(found)], probs, unread)


def gathered(pieces):
    """(rows, pixels, reasons) of the pieces that an archive decodes, of PIECE images or more together.

    A pretrained network begins anew for each, with its weights and its processes.
    """
    waiting = []
    for rows, pixels, _, reasons, _ in pieces:
        waiting.append((rows, pixels, reasons))
        if sum(len(rows) for rows, *_ in waiting) >= PIECE:
            yield together(waiting)
            waiting = []
    if waiting:
        yield together(waiting)


def together(pieces):
    """Pieces (rows, pixels, reasons) as one."""
    rows, pixels, reasons = zip(*pieces)
    return [*chain(*rows)], np.concatenate(pixels), [*chain(*reasons)]


def images(source):
    """([paths of the image files in a folder, sorted, or of the one file], [(path, reason) of what is left out]).

    Raises InputError if there are none, and for a path that does not exist.
    """
    if not os.path.exists(source):
        raise InputError(f"{printable(str(source))} does not exist{nearest(source)}: check the path")
    if not os.path.isdir(source):
        return [str(source)], []
    inside, _, findings = walk(source, follow=True)
    inside += [finding.path for finding in findings if finding.kind == "beside"]      # images without a class folder
    check_any(source, inside, findings)
    left_out = [(str(source / f.path), f.detail) for f in findings if f.kind in NAMED]
    return [str(source / path) for path in sorted(inside)], left_out


def array(path, network):
    """The images or features in a .npy file, which stay on the disk. Raises InputError for a damaged or other array."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:         # a damaged file can raise nearly anything
        pass_on(error)
        raise InputError(f"{path} is not an intact .npy file ({type(error).__name__}): "
                         "save it again with numpy.save") from None
    if network.of_features:
        D = network.features
        need(isinstance(found, np.ndarray) and found.shape[1:] == (D,) and found.dtype.kind in "fiu"
             and np.isfinite(found).all(),
             f"{path} is not an array of features as in the training: save finite numbers of shape (n, {D})")
        return found
    shape = network.shape or ("S", "S", 3)
    good = isinstance(found, np.ndarray) and found.ndim == 4 and found.dtype == np.uint8 and found.shape[3] == 3
    need(good and (network.shape is None or found.shape[1:] == shape),
         f"{path} is not an array of images as in the training: save it as uint8 of shape (n, "
         f"{', '.join(map(str, shape))})")
    return found


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
