"""The decisions of a person on the labels of a run, and the cleaned labels that follow from them.

decisions.csv, which report.html exports or a person writes,
has the columns `index,path,decision,label` and perhaps `run`:

    accept   the suggested label              change   the label in the last column
    reject   the given one                    remove   none: the image is left out

Path and label may be empty where the decision says enough. N images, C classes.
"""
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data.csv_cells import csv_text
from core.data.label_files import LARGEST, read_rows
from core.errors import InputError, need, pass_on
from core.files import disk_errors, is_inside, read_up_to, save_text
from core.report import written
from core.report.config import read_places
from core.report.issues import run_identity
from core.report.numbers import counted

COLUMNS = ["index", "path", "decision", "label"]
KINDS = ("accept", "reject", "change", "remove")
REMOVED = -1
OWN_NAME = "cleaned_labels.csv"


class Judged(NamedTuple):
    """What a run says of its labels."""
    classes: list                      # C names
    index: np.ndarray                  # (N,) row of each image in its source
    given: np.ndarray                  # (N,)
    suggested: np.ndarray              # (N,)
    paths: list                        # N names of files as the page shows them, or None
    files: list                        # N names as they are found from anywhere, or None


def clean(decisions, folder, out=None, undecided="given", force=False):
    """Write the cleaned labels of the run in `folder`: `path,label,checked`, or `index,label` where images are no
    files; checked: 1 where there is a decision, else 0. (path, sentence)

    Labels without a decision stay as they were given, or become the suggested ones for undecided="suggested". Default
    `out`: cleaned_labels.csv in the run folder. What `apply` wrote before is replaced with `force`, and nothing else
    ever. Raises InputError.
    """
    run = read_run(folder)
    decided = read_decisions(decisions, run)
    out = Path(folder, OWN_NAME) if out is None else Path(out)
    check_free(out, Path(decisions), Path(folder), force)
    check_outside(out, Path(folder))
    labels = {"given": run.given, "suggested": run.suggested}[undecided].copy()
    labels[list(decided)] = list(decided.values())
    keep = np.flatnonzero(labels != REMOVED)
    names = run.index.tolist() if run.files is None else run.files
    head, more = (["index", "label"], 0) if run.files is None else (["path", "label", "checked"], 1)
    save_text(out, csv_text([head, *([names[row], run.classes[labels[row]], *[int(row in decided)] * more]
                                     for row in keep.tolist())]))
    written.note(Path(folder), out)
    changed = int((labels != run.given)[keep].sum())
    made, kept, left_out = (counted(number, name) for number, name in (
        (len(decided), "decision"), (len(keep), "label"), (len(labels) - len(keep), "image")))
    return out, (f"{made}: {kept} written, {changed} of them not as given, {left_out} left out, "
                 f"{len(labels) - len(decided)} undecided as {undecided}")


# ---- the run -------------------------------------------------------------------------------------------------------

def read_run(folder):
    """The Judged labels in a run folder. Raises InputError."""
    need(os.path.isdir(folder), f"{folder} is not a folder: give the folder of a run with --from")
    index, given, suggested = (whole_numbers(Path(folder, f"{name}.npy"))
                               for name in ("index", "given_labels", "suggested_labels"))
    try:
        classes = read_up_to(Path(folder, "classes.txt"), LARGEST).decode().splitlines()
    except PermissionError as error:
        raise InputError(f"{error.filename} cannot be read, {error.strerror}: check its permissions") from None
    except (OSError, ValueError):
        raise InputError(f"{folder}/classes.txt cannot be read: "
                         "give the folder of a finished run with --from") from None
    labels = np.concatenate([given, suggested])
    need(len(index) == len(given) == len(suggested) == len(set(index.tolist())) and (index >= 0).all()
         and len(set(classes)) == len(classes) and ((labels >= 0) & (labels < len(classes))).all(),
         f"the files in {folder} do not fit together: give the folder of a finished run with --from")
    paths = read_paths(Path(folder), index)
    return Judged(classes, index, given, suggested, paths, paths and read_files(Path(folder), paths))


