"""The data set of the demo, drawn on the spot: small photographs of house numbers, with one digit in the middle.

Ten digits in the fonts that come with matplotlib, light on dark or dark on light, turned, stretched and shifted,
between neighbours that the border cuts off, in uneven light, a little out of focus, with sensor noise.

The test images, and only they, use the HELD_OUT fonts: each is another weight or slant of a family that training shows,
so its digits were never seen and yet can be known. Fonts without upright figures of one height (cmmi10, cmti10) stay
out. The same seed gives the same bytes, for one version of Pillow and matplotlib.

S pixels to the side of an image, D of the drawing to each pixel of the image.
"""
from io import BytesIO
from math import cos, radians, sin
from pathlib import Path

import numpy as np

from core.data import DataSet, Split
from core.errors import InputError

SHOWN = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-BoldOblique",
         "DejaVuSansMono", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
         "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic",
         "STIXGeneral", "STIXGeneralItalic", "STIXGeneralBolIta", "cmr10", "cmb10", "cmss10", "cmtt10")
HELD_OUT = ("DejaVuSans-Oblique", "DejaVuSansMono-Bold", "DejaVuSerif-BoldItalic", "STIXGeneralBol")
CLASSES = tuple("0123456789")
D = 4


def load(seed=0, train=4000, validation=500, test=1000, size=16):
    """DataSet of `train`, `validation` and `test` images, size x size pixels each, every digit equally often.

    Each split has its own stream of random numbers, and a shorter split is the beginning of a longer one.
    Raises InputError when a font is missing or damaged.
    """
    parts = (train, SHOWN), (validation, SHOWN), (test, HELD_OUT)
    splits = [draw(n, names, size, np.random.default_rng((seed, k))) for k, (n, names) in enumerate(parts)]
    return DataSet("digits", CLASSES, *splits, pad=2, flip=False)


def draw(n, names, size, rng):
    """Split of n images in the fonts `names`. Every ten in a row hold each digit once: any length is balanced."""
    fonts = [open_font(name, D * size) for name in names]
    images, labels = np.empty((n, size, size, 3), np.uint8), np.empty(n, np.int64)
    for i in range(n):
        if i % 10 == 0:
            order = rng.permutation(10)
        labels[i] = order[i % 10]
        paint = lettering(CLASSES[labels[i]], fonts[rng.integers(len(fonts))], rng)
        images[i] = photograph(paint, rng)
    return Split(images, labels, np.arange(n), truth=labels)


def open_font(name, height):
    """The font `name` of matplotlib, `height` pixels to the em. Raises InputError when it is missing or damaged."""
    from matplotlib import get_data_path  # imported where needed: demo.py starts sooner
    from PIL import ImageFont

    path = Path(get_data_path(), "fonts", "ttf", f"{name}.ttf")
    # from memory: given a path, Pillow would take a font of the same name from the system instead of a missing one
    try:
        return ImageFont.truetype(BytesIO(path.read_bytes()), height, layout_engine=ImageFont.Layout.BASIC)
    except OSError as error:
        raise InputError(f"The font {path} of the digits cannot be read: "
                         "restore it with `pip install --force-reinstall matplotlib`") from error


def lettering(digit, font, rng):
    """Coverage (S, S) float32 from 0 to 1, for a font of D * S pixels to the em; `digit` is in the middle."""
    from PIL import Image, ImageDraw, ImageFilter

    side = font.size                                                          # of the drawing, D * S
    before, after = (CLASSES[rng.integers(10)] if rng.random() < 0.6 else "" for _ in range(2))
    text, start = before + digit + after, font.getlength(before)
    wall = Image.new("L", (int(font.getlength(text)) + 2, 2 * side))
    ImageDraw.Draw(wall).text((0, side), text, 255, font, anchor="ls")        # on a baseline at half height

    left, top, right, bottom = font.getbbox(digit, anchor="ls")
    aim = np.array([start + (left + right) / 2, side + (top + bottom) / 2])   # the digit's middle on the wall ...
    place = side * (0.5 + rng.uniform(-0.05, 0.05, 2))                        # ... and in the drawing
    angle, tall, wide = radians(rng.uniform(-8, 8)), rng.uniform(0.68, 0.84), rng.uniform(0.85, 1.15)
    scale = (bottom - top) / (tall * side)                                    # pixels of the wall to one of the drawing
    to_wall = scale * np.array([[cos(angle) / wide, sin(angle) / wide], [-sin(angle), cos(angle)]])

    affine = np.column_stack([to_wall, aim - to_wall @ place]).ravel().tolist()
    drawing = wall.transform((side, side), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    drawing = drawing.filter(ImageFilter.GaussianBlur(D * rng.uniform(0, 0.4)))
    return np.asarray(drawing.reduce(D), np.float32) / 255


def photograph(paint, rng):
    """The photograph of `paint` (S, S) on a wall: (S, S, 3) uint8."""
    dark = rng.uniform(10, 90) + rng.normal(0, 14, 3)
    light = dark + rng.uniform(90, 150) + rng.normal(0, 14, 3)
    wall, colour = (dark, light) if rng.random() < 0.5 else (light, dark)
    image = wall + paint[..., None] * (colour - wall)                         # (S, S, 3)
    down, across = rng.uniform(-0.25, 0.25, 2)
    ramp = np.linspace(-1, 1, len(paint))
    image *= 1 + (down * ramp[:, None] + across * ramp)[..., None]            # the light falls in from one side
    image += rng.normal(0, rng.uniform(2, 8), image.shape)                    # sensor noise
    return image.clip(0, 255).round().astype(np.uint8)
