"""The images of arrays as a Listing, and from their numbers to the small colour images that the network sees.

S pixels to the side of an image as the network sees it.
"""
import io
import os
from pathlib import Path

import numpy as np

from core.data import arrays, depth
from core.data.arrays import BLOCK, ENDINGS, MOST, Member
from core.data.how import UNSAID
from core.data.images import GAP, rgb
from core.data.listing import Finding, Listing, bad_name, printable
from core.errors import need

SHAPES = "save them as (n, H, W), (n, H, W, 3) or (n, 3, H, W)"


def holds_arrays(path):
    """Whether `path` is an array, or a folder that holds arrays of images and no folders."""
    path = Path(path)
    if not path.is_dir():
        return path.suffix.lower() in ENDINGS
    try:
        with os.scandir(path) as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")]
    except OSError:                    # who reads the folder says so
        return False
    roles = {arrays.role(Path(name).stem) for name,
             folder in found if not folder and name.lower().endswith(".npy")} - {None}
    return not any(folder for _, folder in found) and "images" in {kind for _, kind in roles}


def read_arrays(path, how=UNSAID, test=False):
    """Listing of the images in an .npz, a .npy or a folder of .npy files; of its test images if `test` and it has them.

    The training images' Listing has those for validation and test in `packed.others`. how.labels are the labels of the
    training images. Raises InputError.
    """
    path = Path(path)
    members, notes = gathered(path, how, test)
    given = None if test else how.labels
    alone = [name for name in members if name.lower() not in arrays.NAMES]           # beside the names of the classes
    found = {"": (*alone, given)} if len(alone) == 1 and given else arrays.pairs(members, path, how)
    main = next(split for split in (("test", "", "val", "train") if test else ("train", "", "val", "test"))
                if split in found)
    known = arrays.class_names(members)
    listings = {split: listing_of(path, members[images], images,
                                  own_labels(given, members[images], path, known) if given and split == main else
                                  arrays.names_of(members[labels], labels, known))
                for split, (images, labels) in found.items() if split in members_of_use(main, test)
                and (split == main or members[images].shape[:1] != (0,))}
    listing = listings.pop(main)
    listing.packed.others.update(listings)
    used = {name for split, pair in found.items() if split == main or split in listings for name in pair}
    left = [name for name in members if name not in used and name.lower() not in arrays.NAMES]
    notes += [f"{path}: the images are {found[main][0]!r}, their labels {str(given or found[main][1])!r}"]
    notes += [f"{path}: not used: {arrays.listed(left)}"] * bool(left)
    return listing._replace(notes=notes)


def members_of_use(main, test):
    """The splits that are read beside the main one: those for validation and test beside training images."""
    return {main} if test or main not in ("train", "") else {main, "val", "test"}


def own_labels(file, member, path, known):
    """As arrays.names_of, of the labels in a file of their own. Raises InputError."""
    labels = arrays.from_file(file, member.shape[0] if member.shape else 0, path)
    return (arrays.names_of(labels, "labels", known) if isinstance(labels, Member)
            else arrays.texts_of(labels, "labels", file, known))


def gathered(path, how, test):
    """({name: Member} of what `path` names and of what lies beside a .npy, notes). Raises InputError."""
    members = arrays.members_of(path)
    if path.suffix.lower() != ".npy" or path.is_dir() or how.labels is not None and not test:
        return members, []
    member, = members.values()
    need(not member.dtype.hasobject, f"{path} holds objects of Python, not images: save the array alone with "
                                     "numpy.save")
    split = (arrays.role(path.stem) or ("", ""))[0]
    beside = [file for file in sorted(path.parent.iterdir()) if arrays.role(file.stem) == (split, "labels")
              and file.suffix.lower() == ".npy" and file.is_file()]
    need(len(beside) == 1, f"{path} has no labels beside it, such as labels.npy: give them with --labels FILE")
    return {"images": member, "labels": arrays.member_of(beside[0], None)}, [f"{path}: the labels are those of "
                                                                             f"{beside[0]}"]


def listing_of(path, member, name, texts):
    """Listing of the images of one array; texts: the name of the class of each, and all in their order.

    Raises InputError for an array that is no images.
    """
    labels, order = texts
    images = Arrays(member, name, order)
    n = member.shape[0]
    need(len(labels) == n, f"{path} has {len(labels)} labels for {n} images, {name!r:.60}: save one for each")
    for label in filter(bad_name, order):
        need(False, f"{path} has a class called {printable(label):.60}: {bad_name(label)} cannot be in a name: change "
                    "it")
    images.places = rows = [row for row, label in enumerate(labels) if label]
    findings = [Finding("unlabelled", f"{name}[{row}]") for row, label in enumerate(labels) if not label]
    return Listing(path, [f"{name}[{row}]" for row in rows], [labels[row] for row in rows], rows, n, findings,
                   packed=images)


