"""From image files to the small colour images that the network sees, on all processors.

Every image is turned upright as its camera noted, made 8-bit RGB, cut to the largest square in its middle, and resized
to S x S pixels by Lanczos' filter, which averages where it shrinks. An image that is S x S already keeps its pixels.

    16 bits a channel    the upper 8 of them: scaled, not clipped
    32 bits a channel    from the darkest to the brightest value of the image, as nothing says what white is
    transparent          on white
    CMYK, palette, grey  converted to RGB
    several frames       the first

Files are not trusted: only the FORMATS are opened, whatever a file is called; what claims more than LARGEST pixels is
refused before it is unpacked; every file is decoded to its end, so that one that was cut off is found.
"""
import signal
import threading
import warnings
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np

from core.errors import InputError, pass_on

VERSION = 1                            # of the rules above: stored images of other versions are not used
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "GIF", "TIFF", "WEBP")
LARGEST = 80_000_000                   # pixels: half a gigabyte while it is decoded
GAP = 3                          # a JPEG is unpacked at a half, quarter or eighth that is still so many times too large
CHUNK = 32                             # images that a process is given at a time
FEW = 256                              # images for which starting processes takes longer than decoding


def decode(paths, size, jobs):
    """Yield (images (n, S, S, 3) uint8, shapes (n, 2), reasons [n]) of the paths in order, piece by piece.

    shapes: height and width as stored, 0 where an image can't be read; reasons: why, or None. With jobs > 1 that many
    processes share the work, and are gone when the generator is. Raises InputError if one of them is killed.
    """
    pieces = [paths[k:k + CHUNK] for k in range(0, len(paths), CHUNK)]
    yield from shared_out(partial(decode_piece, size=size), pieces, jobs if len(paths) > FEW else 1)


def shared_out(work, pieces, jobs):
    """Yield work(piece) of all pieces in order. With jobs > 1 that many processes share them, and are gone when the
    generator is. Raises InputError if one of them is killed.
    """
    if jobs == 1:
        yield from map(work, pieces)
        return
    from concurrent.futures.process import BrokenProcessPool  # imported where needed: demo.py starts sooner

    from joblib.externals.loky import ProcessPoolExecutor

    waiting = deque()
    try:
        executor = ProcessPoolExecutor(jobs)
    except OSError:                    # no shared memory for its locks: /dev/shm is missing, or can only be read
        yield from map(work, pieces)
        return
    try:
        with deaf():
            waiting.append(executor.submit(work, pieces[0]))
        for piece in pieces[1:]:
            waiting.append(executor.submit(work, piece))
            if len(waiting) > 4 * jobs:                              # far enough ahead: results take memory
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise InputError("a process that decoded images was killed, most likely because the memory "
                         "was full: close other programs, or decode in fewer processes with --ranks") from None
    finally:                           # no process or thread may be left when the training makes its own
        for future in waiting:
            future.cancel()
        executor.shutdown()


@contextmanager
def deaf():
    """Processes that are started in the block never hear Ctrl-C: their parent does, and ends them."""
    if threading.current_thread() is not threading.main_thread():    # only there Python lets change it
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def decode_piece(paths, size, resample="LANCZOS"):
    """(images, shapes, reasons) of a few paths."""
    images, shapes = np.zeros((len(paths), size, size, 3), np.uint8), np.zeros((len(paths), 2), np.int32)
    reasons = [None] * len(paths)
    for k, path in enumerate(paths):
        try:
            images[k], shapes[k] = decode_one(path, size, resample)
        except Exception as error:     # which one a damaged image raises is left open by Pillow
            if isinstance(error, OSError):
                pass_on(error)         # too many open files: the image is not damaged
            reasons[k] = reason(error)
    return images, shapes, reasons


def decode_one(path, size, resample="LANCZOS"):
    """(S, S, 3) uint8, and (height, width) as stored. Raises all kinds of exceptions."""
    from PIL import Image, ImageOps

    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")                              # of odd metadata
        image = Image.open(file, formats=FORMATS)
        W, H = image.size
        if W * H > LARGEST:
            raise ValueError(f"{W} x {H} pixels are more than {LARGEST:,}: make it smaller")
        image.draft(None, (GAP * size, GAP * size))
        image.load()
        with suppress(Exception):                                    # a note that cannot be read turns nothing
            ImageOps.exif_transpose(image, in_place=True)
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        image = rgb(image.crop((left, top, left + side, top + side)))
        return np.asarray(image.resize((size, size), Image.Resampling[resample], reducing_gap=GAP)), (H, W)


def rgb(image):
    """The image in 8-bit RGB."""
    from PIL import Image

    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(eight_bits(np.asarray(image), image.mode))
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer, page = image.convert("RGBA"), Image.new("RGB", image.size, "white")
    page.paste(layer, mask=layer.getchannel("A"))
    return page


def eight_bits(values, mode):
    """Grey values (H, W) of 16 or 32 bits as uint8."""
    low, high = float(values.min()), float(values.max())
    if mode != "F" and low >= 0 and high < 1 << 16:                  # mode I;16, or a 16-bit PGM in mode I
        return (values >> 8).astype(np.uint8)
    if not high - low < 1e38:                                        # nor is a comparison with nan true
        raise ValueError("some of its values are not finite")
    values = values.astype(np.float32)
    values -= low
    values *= 255 / max(high - low, 1e-30)
    return np.rint(values, out=values).astype(np.uint8)


def reason(error):
    """An exception in a few words, in one line."""
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known kind, or its beginning is damaged"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {LARGEST:,} pixels: make it smaller"
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(words.split())[:120]
