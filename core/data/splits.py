"""Folders that are parts of a set (train, test, ...) where classes are expected, and classes a level too deep.

Only names are looked at. `tree` is a folder as a dict {name: the same of a folder in it}, of folders with images alone.
"""
import re

from core.data.listing import Finding
from core.errors import InputError

PARTS = {                              # words for the parts of a set, in the order in which they serve
    "training": "train training trains trn trainval",
    "test": "test testing tests tst eval evaluation heldout holdout",
    "validation": "val valid validate validation vali dev devel development"}
PART_OF = {word + end: part for part, words in PARTS.items() for word in words.split()
           for end in ("", "set", "data", "images", "imgs", "split")}
UNLABELLED = {"unlabeled", "unlabelled", "unsupervised", "unsup", "extra", "pred", "predict", "prediction",
              "predictions", "query", "gallery"}
NEUTRAL = {"set", "sets", "data", "dataset", "images", "image", "imgs", "img", "split", "splits", "folder", "files",
           "photos", "pictures", "part", "subset"}
DEPTH = 5                              # levels of folders below which no parts are looked for


def tree_of(paths):
    """The tree of some paths of files, with / between the parts."""
    tree = {}
    for path in paths:
        node = tree
        for name in path.split("/")[:-1]:
            node = node.setdefault(name, {})
    return tree


def check_levels(root, tree):
    """Raises InputError where the folders of `root` are not classes but parts of a set, or one folder of classes."""
    if found := find_parts(tree):
        place, names, node = found
        where = "/".join([str(root), *place])
        raise InputError(f"{where} has the folders {', '.join(names)} of a split set instead of one for each class: "
                         f"{advice(where, names, node)}")
    if len(tree) == 1 and (place := classes_below(tree)):
        raise InputError(f"{root} has images of one class only, {place[0]!r}, with {listed(below_of(tree))} in it: "
                         f"give {'/'.join([str(root), *place])} with --data if those are the classes")


def about_levels(tree):
    """Findings about classes that consist of folders."""
    found, homes = [], {}
    for name, inside in tree.items():
        for lower in inside if len(inside) > 1 else ():
            homes.setdefault(lower, []).append(name)
    shared = {lower: names for lower, names in homes.items() if len(names) > 1}
    parts = [lower for lower in shared if part_of(lower)]
    for lower in parts:
        found.append(Finding("parts", f"{shared[lower][0]}/{lower}", others(shared[lower][1:])))
    if len(shared) - len(parts) > 1:
        found += [Finding("levels", f"{names[0]}/{lower}", others(names[1:]))
                  for lower, names in shared.items() if lower not in parts]
    for name, inside in tree.items():
        copied = [lower for lower in below_of(inside) if lower in tree]
        if part_of(name) and classes_below(inside) is not None:
            found.append(Finding("levels", name, f"a part of a set by its name, with {listed(below_of(inside))} in it"))
        elif len(copied) > 1:
            found.append(Finding("levels", name, f"has folders called like the classes beside it, {listed(copied)}"))
        elif part_of(name) and not part_of(name)[1] or is_unlabelled(name):
            found.append(Finding("part", name))
        elif len(inside) > 1 and not any(lower in shared for lower in inside):
            found.append(Finding("deeper", name, listed(inside)))
    return found


# ---- names ---------------------------------------------------------------------------------------------------------

def part_of(name):
    """(part, what else the name says) where a folder is called like a part of a set: train_2017 -> ("training", ())"""
    words = re.findall(r"[^\W\d_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    words = [word.casefold() for word in words]
    parts = [PART_OF[word] for word in words if word in PART_OF]
    rest = tuple(word for word in words if word not in PART_OF and word not in NEUTRAL)
    return (parts[0], rest) if parts else None


def parts_among(tree):
    """The names of the folders of a tree that are parts of one set, in the order of PARTS; none if there are not two.

    Two parts of a set have names that differ in the word for the part alone, so that the classes `train` and
    `test tube` are none. Parts of one kind (train1, train2), and one part beside unlabelled images, are parts if
    there are folders in them.
    """
    groups = {}
    for name in tree:
        if found := part_of(name):
            groups.setdefault(found[1], []).append(name)
    for names in groups.values():
        names.sort(key=lambda name: list(PARTS).index(part_of(name)[0]))
        if len({part_of(name)[0] for name in names}) > 1:
            return names
        homes = [set(below_of(tree[name])) for name in names]
        if len(names) > 1 and len(set.intersection(*homes)) > 1:
            return names
        rest = [name for name in tree if name not in names]
        if rest and all(is_unlabelled(name) for name in rest) and classes_below(tree[names[0]]) is not None:
            return [*names, *rest]
    return []


def is_unlabelled(name):
    """Whether a folder is called like one of images without labels."""
    return any(word.casefold() in UNLABELLED for word in re.findall(r"[^\W\d_]+", name))


# ---- levels --------------------------------------------------------------------------------------------------------

def find_parts(tree):
    """(path as names, the names of the parts there, the tree there) nearest to the top, or None.

    Below the top they count if they have classes in them: cat/train and dog/train are no parts of a set.
    """
    waiting = [((), tree)]
    while waiting:
        place, node = waiting.pop(0)
        names = parts_among(node)
        if names and (not place or any(classes_below(node[name]) is not None for name in names)):
            return place, names, node
        waiting += [((*place, name), inside) for name, inside in node.items() if inside and len(place) < DEPTH]
    return None


def classes_below(tree):
    """The way, as names, to the first level at which a tree has several folders; None if it has none."""
    place = []
    while len(tree) == 1:
        (name, tree), = tree.items()
        place.append(name)
    return tuple(place) if tree else None


def below_of(tree):
    """The names of the folders at that level."""
    for name in classes_below(tree) or ():
        tree = tree[name]
    return tree


def advice(where, names, tree):
    """What to give instead of the folder `where` with these parts."""
    places = {name: "/".join([where, name, *place]) for name in names
              if (place := classes_below(tree[name])) is not None}
    if not places:
        return "put the images of each class into a folder with its name, or give a table path,label as .csv"
    data, *rest = places
    test = next((name for name in rest if part_of(name) and part_of(name)[0] != part_of(data)[0]), None)
    if test is None:
        return f"give {places[data]} with --data"
    return f"give {places[data]} with --data and {places[test]} with --test"


def others(names):
    """and a, b, 7 more"""
    return f"and {listed(names)}"


def listed(names, shown=3):
    """a, b, c, 7 more"""
    names = list(names)
    return ", ".join([*names[:shown], *[f"{len(names) - shown} more"] * (len(names) > shown)])
