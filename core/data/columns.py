"""Which columns of a table hold the files and the labels: as the user says, or recognised by name and content.

    path                                         as named, if there is one; else the first in the order of PATHS, before
                                                 it any whose cells end like images
    label                                        as named, if there is one; else the only one of a LABELS name, or the
                                                 only other one of two columns, or one column of 0 and 1 for each class
    checked                                      called so: 1, yes or true where a person has seen the label

A note says which columns were taken, unless they are called path and label.
"""
import csv
import json
import os
import re
import shlex
from typing import NamedTuple

from core.data.csv_cells import plain
from core.data.folder import SUFFIXES
from core.data.how import UNSAID, How
from core.data.label_files import read_rows, text_of
from core.errors import InputError, need

NO_HEADER = ("does not begin with a line that names the columns path and label: add it, "
             "with commas, semicolons or tabs between the columns")
DELIMITERS = ",;\t|"
PATHS = ("path file_path filename file image_path image_file image_filename image_file_path image_name img_path "
         "img_file "
         "img_filename img_name image img photo picture image_id img_id photo_id id_code isic_id image_url url uri "
         "id name").replace("_", "").split()
LABELS = {"label", "labels", "class", "classes", "target", "targets", "category", "categories", "classname",
          "labelname"}
ALONE = LABELS | {"species", "breed", "diagnosis", "dx", "choice", "annotation", "tag", "tags",
                  "y"}     # not in label_y
NOT_LABELS = {"score", "confidence", "probability", "prob", "count", "number", "num", "is", "by", "time", "date",
              "source"}
SAMPLE = 50                            # lines that are looked at for what a column holds
CELLS = 20_000_000                     # of a .jsonl, whose lines need not have all fields
ONES, NOUGHTS = {"1", "1.0", "true"}, {"0", "0.0", "false", ""}
CHECKED, YES = "checked", ONES | {"yes"}


class Columns(NamedTuple):
    """What a table says of images."""
    lines: list                        # of (number of the line, file, label)
    notes: list                        # which columns were taken, where that is not plain
    checked: set = frozenset()         # numbers of the lines whose label a person has checked


def columns(path, how=UNSAID, strict=True):
    """Columns of the table at `path`; strict: a column that the user names has to be there. Raises InputError."""
    rows = json_rows(path) if is_json(path) else csv_rows(path, how)
    (_, header), *rows = rows or [(1, [])]
    for line, cells in rows:
        need(len(cells) == len(header), f"{path}, line {line} has {len(cells)} columns and the header "
                                        f"{len(header)}: correct it")
    need(len(header) > 1 and not any(map(like_an_image, header)), f"{path} {NO_HEADER}")
    at = asked(path, header, how.path_column, "--path-column", strict)
    at = path_column(path, header, rows, how.label_column) if at is None else at
    called = asked(path, header, how.label_column, "--label-column", strict)
    called = label_column(path, header, rows, at) if called is None else called
    labels, words = bits(path, header, rows, called) if isinstance(called, list) else (
        [cells[called] for _, cells in rows], repr(header[called]))
    said = (header[at].lower(), words) in (("path", "'label'"), ("path", "'Label'"))
    notes = [] if said else [f"{path}: the files are in the column {header[at]!r}, the labels in {words:.200}; others "
                             "are chosen by --path-column and --label-column"]
    marks = [number for number, name in enumerate(header) if name.lower() == CHECKED]
    checked = {line for line, cells in rows for mark in marks if cells[mark].lower() in YES}
    return Columns([(line, cells[at], label) for (line, cells), label in zip(rows, labels)], notes, checked)


def has_paths(path):
    """Whether a text file is a table with a column of files, and not lines of labels alone. Raises InputError."""
    if is_json(path):
        return True
    names = list(map(simple, first_cells(text_of(path), How())[0]))
    return len(names) > 1 and any(name in PATHS for name in names) and not names[0] == "index"


# ---- rows ------------------------------------------------------------------------------------------------------------

def is_json(path):
    """Whether a file has an object of JSON in each line, by its ending."""
    return path.suffix.lower() in (".jsonl", ".ndjson")


def csv_rows(path, how):
    """[(line number, cells)], the header first. Raises InputError."""
    text = text_of(path)
    cells, delimiter, skipped = first_cells(text, how)
    need(cells, f"{path} {NO_HEADER}")
    return read_rows(path, delimiter, text)[skipped:]


def first_cells(text, how):
    """(cells of the header, the delimiter that makes most sense of it, 1 if a line `sep=;` comes before it, else 0)."""
    lines = (line for line in re.split(r"\r\n|\r|\n", text[:100_000]) if line.strip())
    first = next(lines, "")
    told = re.fullmatch(r'"?sep=(.)"?[,;\t]*', first.strip(" "), re.IGNORECASE)
    if told:
        first = next(lines, "")
    found = []
    for delimiter in told[1] if told else DELIMITERS:
        cells = next(csv.reader([first.replace("\0", "")], delimiter=delimiter, skipinitialspace=True), [])
        cells = [plain(cell.strip()) for cell in cells]
        known = sum(simple(cell) in PATHS or may_be_label(cell) or cell in how for cell in cells)
        found.append((known, len(cells), cells, delimiter))
    *_, cells, delimiter = max(found, key=lambda one: one[:2])
    return cells, delimiter, int(bool(told))


