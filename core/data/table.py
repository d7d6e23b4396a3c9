"""Images named by a table: a .csv file with the columns `path` and `label`, and any others.

Between the columns are commas, semicolons or tabs, whichever makes sense of the first line.
"""
import csv
import os
import unicodedata
from pathlib import Path

from core.data.label_files import read_rows
from core.data.listing import Finding, Listing, alike, bad_name, class_name, printable
from core.errors import InputError, need

NO_HEADER = ("does not begin with a line that names the columns path and label: add it, "
             "with commas, semicolons or tabs between the columns")


def read_table(path):
    """Listing of the images in the order of the table's lines; `index` counts them from 0, without the header.

    Paths are relative to the table's folder, or absolute. Only what the table says is looked at, and whether the files
    are there. Raises InputError.
    """
    path, findings, seen = Path(path), [], {}
    lines = columns(path)
    for row, (line, file, label) in enumerate(lines):
        where = file and located(path.parent, file)
        if not file or not label:
            findings.append(Finding("unlabelled", printable(file), f"line {line}"))
        elif any(map(bad_name, [label, *Path(file).parts])):
            findings.append(Finding("name", printable(f"{file}: {label}"), f"line {line}"))
        elif where is None:
            findings.append(Finding("missing", printable(file), f"line {line}"))
        elif where in seen:
            first, name, _ = seen[where]
            findings.append(Finding("repeated", where, f"lines {first} and {line}") if name == label else
                            Finding("contradiction", where,
                                    f"{name} in line {first}, which counts; {label} in line {line}"))
        else:
            seen[where] = line, label, row
    labels = [label for _, label, _ in seen.values()]
    return Listing(path.parent, list(seen), labels, [row for *_, row in seen.values()], len(lines),
                   findings + alike(set(labels)))


def columns(path):
    """[(line number, path, class)] of the lines below the header. Raises InputError."""
    rows = read_rows(path, delimiter_of(path))
    header = [cell.lower() for cell in rows[0][1]] if rows else []
    need(header.count("path") == header.count("label") == 1, f"{path} {NO_HEADER}")
    at, called = header.index("path"), header.index("label")
    for line, cells in rows[1:]:
        need(len(cells) == len(header), f"{path}, line {line} has {len(cells)} columns and the header "
                                        f"{len(header)}: correct it")
    return [(line, cells[at], class_name(cells[called])) for line, cells in rows[1:]]


def delimiter_of(path):
    """The character that divides the first line into cells of which one is `path` and one `label`.
    Raises InputError."""
    first = first_line(path)
    for delimiter in ",;\t":
        cells = [cell.strip().lower() for cell in next(csv.reader([first.replace("\0", "")], delimiter=delimiter), [])]
        if cells.count("path") == cells.count("label") == 1:
            return delimiter
    raise InputError(f"{path} {NO_HEADER}")


def first_line(path):
    """The first line of a text that is not empty, as far as it can be read.

    Raises InputError if the file cannot be opened.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return next((line for line in iter(lambda: file.readline(10_000), "") if line.strip()), "")
    except OSError as error:
        raise InputError(f"{path} cannot be read, {error.strerror}: check its permissions") from error


def located(folder, text):
    """The path of a file as it is on the disk, relative to `folder` where it is given so;
    None if there is no such file.

    Tables travel: those from Windows have backslashes, those from a Mac may spell accents as two characters.
    """
    for spelling in (text, text.replace("\\", "/")):
        for form in (spelling, unicodedata.normalize("NFC", spelling), unicodedata.normalize("NFD", spelling)):
            if os.path.isfile(os.path.join(folder, form)):
                return Path(os.path.normpath(form)).as_posix()
    return None
