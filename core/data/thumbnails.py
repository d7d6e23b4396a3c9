"""Images as text: small JPEGs in data URIs, for pages that have to be one file of limited size.

Where there are originals the pictures are made from them (core/data/photos.py), else from what the network saw.
"""
import base64
import io
import warnings
from typing import NamedTuple

from core.data.photos import photo, smaller

LEVELS = ((192, 85), (192, 70), (160, 60), (128, 50), (96, 45))        # (longer side, quality), the best first
SMALL = LEVELS[-1][0]                  # up to this side colours are not thinned out: there are none to spare
TRIED = 24                             # so many images or more, by which a level is chosen


class Picture(NamedTuple):
    """One image on a page."""
    uri: str
    size: tuple                        # (width, height)
    whole: bool                        # the original, uncut; else what the network saw


def pictures(images, originals, rows, budget, jobs=1, levels=LEVELS):
    """{row: Picture} of `rows` in their order, until `budget` characters are used up.

    images (N, S, S, 3) uint8: what the network saw; originals: function of a row that gives the path of its file or
    its bytes, or None where there are none. All are of one of the `levels`, the best at which all of them fit, else
    the last.
    """
    from concurrent.futures import ThreadPoolExecutor

    rows = [int(row) for row in rows]
    some = rows[::max(1, len(rows) // TRIED)]
    found = {}
    with warnings.catch_warnings(), ThreadPoolExecutor(jobs) as executor:
        warnings.simplefilter("ignore")                              # of odd metadata

        def drawn(part, level):
            return executor.map(lambda row: picture(images[row], originals and originals(row), level), part)

        level = next((level for level in levels[:-1] if len(rows) * mean_length(drawn(some, level)) < budget),
                     levels[-1])
        for row, made in zip(rows, drawn(rows, level)):
            budget -= len(made.uri)
            if budget < 0:
                executor.shutdown(cancel_futures=True)
                break
            found[row] = made
    return found


def mean_length(made):
    """The mean number of characters of some Pictures."""
    lengths = [len(one.uri) for one in made]
    return sum(lengths) / max(1, len(lengths))


def picture(seen, original, level):
    """The Picture of one image: of its original if there is one and it shows what the network saw."""
    from PIL import Image  # imported where needed: demo.py starts sooner

    side, quality = level
    found = photo(original, seen, side) if original else None
    image = smaller(Image.fromarray(seen), side) if found is None else found
    return Picture(data_uri(image, quality), image.size, found is not None)


def data_uri(image, quality):
    """A PIL image as a JPEG in text."""
    file = io.BytesIO()
    thinned = 0 if max(image.size) <= SMALL else 2                   # JPEG's 4:4:4 and 4:2:0
    image.save(file, "JPEG", quality=quality, subsampling=thinned, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