def json_rows(path):
    """[(line number, cells)] of a file with an object in each line, all names of fields first. Raises InputError."""
    found, names = [], {}
    for number, line in enumerate(re.split("\r\n?|\n", text_of(path)), 1):
        if line.strip():
            try:
                item = json.loads(line)
            except (ValueError, RecursionError):
                item = None
            need(isinstance(item, dict), f"{path}, line {number} is no object of JSON: write one in each line, as "
                                         '{"file_name": "1.jpg", "label": "cat"}')
            names |= dict.fromkeys(item)
            found.append((number, item))
            need(len(names) * len(found) <= CELLS, f"{path} has {len(names):,} different fields in {len(found):,} "
                                                   "lines: leave out what is not needed")
    return [(1, list(names)), *((number, [json_cell(item.get(name)) for name in names]) for number, item in found)]


def json_cell(value):
    """A value of JSON as the text of a cell; of a list, its items with | between them; of what is nested, its type, or
    the path in it."""
    if value is None:
        return ""
    if isinstance(value, dict):
        value = next((value[key] for key in ("path", "file_name", "src") if isinstance(value.get(key), str)), value)
    if isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value):
        return "|".join(str(item) for item in value[:100])
    return type(value).__name__ if isinstance(value, (list, dict)) else str(value)[:10_000].strip()


# ---- names -----------------------------------------------------------------------------------------------------------

def simple(name):
    """A name of a column without what people write differently: file_name, File Name, fileName."""
    return re.sub(r"[\W_]+", "", name.casefold())


def may_be_label(name):
    """Whether a column is called like labels: class, labelName, noisy_labels_25, target-id."""
    words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").lower()))
    return (simple(name) in ALONE or bool(words & LABELS)) and not words & NOT_LABELS


def like_an_image(cell):
    """Whether a text ends like the name of an image file."""
    return os.path.splitext(cell)[1].lower() in SUFFIXES


def listed(header):
    """Names of columns for a message."""
    return ", ".join(f"{name!r:.60}" for name in header[:12]) + ", ..." * (len(header) > 12)


def asked(path, header, name, option, strict):
    """The number of the column that the user names, or None. Raises InputError where it is not there."""
    if name is None:
        return None
    exact = [at for at, cell in enumerate(header) if cell == name.strip()]
    found = exact or [at for at, cell in enumerate(header) if cell.casefold() == name.strip().casefold()]
    need(found or not strict, f"{path} has no column {name!r:.60}, but {listed(header)}: choose one of these with "
                              f"{option}")
    return once(path, header, found[0]) if found else None


def once(path, header, at):
    """`at`. Raises InputError if another column has the same name."""
    need([cell.lower() for cell in header].count(header[at].lower()) == 1,
         f"{path} has two columns called {header[at]!r:.60}: rename one of them")
    return at


def path_column(path, header, rows, label):
    """The number of the column that names the files. Raises InputError if there is none."""
    filled = [cells for _, cells in rows[:SAMPLE]]
    ranks = {}
    for at, name in enumerate(header):
        files = sum(like_an_image(cells[at]) for cells in filled) > len(filled) / 2
        rank = PATHS.index(simple(name)) if simple(name) in PATHS else None if not files else len(PATHS)
        if rank is not None and name != label:
            ranks[at] = (name.lower() != "path", not files, rank)
    if not ranks and len(header) == 2:
        ranks = {at: 0 for at in (0, 1) if may_be_label(header[1 - at])}
    need(ranks, f"{path} has the columns {listed(header)}, and none is known to name files: choose it with "
                "--path-column, or add a first line path,label if there is no header")
    return once(path, header, min(ranks, key=ranks.get))


def label_column(path, header, rows, at):
    """The number of the column of labels, or the numbers of the columns of 0 and 1. Raises InputError if unclear."""
    others = [number for number in range(len(header)) if number != at]
    plainly = [number for number in others if header[number].lower() == "label"]
    known = plainly or [number for number in others if may_be_label(header[number])]
    if not known and len(others) == 1:
        known = others
    if known and (plainly or len(known) == 1):
        return once(path, header, known[0])
    if known:
        raise InputError(f"{path} has several columns that may hold the labels, {listed([header[k] for k in known])}: "
                         f"choose one with --label-column, for example --label-column {example(header, known)}")
    found = [k for k in others if {cells[k].lower() for _, cells in rows} <= ONES | NOUGHTS
             and any(cells[k] for _, cells in rows)]
    need(len(found) > 1, f"{path} has the columns {listed(header)}, and none is known to hold labels: choose it with "
                         "--label-column")
    return found


def example(header, known):
    """The first of the known columns, as a shell takes it."""
    return shlex.quote(header[known[0]][:60])


def bits(path, header, rows, known):
    """(labels, words for the columns) where each class has a column of 0 and 1. Raises InputError for several ones."""
    labels = []
    for line, cells in rows:
        ones = [header[k] for k in known if cells[k].lower() in ONES]
        if len(ones) > 1:
            raise InputError(f"{path}, line {line} has a 1 in each of the columns {listed(ones)}: give every image one "
                             f"class, or choose one column of 0 and 1 with --label-column {example(header, known)}")
        labels.append("".join(ones))
    return labels, f"{len(known)} columns of 0 and 1, {listed([header[k] for k in known])}"
