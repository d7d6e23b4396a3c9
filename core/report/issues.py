"""What became of the labels, as tables for people and for other programs.

    label_issues.csv       every image, the most suspicious first       corrected_labels.csv   the labels to go on with
    label_studio.json      the suspicious images, to be decided on in Label Studio

N images, C classes, P (N, C) their probabilities.
"""
import hashlib
import json
import os
from pathlib import Path
from urllib.parse import quote

import numpy as np

from core import quality
from core.data import clothing1m
from core.data.archive import archive_of
from core.data.csv_cells import csv_text
from core.files import save_text


def save_issues(folder, classes, split, given, suggested, P):
    """label_issues.csv: one line for each image of the Split, by rising label_score.

    Class names instead of numbers; the columns path, true_label and agreement are there where paths, any true labels
    and votes are known.
    """
    rows, names = quality.most_suspicious_first(P, given), np.array(classes, object)
    p_given, p_suggested = (six_digits(quality.self_confidence(P, labels)) for labels in (given, suggested))
    columns = {"index": split.index, "path": split.paths, "given_label": names[given],
               "suggested_label": names[suggested],
               "true_label": None if split.truth is None else np.where(split.truth >= 0, names[split.truth], ""),
               "is_label_issue": quality.is_label_issue(given, suggested), "label_score": p_given,
               "p_given": p_given, "p_suggested": p_suggested, "margin": six_digits(quality.margin(P, given)),
               "agreement": None if split.agreement is None else six_digits(split.agreement)}
    columns = {name: column for name, column in columns.items() if column is not None}
    lines = zip(*(column[rows].tolist() for column in columns.values()))
    save_text(folder / "label_issues.csv", readable(csv_text([list(columns), *lines])))


def save_corrected(folder, classes, split, corrected, source):
    """corrected_labels.csv: `path,label`, or `index,label` where the images are no files, in the order of the source.

    Paths are absolute, so that the table can be read from anywhere;
    `source` is the folder or the table that they came from.
    """
    images = split.index.tolist() if split.paths is None else absolute(split.paths, source)
    rows = zip(images, (classes[c] for c in corrected))
    save_text(folder / "corrected_labels.csv",
              readable(csv_text([["index" if split.paths is None else "path", "label"], *rows])))


def save_tasks(folder, result, source):
    """label_studio.json: each suspicious image of a core.run.Result as a task with the suggested label,
    the most suspicious first.

    Images have the addresses that the local storage of Label Studio gives to files, counted from the root of the disk.
    """
    given, P, names = result.given, result.verdict.probs, result.classes
    p_given, p_suggested = (six_digits(quality.self_confidence(P, labels)) for labels in (given, result.suggested))
    files = absolute(result.paths, source)
    rows = (row for row in quality.most_suspicious_first(P, given) if given[row] != result.suggested[row])
    tasks = [{"data": {"image": "/data/local-files/?d=" + quote(files[row].lstrip("/"), errors="surrogateescape"),
                       "index": int(result.index[row]), "given_label": names[given[row]], "label_score": p_given[row]},
              "predictions": [{"score": p_suggested[row], "result": [choice(names[result.suggested[row]])]}]}
              for row in rows]
    save_text(folder / "label_studio.json", "[" + ",\n".join(map(json.dumps, tasks)) + "]\n")


def choice(label):
    """A class as Label Studio writes that it was chosen; docs/own-data.md has the interface with these names."""
    return {"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [label]}}


def absolute(paths, source):
    """The paths of files that are relative to a folder or an archive, or to the folder of a table."""
    root = root_of(source)
    return [Path(root, path).as_posix() for path in paths]


def root_of(source):
    """The absolute path that paths of files are relative to; source: --data."""
    if clothing1m.is_clothing1m(source):
        return os.path.abspath(clothing1m.root_of(source))
    return os.path.abspath(source if os.path.isdir(source) or archive_of(source) else Path(source).parent)


def folder_of_files(paths, source):
    """The folder that the paths are relative to if some of the files are there, else None."""
    if paths is None or len(paths) == 0:
        return None
    root = root_of(source)
    some = paths[::-(-len(paths) // 20)]
    return root if any(os.path.isfile(os.path.join(root, path)) for path in some) else None


def six_digits(numbers):
    """(N,) numbers of six digits: float32 has no more"""
    return np.array([float(f"{number:.6g}") for number in numbers])


def readable(text):
    """The text without what UTF-8 cannot express: names of files need not be text."""
    return text.encode("utf-8", "backslashreplace").decode()


def run_identity(classes, index, given, suggested):
    """A name for a run by which its decisions are known again: 12 hexadecimal digits of what they are about."""
    digest = hashlib.sha256(json.dumps(list(classes)).encode())
    for array in (index, given, suggested):
        digest.update(np.ascontiguousarray(array, "<i8"))
    return digest.hexdigest()[:12]
