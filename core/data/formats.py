"""Pillow's formats as this program opens them: HEIC and AVIF where they can be read, limits of memory, all of 16 bits.

W x H pixels.
"""
import io
import logging
import os
import re
import threading
import warnings
from contextlib import contextmanager, suppress
from functools import cache

FORMATS = ("JPEG", "PNG", "PPM", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "HEIF")
LARGEST = 80_000_000                   # pixels: half a gigabyte while they are decoded
USUAL = 6                              # bytes that a pixel takes meanwhile; measured by tests/data/test_formats.py
BYTES = {"WEBP": 18, "AVIF": 18, "HEIF": 18}      # HEIF: taken to be as AVIF
JPEG = ("JPEG", "MPO")                 # MPO: several in one file
FARTHEST = 500_000_000                 # pixels of a JPEG that is unpacked in part: some seconds
DEEP = re.compile(r"(?:RGB|RGBA);16([BLN])")
OTHER = {"B": "L", "L": "B", "N": "B"}     # reads the other of the two bytes; N: this machine's order, the upper last
OPENING = threading.Lock()             # a second thread would take the first one's None for Pillow's limit, and keep it
PNG_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf")         # what the pixels need


@cache
def formats():
    """The FORMATS that can be opened here."""
    from PIL import Image

    try:
        import pillow_heif  # not required: its licence and its libraries are its own
        pillow_heif.register_heif_opener(thumbnails=False)
    except Exception:                  # also where it does not fit this Pillow
        pass
    Image.init()
    logging.getLogger("PIL").addHandler(logging.NullHandler())       # it does not name the file
    return tuple(name for name in FORMATS if name in Image.OPEN)


def opened(file):
    """The image in an open file, not yet decoded. Raises what Pillow raises."""
    from PIL import Image

    known = formats()
    with OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")                              # of odd metadata
        limit = Image.MAX_IMAGE_PIXELS
        try:
            Image.MAX_IMAGE_PIXELS = None                            # check_size has limits that suit each format
            return Image.open(file, formats=known)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextmanager
def silent(image):
    """What libtiff writes to standard error in the block is dropped: it names no file, and Pillow raises as well."""
    kept = None
    with suppress(OSError):            # there may be no standard error
        kept = os.dup(2) if image.format == "TIFF" else None
    if kept is None:
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def check_size(image, stored, file):
    """Raises ValueError for an image that would take more than half a gigabyte.

    stored: (W, H) in the file; a JPEG may be smaller by now (`draft`), and is then never held as a whole.
    """
    W, H = stored
    bytes_a_pixel = BYTES.get(image.format, USUAL)
    if any(DEEP.fullmatch(mode) for mode in modes(image)):
        bytes_a_pixel = 2 * USUAL
    in_part = image.format in JPEG and row_by_row(file)
    if image.format in JPEG and not in_part:
        bytes_a_pixel = max(USUAL, 2 * len(image.getbands()))        # libjpeg keeps 16 bits of each colour
    limit = LARGEST * USUAL // bytes_a_pixel
    if W * H > max(limit, FARTHEST) or (image.width * image.height if in_part else W * H) > limit:
        raise ValueError(f"{W} x {H} pixels are more than {limit:,}: make it smaller")


def row_by_row(file):
    """Whether a JPEG can be decoded so: it is not progressive, and all colours are in one scan."""
    place = file.tell()
    try:
        file.seek(2)
        colours = 0
        while (marker := file.read(2))[:1] == b"\xff":
            length = int.from_bytes(file.read(2), "big")
            segment = file.read(length - 2)
            if marker[1] in (0xC0, 0xC1):
                colours = segment[5]
            if marker[1] == 0xDA:
                return bool(colours) and segment[0] == colours
        return False
    except (IndexError, ValueError):
        return False
    finally:
        file.seek(place)


def low_bytes(image, file):
    """The same image made of the lower bytes of its colours where they have 16 bits, else None.

    Pillow reads the upper ones alone: told that the bytes are in the other order, it reads the lower ones.
    """
    if not all(map(DEEP.fullmatch, modes(image))) or not image.tile:
        return None
    image.load()
    file.seek(0)
    low = opened(file)
    low.tile = [tile._replace(args=other(tile.args)) for tile in low.tile]
    low.load()
    return low


def modes(image):
    """How the parts of an image that is not yet decoded are stored."""
    return [tile.args if isinstance(tile.args, str) else str(tile.args[0]) for tile in image.tile if tile.args]


def other(arguments):
    """The arguments of a decoder with the bytes in the other order."""
    mode = arguments if isinstance(arguments, str) else arguments[0]
    mode = mode[:-1] + OTHER[mode[-1]]
    return mode if isinstance(arguments, str) else (mode, *arguments[1:])


def without_text(file):
    """A PNG in memory with those of its parts that its pixels need. Texts and profiles may have any size."""
    file.seek(0)
    parts = [file.read(8)]
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[:4], "big") + 4                 # and the checksum
        if head[4:] in PNG_CHUNKS:
            parts += [head, file.read(length)]
        else:
            file.seek(length, io.SEEK_CUR)
    return io.BytesIO(b"".join(parts))
