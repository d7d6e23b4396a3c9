"""Labels and transition matrices from files of the user: arrays (.npy) or text (.csv, .txt; cells divided by commas).

N images, C classes.
"""
import codecs
import csv
import io
from pathlib import Path

import numpy as np

from core.data.class_names import meant
from core.data.csv_cells import plain
from core.data.named_labels import TRUE, choose, divided, flat, several
from core.errors import InputError, need, pass_on

LARGEST = 512 << 20                    # bytes of a text file: labels, paths and scores of some four million images
SAME = 0.99                            # of the true labels in a file that have to be those of the data, in its order


def read_labels(path, classes, n, used=None, truth=None):
    """Labels (n,) int64 in 0 .. C-1; `classes` are the C class names.

    .npy: n whole numbers. FILE:NAME: those of that name in a .pt, .npz or .npy of several; where these have
    `clean_label` too, it must be `truth`, the (len(used),) true labels of the rows `used`. Text: one label a line, or
    `index,label` with every index 0 .. n-1 once, in any order; a first line that says so, `label` or `index,label`, is
    skipped. In text the labels are class names throughout or numbers throughout.
    used: the rows that take part, None: all; `index,label` may leave out others, which are -1 then. Raises InputError.
    """
    path, name = divided(str(path))
    if name is not None or path.is_file() and several(path):
        labels, true = choose(path, name)
        need(len(labels) == n, f"{path} has {len(labels)} labels for {n} images: give those of these images")
        need(true is None or truth is None or len(true) != n or (true[used] == truth).mean() >= SAME,
             f"{path} is in another order than the images, for its {TRUE} is not theirs: take the file in the order of "
             "the official download (.pt)")
        return in_range(labels, classes, path)
    if is_array(path):
        return in_range(read_array(path, (n,), "iu", "whole numbers"), classes, path)

    rows = read_rows(path)
    if rows and [cell.lower() for cell in rows[0][1]] in (["label"], ["index", "label"]):
        rows = rows[1:]
    elif rows and [cell.lower() for cell in rows[0][1]] == ["path", "label"]:
        raise InputError(f"{path} names the labels by path: give it to --data, or write `index,label`")
    some = used is not None and rows and len(rows[0][1]) == 2
    if len(rows) != n and not some:
        raise InputError(f"{path} has {len(rows)} labels for {n} images: write one line for each image")
    order, labels = places(rows, path, n), np.full(n, -1)
    labels[order] = decode([(line, cells[-1]) for line, cells in rows], classes, path)
    for i in used[labels[used] < 0][:1] if some else ():
        raise InputError(f"{path} has no label for image {i}: write one line for each image")
    return labels


def in_range(labels, classes, path):
    """The labels as int64. Raises InputError for one that is no class."""
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        raise InputError(f"{path}, row {wrong[0]}: {labels[wrong[0]]} is no label: use 0 to {len(classes) - 1}")
    return labels.astype(np.int64)


def places(rows, path, n):
    """Which of n images each row is about: its index where there are two columns, else its position.

    Raises InputError for a wrong number of columns and for a wrong or repeated index.
    """
    free = {str(i): i for i in range(n)}
    order = []
    for i, (line, cells) in enumerate(rows):
        if len(cells) > 2 or len(cells) != len(rows[0][1]):
            raise InputError(f"{path}, line {line} has {len(cells)} columns: "
                             "write `label` or `index,label` in every line")
        index = cells[0] if len(cells) == 2 else str(i)
        if index not in free:
            raise InputError(f"{path}, line {line}: index {index!r:.60} is used twice or not in 0 "
                             f"to {n - 1}: correct it")
        order.append(free.pop(index))
    return order


def decode(entries, classes, path):
    """Class numbers of texts: (line, text) each, read as names or as numbers, whichever fits more of them.

    Raises InputError for a text that is no class.
    """
    readings = {name: c for c, name in enumerate(classes)}, {str(c): c for c in range(len(classes))}
    known = max(readings, key=lambda reading: sum(label in reading for _, label in entries))
    for line, label in entries:
        if label not in known:
            raise InputError(f"{path}, line {line}: {label!r:.60} is no label{meant(label, classes)}: "
                             f"use 0 to {len(classes) - 1} in all lines, or class names in all lines")
    return [known[label] for _, label in entries]


