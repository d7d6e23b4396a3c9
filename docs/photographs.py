"""Photographs to try the program on, and the pictures of its page in docs/own-data.md.

    python docs/photographs.py photos
        draws photos/CLASS/..., 420 JPEG files of 800 x 600 of six classes, a fifth of them in a wrong folder, and
        their true labels into photos-truth.csv beside it
    python demo.py --data photos --truth photos-truth.csv --net small --epochs 40
    python docs/photographs.py --page runs/photos-seed0/report.html
        takes docs/pictures/report-*.png with Chromium and playwright

Each shows one large object somewhere near the middle, and small ones of any class around it. One photo of seven is
upright by its EXIF note alone, as phones store them.
"""
import argparse
import csv
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CLASSES = ("balloon", "house", "mushroom", "sailing boat", "sunflower", "tree")
NUMBER, WRONG = 420, 0.2
PICTURES = Path(__file__).parent / "pictures"


# ---- the photographs -----------------------------------------------------------------------------------------------

def draw_all(folder):
    """The folder of photographs, and the table of their true labels beside it."""
    rng, rows = np.random.default_rng(0), []
    for i in range(NUMBER):
        c, upright = i % len(CLASSES), i % 7 == 3
        given = c if rng.random() >= WRONG else (c + rng.integers(1, len(CLASSES))) % len(CLASSES)
        path = folder / CLASSES[given] / f"IMG_{4000 + i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image, exif = photograph(c, (600, 800) if upright else (800, 600), rng), Image.Exif()
        if upright:
            image, exif[0x0112] = image.rotate(90, expand=True), 6
        image.save(path, quality=88, exif=exif)
        rows.append([path.relative_to(folder).as_posix(), CLASSES[c]])
    with open(folder.with_name(f"{folder.name}-truth.csv"), "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "label"], *rows])


def photograph(c, size, rng):
    """A landscape with an object of class c."""
    width, height = size
    image = landscape(width, height, rng)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 4)):
        DRAW[rng.integers(len(CLASSES))](pen, rng.uniform(0, width), rng.uniform(.55, .9) * height, rng.uniform(10, 25),
                                         rng)
    DRAW[c](pen, rng.uniform(.35, .65) * width, rng.uniform(.4, .6) * height, rng.uniform(80, 150), rng)
    return image.filter(ImageFilter.GaussianBlur(1))


def landscape(width, height, rng):
    """Sky above ground, in any colours, with noise."""
    top, horizon, ground = (rng.integers(*limits, 3) for limits in ((60, 180), (150, 250), (40, 140)))
    y = np.linspace(0, 1, height)[:, None, None]
    pixels = np.where(y < .6, top + (horizon - top) * y / .6, ground * (1.6 - y))
    return Image.fromarray(np.clip(pixels + rng.normal(0, 6, (height, width, 1)), 0, 255).astype(np.uint8))


def balloon(pen, x, y, s, rng):
    pen.ellipse((x - s, y - 1.3 * s, x + s, y + s), fill=colour(rng))
    for side in (-1, 1):
        pen.line((x + side * .5 * s, y + .8 * s, x + side * .2 * s, y + 1.5 * s), fill="black", width=3)
    pen.rectangle((x - .25 * s, y + 1.4 * s, x + .25 * s, y + 1.8 * s), fill="#784f28")


def house(pen, x, y, s, rng):
    pen.rectangle((x - s, y - .7 * s, x + s, y + .7 * s), fill=colour(rng))
    pen.polygon([(x - 1.2 * s, y - .7 * s), (x + 1.2 * s, y - .7 * s), (x, y - 1.6 * s)], fill="#963228")
    pen.rectangle((x - .2 * s, y, x + .2 * s, y + .7 * s), fill="#5a4632")
    pen.rectangle((x + .4 * s, y - .4 * s, x + .8 * s, y), fill="#fff096")


