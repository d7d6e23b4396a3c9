"""From image files to the small colour images that the network sees, on all processors.

Every image is turned upright as its camera noted, made 8-bit RGB, cut to the largest square in its middle, and resized
to S x S pixels by Lanczos' filter, which averages where it shrinks. An image that is S x S already keeps its pixels.

    16 or 32 bits        scaled by the levels that the whole set shares (core/data/depth.py)
    transparent          on white
    CMYK, palette, grey  converted to RGB
    several frames       the first

Files are not trusted: only the FORMATS are opened, whatever a file is called; what claims too many pixels is refused
before it is unpacked; every file is decoded to its end, so that one that was cut off is found. An image is converted a
few rows at a time, so that it is held once.
"""
import io
import signal
import threading
from collections import deque
from contextlib import contextmanager, suppress
from functools import partial

import numpy as np

from core.data import depth, kinds
from core.data.formats import check_size, low_bytes, opened, silent, without_text
from core.errors import InputError, pass_on

VERSION = 2                            # of the rules above: stored images of other versions are not used
GAP = 3                          # a JPEG is unpacked at a half, quarter or eighth that is still so many times too large
ROWS = 1 << 20                         # pixels that are converted at a time
CHUNK = 32                             # images that a process is given at a time
FEW = 256                              # images for which starting processes takes longer than decoding
TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
         7: "TRANSVERSE", 8: "ROTATE_90"}                              # by EXIF orientation


def decode(paths, size, jobs, levels=None, resample="LANCZOS"):
    """Yield (images (n, S, S, 3) uint8, shapes (n, 2), reasons [n], depths (n, 3)) of the paths in order, in pieces.

    shapes: height and width as stored, 0 where an image can't be read; reasons: why, or None; depths: kind, lowest and
    highest value of an image of more than 8 bits, else 0 (core/data/depth.py). levels: {kind: (black, white)}; without
    them each image has its own. With jobs > 1 that many processes share the work, and are gone when the generator is.
    Raises InputError if one of them is killed.
    """
    pieces = [paths[k:k + CHUNK] for k in range(0, len(paths), CHUNK)]
    work = partial(decode_piece, size=size, resample=resample, levels=levels)
    yield from shared_out(work, pieces, jobs if len(paths) > FEW else 1)


def shared_out(work, pieces, jobs):
    """Yield work(piece) of all pieces in order. With jobs > 1 that many processes share them, and are gone when the
    generator is. Raises InputError if one of them is killed.
    """
    if jobs == 1:
        yield from map(work, pieces)
        return
    pieces = iter(pieces)
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
            waiting.append(executor.submit(work, next(pieces)))
        for piece in pieces:
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


def decode_piece(paths, size, resample="LANCZOS", levels=None):
    """(images, shapes, reasons, depths) of a few paths."""
    images, shapes = np.zeros((len(paths), size, size, 3), np.uint8), np.zeros((len(paths), 2), np.int32)
    reasons, depths = [None] * len(paths), np.zeros((len(paths), 3))
    for k, path in enumerate(paths):
        try:
            images[k], shapes[k], depths[k] = decode_one(path, size, resample, levels)
        except Exception as error:     # which one a damaged image raises is left open by Pillow
            if isinstance(error, OSError):
                pass_on(error)         # too many open files: the image is not damaged
            reasons[k] = reason(error, path)
    return images, shapes, reasons, depths


def decode_one(path, size, resample="LANCZOS", levels=None):
    """(S, S, 3) uint8, (height, width) as stored, and (kind, lowest, highest). Raises all kinds of exceptions."""
    with stream_of(path) as file:
        try:
            return decoded(file, size, resample, levels)
        except ValueError as error:
            if "MAX_TEXT" not in str(error):
                raise
        return decoded(without_text(file), size, resample, levels)


def stream_of(path):
    """A file to read; instead of a path its bytes may be given, as they come from an archive."""
    return io.BytesIO(path) if isinstance(path, bytes) else open(path, "rb")


def decoded(file, size, resample, levels):
    """As decode_one, of an open file."""
    from PIL import Image

    image = opened(file)
    W, H = image.size
    image.draft(None, (GAP * size, GAP * size))
    check_size(image, (W, H), file)
    with silent(image):
        low = low_bytes(image, file)                                 # of 16 bits a colour, which Pillow cuts to eight
        image.load()
    small, box, found = shrunk(image, low, size, levels or {})
    small = small.resize((size, size), Image.Resampling[resample], box)
    with suppress(Exception):                                        # a note that cannot be read turns nothing
        if turn := TURNS.get(image.getexif().get(0x0112)):
            small = small.transpose(Image.Transpose[turn])
    return np.asarray(small), (H, W), found


def shrunk(image, low, size, levels):
    """(the middle square in RGB, GAP times too large or a little more; the box of it that counts; depth).

    As resize(reducing_gap=GAP) would do it, but a few rows at a time.
    """
    from PIL import Image

    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    factor = max(1, int(side / size / GAP))
    rows = max(1, ROWS // side // factor) * factor
    boxes = [(left, top + y, left + side, top + min(y + rows, side)) for y in range(0, side, rows)]
    found, convert = (0, 0, 0), rgb
    if low or image.mode.startswith(("I", "F")):
        step = max(1, round(side / depth.SAMPLE ** 0.5))
        sample = [values_of(image, low, box)[::step, ::step].ravel() for box in boxes]
        found = depth.measured(np.concatenate(sample))
        level = levels.get(found[0]) or depth.level(*found)
        convert = partial(of_many_bits, level=level, low=low)
    small = Image.new("RGB", (-(-side // factor),) * 2)
    for box in boxes:
        part = convert(image, box=box)
        small.paste(part.reduce(factor) if factor > 1 else part, (0, (box[1] - top) // factor))
    return small, (0, 0, side / factor, side / factor), found


def values_of(image, low, box):
    """The values of a part of an image of many bits; low: the lower bytes of its colours, or None."""
    values = np.asarray(image.crop(box))
    if low is None:
        return values
    return values[..., :3].astype(np.uint16) << 8 | np.asarray(low.crop(box))[..., :3]


def of_many_bits(image, box, level, low):
    """A part of an image of many bits in 8-bit RGB."""
    from PIL import Image

    part = Image.fromarray(depth.eight_bits(values_of(image, low, box), *level))
    if low and image.mode == "RGBA":
        part.putalpha(image.crop(box).getchannel("A"))
    return rgb(part)


def rgb(image, box=None):
    """An image of 8 bits, or a part of it, in RGB."""
    from PIL import Image

    image = image if box is None else image.crop(box)
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer, page = image.convert("RGBA"), Image.new("RGB", image.size, "white")
    page.paste(layer, mask=layer.getchannel("A"))
    return page


def reason(error, path):
    """An exception about a file, or about the bytes of one, in a few words, in one line."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        packed = isinstance(path, bytes)
        kind = kinds.kind_of(path[:kinds.HEAD] if packed else kinds.beginning(path))
        kind = kind or (None if packed else kinds.KIND_OF.get(kinds.ending_of(str(path))))
        if kind is None:
            return "not an image of a known kind, or its beginning is damaged"
        if kind in kinds.READ and kind not in kinds.REMEDY:          # lossless JPEG, TIFF of 64 bits, ...
            return f"{kind}, but damaged or of a variety that is not read: save it again"
        return kind if kind == "an empty file" else kinds.with_remedy(kind)
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(words.split())[:120]
