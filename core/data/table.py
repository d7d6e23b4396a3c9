"""Images named by a table: a .csv, .tsv or .txt file with a column of paths and one of labels, or a .jsonl file.

core/data/columns.py says which columns, core/data/places.py where the files are.
"""
from pathlib import Path

from core.data.archive import named_in_archive
from core.data.class_names import about_names, is_missing, same_numbers
from core.data.columns import CHECKED, columns
from core.data.how import UNSAID
from core.data.listing import Finding, Listing, bad_name, class_name, printable
from core.data.places import ADDRESS, find
from core.data.votes import decided
from core.errors import need

SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson")
LONGEST = 4096                         # letters of a path
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.tsv")          # as data sets are shared on hubs


def read_table(path, how=UNSAID, strict=True):
    """Listing of the images in the order of the table's lines; `index` counts them from 0, without the header.

    Paths are relative to the table's folder or to how.images, or absolute. Only what the table says is looked at, and
    whether the files are there. Raises InputError.
    """
    path, findings, entries, rows_of = Path(path), [], {}, {}
    table = columns(path, how, strict)
    lines = [(line, file, class_name(label)) for line, file, label in table.lines]
    same = same_numbers(label for *_, label in lines)
    usable = [0 < len(file) <= LONGEST and not is_missing(label) and not any(map(bad_name, [label, *Path(file).parts]))
              for _, file, label in lines]
    texts = [file if good else "" for good, (_, file, _) in zip(usable, lines)]
    packed, places, notes = *(named_in_archive(path.parent, texts) or (None, None)), []
    need(packed is None or not how.images or not strict, f"{path} names its images in an archive: leave out --images")
    if packed is None:
        places, notes = find(path, texts, how.images)
        if not strict and how.images and not any(places):    # --images may be that of the training images alone
            places, notes = find(path, texts)
    for row, ((line, file, label), good, where) in enumerate(zip(lines, usable, places)):
        if where:
            entries.setdefault(where, []).append((line, same.get(label, label)))
            rows_of.setdefault(where, row)
        else:
            findings.append(unused(file, label, f"line {line}", good))
    check_found(path, lines, usable, entries, how)
    entries, checked = checked_first(entries, table.checked)
    labels, agreement, about_votes, voted = decided(entries)
    stand = [f"labels that a person has checked, by the column {CHECKED}: {sum(checked)}; they stand"] * any(checked)
    findings += about_votes + [Finding("number", name, f"as {number}") for name, number in sorted(same.items())]
    return Listing(path.parent, list(entries), labels, list(rows_of.values()), len(lines),
                   findings + about_names(set(labels)), notes=[*table.notes, *notes, *voted, *stand],
                   agreement=agreement if voted or any(one < 1 for one in agreement) else None, packed=packed,
                   checked=checked if any(checked) else None)


def checked_first(entries, lines):
    """(entries, whether a person has checked each): where one has, the other lines about an image do not count."""
    if not lines:
        return entries, [False] * len(entries)
    seen = {path: [vote for vote in votes if vote[0] in lines] for path, votes in entries.items()}
    return {path: seen[path] or votes for path, votes in entries.items()}, [bool(found) for found in seen.values()]


def unused(file, label, line, good):
    """The Finding about a line whose image cannot be used."""
    if good:
        return Finding("missing", printable(file), line)
    if not file or not label:
        return Finding("unlabelled", printable(file), line)
    if is_missing(label):
        return Finding("unknown", printable(file), f"{label} in {line}")
    return Finding("name", printable(f"{file}: {label}")[:LONGEST], line)


def check_found(path, lines, usable, entries, how):
    """Raises InputError if the table names files and none is there."""
    wanted = [(line, file) for good, (line, file, _) in zip(usable, lines) if good]
    if entries or not wanted:
        return
    line, file = wanted[0]
    need(not ADDRESS.match(file) or file.lower().startswith("file:"),
         f"{path} names addresses, for example {printable(file):.200} in line {line}, and nothing is downloaded: "
         "download the images, and give their folder with --images")
    need(False, f"{path}: none of the {len(wanted)} files that it names is there, for example {printable(file):.200} "
                "in line "
                f"{line}; they were looked for in {how.images or path.parent}: give the folder that holds them with "
                "--images")
