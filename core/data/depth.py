"""Bit depth: which value of an image of 16 or 32 bits is black and which white. What the whole set uses decides.

Cameras, detectors and microscopes write 10, 12 or 14 bits into files of 16. Stretching each image by itself would take
away its brightness, which may be what tells the classes apart, so all images of a set share one level:

    whole numbers    white is the smallest 2^bits - 1 that holds what the set uses, black is 0
    offset           where the set uses less than an eighth of that, all of it high up: from its lowest to its highest
    negative, 32 bits, fractions    from the lowest to the highest of the set

Hot pixels and burnt-in letters do not decide: a thousandth of the pixels of an image may lie above and as many below,
and a hundredth of the images. What lies outside is clipped.

n images, H x W pixels.
"""
import numpy as np

WHOLE, FRACTIONS = 1, 2                # kinds of values; 0: an image of 8 bits
PIXELS, IMAGES = 1000, 100             # one of so many may lie outside, at either end
NARROW = 8                             # a range is narrow if it is so many times smaller than the bits that it takes
SAMPLE = 1_000_000                     # pixels of an image that are looked at


def kind_of(values):
    """WHOLE or FRACTIONS"""
    return FRACTIONS if values.dtype.kind == "f" else WHOLE


def measured(values):
    """(kind, lowest, highest) of the values of one image, without the outermost thousandth at either end.

    Raises ValueError for values that are not finite.
    """
    values, outside = values.ravel(), values.size // PIXELS
    last = values.size - 1 - outside
    low, high = map(float, np.partition(values, (outside, last))[[outside, last]])
    if not high - low < 1e38:                                # nor is a comparison with nan true
        raise ValueError("some of its values are not finite")
    return kind_of(values), low, high


def levels(depths):
    """{kind: (black, white)} of a set; depths (n, 3): kind, lowest, highest of each image."""
    found = {}
    for kind in (WHOLE, FRACTIONS):
        _, lows, highs = depths[depths[:, 0] == kind].T
        if len(lows):
            outside = len(lows) // IMAGES
            found[kind] = level(kind, np.sort(lows)[outside], np.sort(highs)[-1 - outside])
    return found


def level(kind, low, high):
    """(black, white) for values from low to high."""
    if kind == WHOLE and 0 <= low and high < 1 << 16:
        white = (1 << max(1, int(high).bit_length())) - 1
        if low == high or NARROW * (high - low) > white:
            return 0.0, float(white)
    return float(low), float(high)


def eight_bits(values, black, white):
    """Values of any shape as uint8: 0 for black and less, 255 for white and more."""
    if not np.isfinite(values).all():
        raise ValueError("some of its values are not finite")
    bits = int(white).bit_length()
    if values.dtype.kind != "f" and black == 0 and 8 <= bits <= 16 and white + 1 == 1 << bits:
        return (np.clip(values, 0, int(white)) >> (bits - 8)).astype(np.uint8)       # 16 bits: the upper eight
    scaled = (values.astype(np.float64) - black) * (255 / max(white - black, 1e-30))
    return np.rint(scaled.clip(0, 255)).astype(np.uint8)


def note(depths, found):
    """A line about the images of more than 8 bits, as a list; found: their levels."""
    lines = []
    for kind, (black, white) in found.items():
        n = int((depths[:, 0] == kind).sum())
        values = "whole numbers" if kind == WHOLE else "fractions"
        lines += [f"{n} images of 16 or 32 bits ({values}): {black:,.6g} is shown as black and {white:,.6g} as white, "
                  "in all of them"] * (n > 0)
    return lines


def clipped(depths, found):
    """[(row, detail)] of the images that are brighter or darker than the level of the set."""
    rows = []
    for row in np.flatnonzero(depths[:, 0]):
        kind, low, high = depths[row]
        black, white = found[int(kind)]
        if low < black or high > white:
            rows.append((int(row), f"{low:,.6g} to {high:,.6g}"))
    return rows