def read_matrix(path, C):
    """Transition matrix (C, C) float64: row i has the probabilities of each given label where the truth is i.

    .npy, or text with a line for each row. Raises InputError unless every row is non-negative and sums to one within
    1e-6.
    """
    path = Path(path)
    if is_array(path):
        matrix = read_array(path, (C, C), "fiu", "numbers")
        lines = [f"row {i}" for i in range(C)]
    else:
        rows = read_rows(path)
        lines = [f"line {line}" for line, _ in rows]
        matrix = np.array([numbers(cells, line, C, path) for line, cells in rows])
        if len(rows) != C:
            raise InputError(f"{path} has {len(rows)} rows for {C} classes: write one line for each class")
    for line, row in zip(lines, matrix):
        if not ((row >= 0) & (row <= 1 + 1e-6)).all():                     # NaN is neither
            raise InputError(f"{path}, {line}: not every number is a probability: use 0 to 1")
        if abs(row.sum(dtype=np.float64) - 1) > 1e-6:
            raise InputError(f"{path}, {line}: the sum is {row.sum(dtype=np.float64):.7g}: make it 1")
    return matrix.astype(np.float64)


def numbers(cells, line, C, path):
    """One row of the matrix. Raises InputError for a wrong number of cells and for a cell that is no number."""
    if len(cells) != C:
        raise InputError(f"{path}, line {line} has {len(cells)} columns for {C} classes: write one number for each")
    for cell in cells:
        try:
            float(cell)
        except ValueError:
            raise InputError(f"{path}, line {line}: {cell!r:.60} is not a number: write it like 0.25") from None
    return [float(cell) for cell in cells]


def is_array(path):
    """Whether `path` is to be read as an array, not as text. Raises InputError when it is neither,
    or cannot be there."""
    if path.suffix.lower() not in (".npy", ".csv", ".txt", ".tsv", ".tab", ".jsonl", ".ndjson"):
        raise InputError(f"{path} has none of the endings .npy, .csv and .txt: save it as one of these")
    try:
        if not path.is_file():
            raise InputError(f"{path} does not exist or is not a file: check the path")
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check its permissions") from error
    return path.suffix.lower() == ".npy"


def read_array(path, shape, kinds, what):
    """The array in a .npy file. Shape and type are compared in its header, before memory is set aside.

    Labels may stand in a column, (n, 1), and be floats without a fraction. Raises InputError for another shape or type,
    and for a damaged file.
    """
    try:
        array = np.lib.format.open_memmap(path, mode="r")           # refuses objects, i.e. pickles, and files too short
    except PermissionError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check its permissions") from error
    except Exception as error:                                             # a damaged header can raise nearly anything
        pass_on(error)
        need(not several(path), f"{path} holds objects of Python, not {what}: save the array alone with numpy.save")
        raise InputError(f"{path} is not an intact .npy file of {what}: save it again with numpy.save") from error
    if len(shape) == 1 and array.shape in (shape, (*shape, 1)):
        array = flat(array)
    if array.shape != shape or array.dtype.kind not in kinds:
        raise InputError(f"{path} has shape {array.shape} and type {array.dtype}: save {what} of shape {shape}")
    return np.array(array)


def read_rows(path, delimiter=None, text=None):
    """[(line number, cells)] of a text file, or of its text, without its empty lines,
    cells stripped of spaces and of guards against formulas. Raises InputError for a file that is no CSV in Unicode."""
    text = text_of(path) if text is None else text
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter or divider(path, text), strict=True,
                        skipinitialspace=True)
    try:
        rows = [(reader.line_num, [plain(cell.strip()) for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}: save it as plain CSV") from error
    return [(line, cells) for line, cells in rows if any(cells)]


def divider(path, text):
    """What divides the cells of labels or numbers: commas, tabs in a .tsv, semicolons below `index;label`."""
    header = text.lstrip()[:20].lower().replace(" ", "")
    return "\t" if path.suffix.lower() in (".tsv", ".tab") else ";" if header.startswith("index;label") else ","


def text_of(path):
    """The text of a file in UTF-8, or in UTF-16 as spreadsheets write "Unicode text". Raises InputError."""
    try:
        need(path.stat().st_size <= LARGEST, f"{path} has more than {LARGEST:,} bytes: leave out the columns and rows "
                                             "that are not needed")
        with open(path, "rb") as file:
            raw = file.read(LARGEST)
        return raw.decode(encoding_of(raw))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8: save it as CSV in UTF-8") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check its permissions") from error


def encoding_of(raw):
    """The encoding that the first bytes of a text tell: a byte order mark, or the zeros of UTF-16 without one."""
    for mark, name in ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE,
                                                                                          "utf-16"),
                       (codecs.BOM_UTF16_BE, "utf-16")):
        if raw.startswith(mark):
            return name
    even, odd = raw[:200:2], raw[1:200:2]
    if even and odd and max(even.count(0), odd.count(0)) > 0.9 * len(odd):
        return "utf-16-be" if even.count(0) > odd.count(0) else "utf-16-le"
    return "utf-8-sig"