def mushroom(pen, x, y, s, rng):
    pen.rectangle((x - .25 * s, y, x + .25 * s, y + s), fill="#f0e6d2")
    pen.pieslice((x - s, y - .9 * s, x + s, y + .9 * s), 180, 360, fill="#c8281e")
    for spot in (-.5, 0, .45):
        pen.ellipse((x + (spot - .1) * s, y - .6 * s, x + (spot + .1) * s, y - .4 * s), fill="white")


def sailing_boat(pen, x, y, s, rng):
    pen.polygon([(x - s, y), (x + s, y), (x + .6 * s, y + .5 * s), (x - .6 * s, y + .5 * s)], fill="#46323c")
    pen.polygon([(x, y - 1.6 * s), (x, y - .05 * s), (x + s, y - .05 * s)], fill="#fafaf0")
    pen.polygon([(x - .08 * s, y - 1.4 * s), (x - .08 * s, y - .05 * s), (x - .7 * s, y - .05 * s)], fill=colour(rng))


def sunflower(pen, x, y, s, rng):
    pen.line((x, y, x, y + 1.8 * s), fill="#287828", width=max(2, int(.08 * s)))
    for angle in np.arange(12) * np.pi / 6:
        disc(pen, x + .7 * s * np.cos(angle), y + .7 * s * np.sin(angle), .3 * s, "#fac81e")
    disc(pen, x, y, .5 * s, "#643c14")


def tree(pen, x, y, s, rng):
    pen.rectangle((x - .15 * s, y, x + .15 * s, y + s), fill="#5a3c1e")
    for dx, dy in rng.normal(0, .4 * s, (12, 2)):
        disc(pen, x + dx, y - .5 * s + dy, .4 * s, (int(rng.integers(30, 90)), int(rng.integers(100, 180)), 40))


DRAW = (balloon, house, mushroom, sailing_boat, sunflower, tree)


def disc(pen, x, y, radius, fill):
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def colour(rng):
    return tuple(int(value) for value in rng.integers(120, 256, 3))


# ---- the pictures of the page --------------------------------------------------------------------------------------

def take_all(path):
    """docs/pictures/report-*.png of a report.html."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = opened(browser, path, 1180, 1000, "light")
        picture(view, "summary")
        view.set_viewport_size({"width": 1180, "height": 1120})
        picture(view, "pairs", "#classes")
        view.set_viewport_size({"width": 1180, "height": 880})
        view.select_option("[name=order]", "-probability")
        view.focus(".card")
        for key in ("a", "a", "r", "a", "x"):
            view.keyboard.press(key)
        picture(view, "review", "#review")
        view.locator(".card [data-zoom]").nth(5).click()
        view.wait_for_function("document.querySelector('#viewer img').naturalWidth > 192")
        picture(view, "large")
        view = opened(browser, path, 390, 844, "dark")
        picture(view, "phone", "#review")
        browser.close()


def opened(browser, path, width, height, scheme):
    """A tab of that size that shows the page; the script may wait although the page forbids eval."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=True,
                                  has_touch=width < 500)
    view = context.new_page()
    view.goto(Path(path).resolve().as_uri())
    return view


def picture(view, name, place=None):
    """What the tab shows, with some part of the page at its top, as a PNG of 256 colours."""
    if place:
        view.evaluate("place => document.querySelector(place).scrollIntoView()", place)
    view.wait_for_timeout(500)
    path = PICTURES / f"report-{name}.png"
    view.screenshot(path=path)
    image = Image.open(path).convert("RGB")
    image.quantize(palette=image.quantize(256)).save(path, optimize=True)              # dithered


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", nargs="?", type=Path, help="folder to draw the photographs into")
    arguments.add_argument("--page", metavar="HTML", help="take the pictures of this page")
    args = arguments.parse_args()
    if args.folder:
        draw_all(args.folder)
    if args.page:
        take_all(args.page)


if __name__ == "__main__":
    main()