def whole_numbers(path):
    """The (N,) whole numbers in a .npy file of the run. Raises InputError if it is missing or damaged."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except PermissionError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check its permissions") from None
    except Exception as error:         # a damaged file can raise nearly anything
        pass_on(error)
        array = None
    need(isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in "iu",
         f"{path} is missing or damaged: give the folder of a finished run with --from")
    return np.array(array, np.int64)


def read_paths(folder, index):
    """The N paths in label_issues.csv; None where the images are no single files, or the table is not there."""
    names = dict(column_pairs(folder / "label_issues.csv", "index", "path"))
    found = [names.get(str(row), "") for row in index.tolist()]
    return found if all(found) else None


def read_files(folder, paths):
    """The N paths in corrected_labels.csv, which are absolute;
    the `paths` themselves where it does not belong to them."""
    found = [file for file, _ in column_pairs(folder / "corrected_labels.csv", "path", "label")]
    return found if len(found) == len(paths) and all(map(str.endswith, found, paths)) else paths


def column_pairs(path, first, second):
    """The cells of two columns of a table of the run, line by line; [] where there are no such columns."""
    (_, head), *rows = path.is_file() and read_rows(path) or [(1, [])]
    if first not in head or second not in head:
        return []
    a, b = head.index(first), head.index(second)
    return [(cells[a], cells[b]) for _, cells in rows if len(cells) == len(head)]


# ---- the decisions -------------------------------------------------------------------------------------------------

def first_line(path):
    """The first line of a text. Raises InputError if the file cannot be opened."""
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return file.readline(10_000)
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check its permissions") from error


def read_decisions(path, run):
    """{row of the run: label, or REMOVED} of a file of decisions. Raises InputError, which names the line."""
    need(os.path.isfile(path), f"{path} does not exist or is not a file: export the decisions from report.html; "
         "browsers save them in the download folder, as ~/Downloads/decisions.csv")
    delimiter = max(",;\t", key=first_line(path).count)      # as a spreadsheet of this country has saved it
    (_, head), *lines = read_rows(Path(path), delimiter) or [(1, [])]
    need([cell.lower() for cell in head[:4]] == COLUMNS,
         f"{path} does not begin with the line {','.join(COLUMNS)}: export the decisions from report.html as they are")
    own = run_identity(run.classes, run.index, run.given, run.suggested)
    rows = {str(i): row for row, i in enumerate(run.index.tolist())}
    lines_of, decided = {}, {}
    for line, cells in lines:
        index, file, kind, label, other = [*cells, *[""] * 5][:5]
        where = f"{path}, line {line}"
        need(other in ("", own), f"{where}: this decision was made for another run: "
                                 "give the folder of that one with --from")
        need(index in rows, f"{where}: there is no image {index!r:.60} in this run: "
                            "give the run of these decisions with --from")
        need(index not in lines_of, f"{where}: image {index} is decided in line {lines_of.get(index)} "
                                    "already: keep one of the two")
        row = rows[index]
        need(not file or run.paths is None or file == run.paths[row].strip(),
             f"{where}: image {index} of this run is not {file!r:.200}: give the run of these decisions with --from")
        lines_of[index], decided[row] = line, decision(run, row, kind.lower(), label, where)
    return decided


def decision(run, row, kind, label, where):
    """The label, or REMOVED, that one line decides on. Raises InputError for an unknown decision or class."""
    need(kind in KINDS, f"{where}: {kind!r:.60} is no decision: write one of {', '.join(KINDS)}")
    if kind == "remove":
        return REMOVED
    need(label in run.classes or (kind != "change" and not label),
         f"{where}: {label!r:.60} is no class of this run: write one of those in its classes.txt")
    meant = {"accept": run.suggested[row], "reject": run.given[row]}.get(kind, run.classes.index(label)
                                                                         if label else None)
    need(not label or run.classes[meant] == label, f"{where}: {kind} means {run.classes[meant]!r:.60} "
                                                   f"here, not {label!r:.60}: "
         "give the run of these decisions with --from, or write change")
    return int(meant)


def check_free(out, decisions, folder, force):
    """Raises InputError if `out` must not be written: it is there and `force` is not given,
    or it is something to start from."""
    sources = [decisions, *map(Path, read_places(folder).values())]
    with disk_errors(out):
        there, is_folder = os.path.lexists(out), out.is_dir()
        original = out.exists() and any(source.exists() and source.samefile(out) for source in sources)
        of_run = there and out.name != OWN_NAME and out.parent.samefile(folder)
    need(out.suffix.lower() == ".csv" and not is_folder, f"{out} is not the name of a .csv file: give one with --out")
    need(not original and not of_run, f"{out} is what the labels come from and is never replaced: "
                                      "choose another file with --out")
    need(not there or force, f"{out} is already there: choose another file with --out, or replace it by --force")
    need(not there or written.is_noted(folder, out),
         f"{out} was not written by `apply` from this run, or was changed since, and is never replaced: "
         "choose another file with --out, or move it")


def check_outside(out, folder):
    """Raises InputError for a file that would lie in the folder of images that the run in `folder` read."""
    places = read_places(folder)
    inside = any(is_inside(out, places[name]) for name in ("data", "test") if name in places)
    at_home = Path(os.path.realpath(out)).parent == Path(os.path.realpath(folder))
    need(not inside or at_home, f"{out} is inside the images of the run, where nothing is written: "
                                "choose another place with --out")
