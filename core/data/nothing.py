"""Why a folder or a table has no images, said by what was found in it, with a remedy."""
import os
import re
from pathlib import Path

from core.data.kinds import SUFFIXES
from core.data.listing import NOWHERE
from core.errors import InputError, need

LOOKED_AT = 200                        # folders beside a table, and lines of it, that are searched for its images


def check_any(root, paths, findings):
    """Raises InputError for a folder without images, which says what there is instead."""
    if paths:
        return
    by_kind, sentences = {}, []
    for finding in findings:
        by_kind.setdefault("broken" if finding.detail == NOWHERE else finding.kind, []).append(finding)
    for kind, found in sorted(by_kind.items(), key=lambda item: -len(item[1])):
        n, first = len(found), found[0]
        sentences += {
            "broken": [f"links whose files are missing ({n}), for example {first.path}: fetch the files, or make the "
                       "links anew"],
            "link": [f"links that lead elsewhere ({n}), for example {first.path}: follow them with --follow-links"],
            "ending": [f"files with the content of images but another ending ({n}), for example {first.path} "
                       f"({first.detail}): rename them"],
            "foreign": [f"files of kinds that are not read ({n}), for example {first.path} ({first.detail})"],
            "name": [f"names that other programs stumble over ({n}), for example {first.path} ({first.detail}): rename "
                     "them"],
            "unreadable": [f"what cannot be opened ({n}), for example {first.path}: check the permissions"],
            "run": [f"output of this program ({n}), for example {first.path}: give the folder of your images"],
        }.get(kind, [])
    need(not sentences, f"{root} has no images, but {'; '.join(sentences[:3])}")
    raise InputError(f"{root} has no images: {EMPTY}")


EMPTY = ("give a folder with a folder of images for each class, or a .csv table with the columns path and label")


def check_lines(path, listing):
    """Raises InputError for a table that names no image that is there; says what the first line names instead."""
    missing = [finding for finding in listing.findings if finding.kind == "missing"]
    if listing.paths:
        return
    if not missing:
        raise InputError(f"{path} has no images: {EMPTY}")
    first, root = missing[0], Path(listing.root)
    start = (f"{path} has no images: {len(missing)} of {listing.rows} files are not there, for example {first.path} "
             f"({first.detail})")
    if re.match(r"\w+://", first.path):
        raise InputError(f"{start}: download the images, and write the names of their files into the table")
    near = neighbour(root, first.path)
    if near is None:
        raise InputError(f"{start}: paths are relative to the folder of the table, {root.absolute()}")
    raise InputError(f"{start}: write {near} if that is it, in all lines alike")


def neighbour(root, text):
    """A file that may be meant by the path in a table, as it would have to be written there; None if there is none."""
    parts = [part for part in re.split(r"[/\\]", text) if part not in ("", ".", "..")]
    folders = ["", *sorted(entry.name for entry in os.scandir(root) if entry.is_dir())[:LOOKED_AT]]
    for length in range(len(parts), 0, -1):                  # as much of the path as possible
        for folder in folders:
            for ending in ("", *sorted(SUFFIXES), *sorted(ending.upper() for ending in SUFFIXES)):
                place = "/".join(filter(None, [folder, *parts[-length:]])) + ending
                if os.path.isfile(root / place):
                    return place
    return None
