"""Images in class folders, ROOT/CLASS/.../file: which files are images, and of which class.

Only names are looked at. What lies in sub-folders belongs to the class too. Links to files are followed as long as they
stay inside ROOT, links to folders never, so that nothing is found twice and no loop is walked.
"""
import os
from pathlib import Path

from core.data.class_names import about_names
from core.data.listing import Finding, Listing, bad_name, class_name, printable
from core.errors import InputError, need

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".ppm", ".pgm", ".pbm", ".pnm", ".bmp", ".gif", ".tif", ".tiff",
            ".webp"}
SYSTEM = {"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information", "@eadir", "lost+found",
          "__pycache__"}               # in lower case
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation"}


def scan(root):
    """Listing of the images in the class folders of `root`, sorted by the parts of their paths. Raises InputError."""
    root = Path(root)
    return listing_of(root, *walk(root))


def listing_of(root, paths, folders, findings):
    """Listing of images by their paths in a folder or an archive, with what else was found. Raises InputError."""
    if len(folders) > 1 and {name.lower() for name in folders} <= SPLITS:
        raise InputError(f"{root} has the folders {', '.join(folders)} instead of one for each class: "
                         "give one of them with --data and another with --test")
    need(paths or not any(finding.kind == "beside" for finding in findings),
         f"{root} has images but no class folders: put the images of each class into a folder with its name, "
         "or give a table path,label as .csv")
    paths.sort(key=lambda path: path.split("/"))
    labels = [class_name(path.split("/")[0]) for path in paths]
    findings += [Finding("empty", printable(name)) for name in folders if class_name(name) not in set(labels)]
    return Listing(root, paths, labels, list(range(len(paths))), len(paths), findings + same_class(folders)
                   + about_names(set(labels)))


def walk(root):
    """(paths of the images, names of the class folders, findings); paths are relative to root,
    with / between their parts. Raises InputError if root cannot be read."""
    real, paths, folders, findings, waiting = os.path.realpath(root), [], [], [], [""]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError as error:
            need(folder, f"{root} cannot be read, {error.strerror}: check its permissions")
            findings.append(Finding("unreadable", folder, f"the folder cannot be opened, {error.strerror}"))
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            kind, detail = sorted_out(entry, not folder, real)
            if kind == "folder":
                waiting.append(path)
                folders += [entry.name] * (not folder)
            elif kind == "image":
                paths.append(path)
            else:
                findings.append(Finding(kind, printable(path), detail))
    return paths, folders, findings


def sorted_out(entry, at_top, real):
    """What an entry of a folder is: ("image" or "folder", ""), or (a kind of finding, its detail)."""
    name = entry.name
    if name.startswith(".") or name.lower() in SYSTEM:
        return "hidden", ""
    if bad_name(name):
        return "name", bad_name(name)
    try:
        if entry.is_symlink() and (lost := astray(entry.path, real)):
            return "link", lost
        if entry.is_dir():
            return "folder", ""
        if not entry.is_file() or os.path.splitext(name)[1].lower() not in SUFFIXES:
            return "other", ""
    except OSError as error:
        return "unreadable", error.strerror
    return ("beside" if at_top else "image"), ""


def astray(path, real):
    """Why a link is not followed, or None."""
    target = os.path.realpath(path)
    if not os.path.exists(target):
        return "leads nowhere"
    if os.path.isdir(target):
        return "leads to a folder: name the files in a table path,label instead"
    inside = Path(target).is_relative_to(real)
    return None if inside else "leads out of the data's folder: name the files in a table path,label instead"


def same_class(folders):
    """Findings about folders that are one class."""
    groups = {}
    for name in folders:
        groups.setdefault(class_name(name), []).append(name)
    return [Finding("merged", first, f"{len(others) + 1} folders") for first, *others in groups.values() if others]
