"""Photographs as a person wants to see them: from the original, uncut, upright, small.

The network saw the middle square of a file at S x S pixels (core/data/images.py). A person sees the whole of it, at
most `side` pixels long. The middle square has to agree with what the network saw, else the file has changed since then.
"""
import io
from contextlib import suppress

import numpy as np

from core.data.formats import check_size, opened
from core.data.images import rgb

SAME = 30                              # mean difference of two pictures of one photo at most, of 255 grey levels
COMPARED = 32                          # pixels to the side at which they are compared


def photo(original, seen, side):
    """A photo as a PIL image in RGB, at most `side` pixels long; what the network saw of it is `seen` (S, S, 3) uint8.

    original: the path of its file, or its bytes. None where it is missing, damaged, too large, or another one by now.
    """
    from PIL import Image, ImageOps  # imported where needed: demo.py starts sooner

    try:
        with io.BytesIO(original) if isinstance(original, bytes) else open(original, "rb") as file:
            image = opened(file)
            stored = image.size
            image.draft(None, (2 * side, 2 * side))                  # of a JPEG: 35 ms instead of 103 at 12 megapixels
            check_size(image, stored, file)
            with suppress(Exception):                                # a note that cannot be read turns nothing
                ImageOps.exif_transpose(image, in_place=True)
            found = of_many_bits(image, seen, side) if image.mode.startswith(("I", "F")) else smaller(rgb(image), side)
        return found if agree(found, Image.fromarray(seen)) else None
    except Exception:                  # which one a damaged image raises is left open by Pillow
        return None


def smaller(image, side):
    """The image, at most `side` pixels long, in its own proportions."""
    image.thumbnail((side, side), resample=3, reducing_gap=3.0)      # bicubic
    return image


def middle(image):
    """The largest square in the middle of an image."""
    length = min(image.size)
    left, top = ((size - length) // 2 for size in image.size)
    return image.crop((left, top, left + length, top + length))


def agree(image, seen):
    """Whether the middle of an image is what the network saw."""
    length = min(COMPARED, *image.size, *seen.size)
    a, b = (np.asarray(middle(picture).resize((length, length), resample=1, reducing_gap=3.0), float)      # Lanczos
            for picture in (image, seen))
    return abs(a - b).mean() <= SAME


def of_many_bits(image, seen, side):
    """A grey image of 16 or 32 bits, as bright as the network saw it.

    How its values became 8 bits depends on the whole set. The straight line from its values to those that the network
    saw is found by least squares.
    """
    from PIL import Image

    values = smaller(Image.fromarray(np.asarray(image).astype(np.float32)), side)
    x = np.asarray(middle(values).resize(seen.shape[:2], resample=1), float)
    y = seen.mean(axis=2)
    slope = ((x - x.mean()) * (y - y.mean())).mean() / max(x.var(), 1e-30)
    bright = slope * (np.asarray(values) - x.mean()) + y.mean()
    return Image.fromarray(np.clip(np.rint(bright), 0, 255).astype(np.uint8)).convert("RGB")
