"""What a folder or a table of images names, before any image is opened: files, labels and findings.

KINDS says in words what each kind of finding is and what was done about it.
"""
import unicodedata
from pathlib import Path
from typing import NamedTuple

KINDS = {                              # the order in which they are told: what may spoil the result comes first
    "closed": "folders that cannot be opened: all that is in them is missing",
    "levels": "folders whose own folders may be the real classes: give the folder that holds those, or name the images "
              "in a table path,label",
    "part": "classes that are called like a part of a set: if one is none, move its folder out of the data",
    "parts": "folders of a split set inside classes: training and test images are read together, name those of each "
             "part in a table path,label to keep them apart",
    "contradiction": "the same image under different labels: at least one of them is wrong",
    "votes": "images on which the votes differ: the majority decides",
    "repeated": "the same image more than once under one label",
    "leaked": "the same image in the training and in the test set",
    "blank": "images of one even colour, in which there is nothing to see (white shapes on transparent ground? Save "
             "them on another ground)",
    "dim": "images that use less than an eighth of the brightness, and look nearly even",
    "clipped": "images whose values lie outside those of the whole set, shown as black or white there",
    "unreadable": "images that cannot be read, left out",
    "missing": "files that the table names and that are not there, left out",
    "unlabelled": "lines of the table without a path or a label, left out",
    "unknown": "labels that stand for a missing value (nan, NA, None, null, ?), left out: rename one that is a class",
    "name": "names that other programs stumble over, left out: rename them",
    "link": "links that are not followed",
    "ending": "images by their content, but with another ending, left out: rename them",
    "foreign": "pictures of kinds that are not read, left out: convert them",
    "beside": "images beside the class folders, left out: move them into one",
    "empty": "classes without a readable image, left out",
    "single": "classes with a single image",
    "merged": "folders whose names differ only in spaces or in the encoding of accents: one class",
    "several": "cells with several labels: each combination is a class of its own",
    "alike": "classes whose names a person can hardly tell apart: kept apart",
    "number": "labels that are the same number, as 1 and 1.0: one class",
    "doubtful": "classes whose names may mean that the label is not known: kept as classes here, but left out where "
                "they stand in a table, also in one that this program writes: rename them",
    "deeper": "classes that consist of folders: the class is the folder at the top, those inside have no meaning",
    "run": "output of this program, left out",
    "other": "files that are no images, ignored",
    "hidden": "hidden files and folders, and those of the system, ignored",
}
NOWHERE = "leads nowhere"              # the detail of a link


class Finding(NamedTuple):
    """Something about the data that its owner should know."""
    kind: str                          # one of KINDS
    path: str                          # the file, folder or class
    detail: str = ""


class Listing(NamedTuple):
    """N images by name, in the order of their rows."""
    root: Path                         # what paths are relative to
    paths: list                        # N texts, with / between the parts
    labels: list                       # N names of classes
    index: list                        # N rows in the source
    rows: int                          # of the source
    findings: list                     # of Finding
    notes: list = ()                   # sentences about how the source was understood
    agreement: list = None             # N parts of the votes that are for the label; None where nobody voted
    checked: list = None               # N times whether a person has checked the label; None where nobody has
    packed: object = None              # what holds the images if they are no files: an Archive or Arrays

    @property
    def named(self):
        """Whether its paths are names of images that a person knows."""
        return self.packed is None or hasattr(self.packed, "entries")


def places_of(listing, index):
    """Where in a Listing the rows `index` (n,) of its source stand, as a list."""
    place = {row: k for k, row in enumerate(listing.index)}
    return [place[row] for row in index.tolist()]


def class_name(text):
    """The name of a class as it is written in a folder's name or in a table: composed accents, no spaces around it."""
    return unicodedata.normalize("NFC", text).strip()


def bad_name(text):
    """What is wrong with a name that is to be written into files, or None."""
    if len(text) > 255:
        return "longer than 255 characters"
    kinds = {unicodedata.category(letter) for letter in text}
    if "Cs" in kinds:
        return "not in the encoding of this system"
    return "a control character or line break" if kinds & {"Cc", "Zl", "Zp"} else None


def printable(text):
    """The text in one line that any terminal can show."""
    return "".join(letter if bad_name(letter) is None else f"\\u{ord(letter):04x}" for letter in text)
