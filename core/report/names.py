"""Names of classes in pictures: matplotlib's own font does not have the letters of every script.

A letter that it lacks comes from a font of this computer. A name that no font can write is replaced by the number of
its class, which classes.txt and the page explain.
"""
from functools import cache

OWN = "DejaVu Sans"
LENGTH = 24                            # letters of a name beside a picture
BOXES = "last resort"                  # fonts that have a box for every letter
PREFERRED = ("noto", "source han", "droid", "wenquanyi", "unifont")        # of several fonts that have a letter


def drawable(names, numbers):
    """(families of fonts, [text of each name], a remark or "") by which matplotlib draws the names of classes."""
    fonts, families = regular_fonts(), [OWN]
    missing = {letter for letter in set("".join(names)) - letters_of(fonts.pop(OWN)) if not letter.isspace()}
    for family in sorted(fonts, key=lambda name: (not name.lower().startswith(PREFERRED), name)) if missing else ():
        if missing & (found := letters_of(fonts[family])):
            families.append(family)
            missing -= found
    texts = [str(c) if missing & set(name) else escaped(name) for c, name in zip(numbers, names)]
    remark = "numbers: classes.txt has their names" if any(missing & set(name) for name in names) else ""
    return families, texts, remark


def escaped(name):
    """A name in one line of limited length that matplotlib does not take for a formula."""
    return shortened(" ".join(name.split()), LENGTH).replace("$", r"\$")


def shortened(name, length):
    """The name, or its two ends: species and variety, plant and disease."""
    half = length // 2
    return name if len(name) <= length else f"{name[:half]}…{name[1 - half:]}"


def regular_fonts():
    """{family: file} of the upright fonts of usual weight on this computer and in matplotlib."""
    from matplotlib.font_manager import fontManager  # imported where needed: demo.py starts sooner

    return {entry.name: entry.fname for entry in fontManager.ttflist
            if (entry.style, entry.weight, entry.stretch) == ("normal", 400, "normal")
            and not entry.name.lower().startswith(BOXES)}


@cache
def letters_of(file):
    """The letters that a font has; none where it can't be drawn, as those of colours."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(file)
        font.set_size(12, 100)
        return frozenset(map(chr, font.get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()
