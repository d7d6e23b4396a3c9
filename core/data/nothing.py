"""Why a folder or a table has no images, said by what was found in it, with a remedy."""
import os
from pathlib import Path

from core.data.class_names import meant
from core.data.listing import NOWHERE
from core.errors import InputError, need


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
            "closed": [f"folders that cannot be opened ({n}), for example {first.path}: check the permissions"],
            "run": [f"output of this program ({n}), for example {first.path}: give the folder of your images"],
        }.get(kind, [])
    need(not sentences, f"{root} has no images, but {'; '.join(sentences[:3])}")
    raise InputError(f"{root} has no images: {EMPTY}")


def nearest(path):
    """What may have been meant by a path that is not there, in words; "" where nothing beside it is called like it."""
    path = Path(os.path.abspath(path))
    try:
        return meant(path.name, os.listdir(path.parent))
    except OSError:
        return ""


EMPTY = ("give a folder with a folder of images for each class, or a .csv table with the columns path and label")
