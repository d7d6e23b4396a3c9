"""Images in class folders, ROOT/CLASS/.../file: which files are images, and of which class.

Only names are looked at, and the first bytes of files whose ending is not that of an image. What lies in sub-folders
belongs to the class too. Links to files are followed as long as they stay inside ROOT; links that leave it, and links
to folders, with `follow` alone. Nothing is found twice and no loop is walked.
"""
import json
import os
from pathlib import Path

from core.data import kinds
from core.data.class_names import about_names
from core.data.listing import NOWHERE, Finding, Listing, bad_name, class_name, printable
from core.data.nothing import check_any
from core.data.splits import about_levels, check_levels, tree_of
from core.errors import need

SUFFIXES = kinds.SUFFIXES
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information", "@eadir", "lost+found",
          "__pycache__"}               # in lower case
ABOUT_RUN = ("config.json", "manifest.json")       # files that tell a run folder of this program ...
KEYS = {"settings", "environment"}                 # ... by their contents
TWICE = "leads to a folder that is read already, or to one that holds the data"
FOLLOW = "follow it with --follow-links, or name the files in a table path,label"


def scan(root, follow=False):
    """Listing of the images in the class folders of `root`, sorted by the parts of their paths.

    follow: also links that lead out of it. Raises InputError.
    """
    root = Path(root)
    return listing_of(root, *walk(root, follow))


def listing_of(root, paths, folders, findings):
    """Listing of images by their paths in a folder or an archive, with what else was found. Raises InputError."""
    need(paths or not any(finding.kind == "beside" for finding in findings),
         f"{root} has images but no class folders: put the images of each class into a folder with its name, "
         "or give a table path,label as .csv")
    check_any(root, paths, findings)
    paths.sort(key=lambda path: path.split("/"))
    tree = tree_of(paths)
    check_levels(root, tree)
    labels = [class_name(path.split("/")[0]) for path in paths]
    other = {finding.path.split("/")[0] for finding in findings if finding.kind == "run"}
    findings += [Finding("empty", printable(name)) for name in folders
                 if class_name(name) not in set(labels) and name not in other]
    return Listing(root, paths, labels, list(range(len(paths))), len(paths), findings + about_levels(tree)
                   + same_class(name for name in folders if name in tree) + about_names(set(labels)))


def walk(root, follow=False):
    """(paths of the images, names of the class folders, findings); paths are relative to root,
    with / between their parts. Raises InputError if root cannot be read, or is the folder of a run."""
    paths, folders, findings, waiting, links, seen = [], [], [], [""], [], set()
    while waiting or links:
        folder = waiting.pop() if waiting else links.pop(0)  # what is no link comes first
        try:
            if follow and read_already(root, folder, seen):
                findings.append(Finding("link", printable(folder), TWICE))
                continue
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            need(folder, f"{root} cannot be read, {error.strerror}: check its permissions")
            findings.append(Finding("closed", folder, error.strerror))
            continue
        if is_run(root / folder, entries):
            need(folder, f"{root} is the output of a run: give a table of labels in it, such as corrected_labels.csv, "
                         "or the folder of your images")
            findings.append(Finding("run", folder))
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            kind, detail = sorted_out(entry, not folder, root, follow)
            if kind in ("folder", "linked folder"):
                (waiting if kind == "folder" else links).append(path)
                folders += [entry.name] * (not folder)
            elif kind == "image":
                paths.append(path)
            else:
                findings.append(Finding(kind, printable(path), detail))
    findings.sort(key=lambda finding: finding.path.split("/"))
    return paths, folders, findings


def read_already(root, folder, seen):
    """Whether a folder was walked before under another name, or holds all of the data; seen: those walked before."""
    known, real = os.stat(root / folder), os.path.realpath(root)
    if (known.st_dev, known.st_ino) in seen or folder and Path(real).is_relative_to(os.path.realpath(root / folder)):
        return True
    seen.add((known.st_dev, known.st_ino))
    return False


def is_run(folder, entries):
    """Whether a folder is the output of a run of this program."""
    for name in {entry.name for entry in entries if entry.name in ABOUT_RUN}:
        try:
            about = json.loads((folder / name).read_bytes())
            if isinstance(about, dict) and KEYS <= about.keys():
                return True
        except (OSError, ValueError, RecursionError):
            pass
    return False


def sorted_out(entry, at_top, root, follow):
    """What an entry of a folder is: ("image", "folder" or "linked folder", ""), or (a kind of finding, its detail)."""
    name = entry.name
    if name.startswith(".") or name.lower() in SYSTEM:
        return "hidden", ""
    if bad_name(name):
        return "name", bad_name(name)
    try:
        if entry.is_symlink():
            if not os.path.exists(entry.path):
                return "link", NOWHERE
            inside = Path(os.path.realpath(entry.path)).is_relative_to(os.path.realpath(root))
            if entry.is_dir():
                return ("linked folder", "") if follow else ("link", f"leads to a folder: {FOLLOW}")
            if not inside and not follow:
                return "link", f"leads out of the data's folder: {FOLLOW}"
        if entry.is_dir():
            return "folder", ""
        if not entry.is_file():
            return "other", ""
        kind, detail = by_name_and_content(entry)
    except OSError as error:
        return "unreadable", error.strerror
    return ("beside" if kind == "image" and at_top else kind), detail


def by_name_and_content(entry):
    """What a file is: ("image", ""), or (a kind of finding, its detail).

    Its ending decides. Where it has none the content does, as of files from a crawler.
    """
    ending = kinds.ending_of(entry.name)
    if ending in kinds.SUFFIXES:
        return "image", ""
    if kind := kinds.KIND_OF.get(ending):
        return "foreign", kinds.with_remedy(kind)
    if ending in kinds.WITHOUT_LOOKING:
        return "other", ""
    kind = kinds.kind_of(kinds.beginning(entry.path))
    if kind in kinds.READ:
        return ("ending", kind) if kinds.has_ending(entry.name) else ("image", "")
    return ("foreign", kinds.with_remedy(kind)) if kind in kinds.PICTURES else ("other", "")


def same_class(folders):
    """Findings about folders that are one class."""
    groups = {}
    for name in folders:
        groups.setdefault(class_name(name), []).append(name)
    return [Finding("merged", first, f"{len(others) + 1} folders") for first, *others in groups.values() if others]
