"""True labels of some or all images, from a file: by path or by row, and -1 for those that nobody knows."""
import os
import re
from collections import Counter

import numpy as np

from core.data import clothing1m
from core.data.class_names import is_missing
from core.data.columns import columns, has_paths
from core.data.folder import SUFFIXES
from core.data.label_files import decode, is_array, read_array, read_rows
from core.data.listing import class_name
from core.data.named_labels import choose, divided, several
from core.data.places import located
from core.errors import InputError, need

NOTHING = "knows no true label: check that it is the right file"


def read_truth(path, listing, classes):
    """(rows,) int64, the true class of each row of the listing's source, -1 where the file does not say.

    .npy, or FILE:NAME (core/data/named_labels.py): a whole number for each row, -1 for unknown. Text: a table with the
    columns path and label, or lines `index,label`, for any of the images; or one label in each line, as many as there
    are rows. In text, labels are class names throughout or numbers throughout, and empty or -1 where unknown. Raises
    InputError.
    """
    if clothing1m.is_labels(path):
        return clothing1m.truth(path, listing, classes)
    path, name = divided(str(path))
    named = name is not None or path.is_file() and several(path)
    if named or is_array(path):
        truth = choose(path, name)[0] if named else read_array(path, (listing.rows,), "iu", "whole numbers")
        need(len(truth) == listing.rows, f"{path} has {len(truth)} labels for {listing.rows} images: give those of "
                                         "these images")
        wrong = np.flatnonzero(~np.isin(truth, np.arange(-1, len(classes))))
        for row in wrong[:1]:
            raise InputError(f"{path}, row {row}: {truth[row]} is no label: "
                             f"use 0 to {len(classes) - 1}, or -1 for unknown")
        need((truth != -1).any(), f"{path} {NOTHING}")
        return truth.astype(np.int64)
    truth = np.full(listing.rows, -1)
    entries = from_paths(path, listing) if has_paths(path) else from_rows(path, listing.rows)
    entries = [(line, row, same_class(label, classes)) for line, row, label in entries]
    known = [(line, row, label) for line, row, label in entries if row is not None and label not in ("", "-1")]
    for (line, row, _), c in zip(known, decode([(line, label) for line, _, label in known], classes, path)):
        need(truth[row] in (-1, c), f"{path}, line {line} gives a second true label to one image: keep one of them")
        truth[row] = c
    need(known, f"{path} {NOTHING}")
    return truth


def from_paths(path, listing):
    """[(line, row, label)] of a table of paths, relative to the data; row None for an image that is left out.

    Raises InputError for a path that is not among the images.
    """
    row_of = dict.fromkeys(finding.path for finding in listing.findings) | dict(zip(listing.paths, listing.index))
    named, entries = by_name(listing), []
    for line, file, label in columns(path).lines:
        spelt = file if file in row_of else located(listing.root, file)
        row = row_of[spelt] if spelt in row_of else named.get(name_of(file), -1)
        need(row != -1, f"{path}, line {line}: {file!r:.200} is not among the images: "
                        "write paths as the data's table "
             "does, or relative to the folder that holds the classes")
        entries.append((line, row, class_name(label)))
    return entries


def by_name(listing):
    """{name of a file without folder and ending: row}, of those that no other image shares."""
    names = [name_of(path) for path in listing.paths]
    counts = Counter(names)
    found = {name: row for name, row in zip(names, listing.index) if counts[name] == 1}
    missing = (finding.path for finding in listing.findings if finding.kind in ("missing", "unknown", "unreadable"))
    return {**{name_of(path): None for path in missing}, **found}


def name_of(file):
    """The name of a file without its folder, on any system, and without the ending of an image."""
    stem, suffix = os.path.splitext(re.split(r"[/\\]", file)[-1])
    return stem if suffix.lower() in SUFFIXES else stem + suffix


def same_class(label, classes):
    """A label of the truth as the data have it: `1.0` where there is a class `1`, nothing for `nan`."""
    if label in classes:
        return label
    whole = re.fullmatch(r"(-?\d{1,18})\.0+", label)
    return "" if is_missing(label) else whole[1] if whole else label


def from_rows(path, rows):
    """[(line, row, label)] of lines `index,label` or `label`. Raises InputError for other lines."""
    lines = read_rows(path)
    if lines and [cell.lower() for cell in lines[0][1]] in (["label"], ["index", "label"]):
        lines = lines[1:]
    width = len(lines[0][1]) if lines else 1
    for line, cells in lines:
        need(len(cells) == width <= 2, f"{path}, line {line} has {len(cells)} columns: "
                                       "write `label` or `index,label` in every "
             "line, or a header that names the columns path and label")
    need(width == 2 or len(lines) == rows,
         f"{path} has {len(lines)} labels for {rows} images: write one for each, or `index,label`")
    row_of, entries = {str(row): row for row in range(rows)}, []
    for number, (line, cells) in enumerate(lines):
        index = cells[0] if width == 2 else str(number)
        need(index in row_of, f"{path}, line {line}: index {index!r:.60} is not in 0 to {rows - 1}: correct it")
        entries.append((line, row_of[index], class_name(cells[-1])))
    return entries