class Arrays:
    """The images of one array; what core/data/source.py decodes.

    order: names of the classes; others: {"val" or "test": Listing}; files: on which stored images depend; levels: as
    of core/data/depth.py, what these images alone use, empty for bits and 8 bits.
    """

    def __init__(self, member, name, order):
        """Raises InputError for an array that is no images."""
        self.member, self.name, self.order, self.others = member, name, order, {}
        self.files = [os.path.abspath(member.path)]
        self.places = ()                                     # in the array, of the rows of the Listing
        self.layout = layout(member, name)
        self.levels = {}
        if member.dtype.kind != "b" and member.dtype != np.uint8:
            self.low, self.high = self.extremes()
            self.levels[depth.kind_of(member)] = level(self.low, self.high, member.dtype.kind)

    def notes(self, levels):
        """A line about what is shown as black and as white by the levels of the training images, as a list."""
        lines = []
        for black, white in map(levels.get, self.levels):
            outside = f", those from {self.low:g} to {self.high:g} cut off there"
            lines += [f"{self.member.path}: the values of {self.name!r} from {black:g} to {white:g} are shown as 0 to "
                      "255" + outside * (self.low < black or self.high > white)]
        return lines

    def blocks(self):
        """Yield (number of the first, images (k, ...)) of all."""
        item = max(1, self.member.dtype.itemsize * int(np.prod(self.member.shape[1:], dtype=np.int64)))
        first = 0
        for block in self.member.read(max(1, BLOCK // item)):
            yield first, block
            first += len(block)

    def blocks_of(self, rows):
        """Yield (images (k, ...), places among them, rows) of all blocks: the places and numbers of some rows."""
        row_of = {self.places[row]: row for row in rows}
        for first, block in self.blocks():
            here = [k for k in range(len(block)) if first + k in row_of]
            yield block, here, [row_of[first + k] for k in here]

    def extremes(self):
        """The lowest and the highest finite value."""
        low, high = np.inf, -np.inf
        for _, block in self.blocks():
            finite = block[np.isfinite(block)] if block.dtype.kind == "f" else block
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
        return low, high

    def decode(self, paths, rows, size, jobs, levels=None, resample="LANCZOS"):
        """Yield (rows, images, shapes, reasons, depths) of some of the paths by row, in pieces.

        levels: of the training images; None: their own. depths: 0, as of images of 8 bits.
        """
        black, white = self.black_and_white(levels)
        for block, here, found in self.blocks_of(rows):
            good = [k for k in here if block.dtype.kind != "f" or np.isfinite(block[k]).all()]
            images = np.zeros((len(here), size, size, 3), np.uint8)
            shapes, reasons = np.zeros((len(here), 2), np.int32), ["some of its values are not finite"] * len(here)
            place = {k: i for i, k in enumerate(here)}
            for k, colours in zip(good, self.colours(block[good], black, white)):
                images[place[k]], shapes[place[k]] = fitted(colours, size, resample), colours.shape[:2]
                reasons[place[k]] = None
            yield found, images, shapes, reasons, np.zeros((len(here), 3))

    def originals(self, paths, rows, levels=None):
        """Yield (row, bytes of a PNG, uncut) of some of the paths by row."""
        black, white = self.black_and_white(levels)
        for block, here, found in self.blocks_of(rows):
            yield from zip(found, map(png, self.colours(block[here], black, white)))

    def black_and_white(self, levels):
        """The values that are shown so: those of the training images' levels, or of their own; of bits 0 and 1."""
        return next(map({**self.levels, **(levels or {})}.get, self.levels), (0, 1))

    def colours(self, block, black, white):
        """Images (k, ...) as (k, H, W, 1, 3 or 4) uint8."""
        block = self.layout(block)
        if block.dtype == np.uint8:
            return block
        scaled = (block.astype(np.float32) - np.float32(black)) * np.float32(255 / (white - black))
        return np.rint(scaled.clip(0, 255)).astype(np.uint8)


def layout(member, name):
    """The function from (k, ...) in the file to (k, H, W, C). Raises InputError for shapes that are no images."""
    shape, n = member.shape, member.shape[0] if member.shape else 0
    said = f"{member.path} has images of shape {shape} and type {member.dtype}, {name!r:.60}"
    need(member.dtype.kind in "biuf", f"{said}: save them as uint8")
    need(0 < n <= MOST, f"{said}: give 1 to {MOST:,} images")
    side = int(round(shape[1] ** 0.5)) if len(shape) == 2 else 0
    known = {"rows": len(shape) == 2 and side > 1 and side * side == shape[1], "grey": len(shape) == 3,
             "last": len(shape) == 4 and shape[3] in (1, 3, 4), "first": len(shape) == 4 and shape[1] in (1, 3, 4)}
    kind = next((kind for kind, good in known.items() if good), None)
    need(kind, f"{said}: {SHAPES}")
    height, width = {"rows": (side, side), "grey": shape[1:3], "last": shape[1:3], "first": shape[2:4]}[kind]
    need(0 < height * width <= 80_000_000, f"{said}: {SHAPES}")
    return {"rows": lambda block: block.reshape(-1, side, side, 1), "grey": lambda block: block[..., None],
            "last": lambda block: block, "first": lambda block: block.transpose(0, 2, 3, 1)}[kind]


def level(low, high, kind):
    """(black, white) for values from low to high: 0 and 255, 0 and 1, -1 and 1 if they fit, else what the set uses."""
    if low >= 0 and high <= 1 and kind == "f":
        return 0.0, 1.0
    if low >= 0 and high <= 255:
        return 0.0, 255.0
    if kind == "f" and low >= -1 and high <= 1:
        return -1.0, 1.0
    if not low < high:
        return 0.0, 1.0
    return (0.0 if low >= 0 and kind != "f" else low), high


def as_image(colours):
    """(H, W, C) uint8 as a PIL image."""
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(colours[..., 0] if colours.shape[2] == 1 else colours))


def png(colours):
    """(H, W, C) uint8 as the bytes of a file, written fast."""
    file = io.BytesIO()
    as_image(colours).save(file, "PNG", compress_level=0)
    return file.getvalue()


def fitted(colours, size, resample="LANCZOS"):
    """(H, W, C) uint8 as (S, S, 3): the middle square, resized as the images of files are."""
    from PIL import Image  # imported where needed: demo.py starts sooner

    image = rgb(as_image(colours))
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    if image.size != (size, size):
        image = image.crop((left, top, left + side, top + side))
        image = image.resize((size, size), Image.Resampling[resample], reducing_gap=GAP)
    return np.asarray(image)
