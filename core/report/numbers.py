"""Numbers as a person reads them."""
import math
from functools import partial


def percent(fraction, space=" "):
    """0.9861 -> 98.6 %, and a dash for what is not known (nan or None)"""
    return "-" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.1f}{space}%"


def decimals(fraction):
    """0.98612 -> 0.986, and a dash for what is not known"""
    return "-" if fraction is None else f"{fraction:.3f}"


def interval(fraction, n, z=1.96):
    """(low, high): Wilson's interval, in which a fraction lies that was found in n of a large number, 95 times of 100.

    (f + z^2 / 2n -+ z sqrt(f (1 - f) / n + z^2 / 4n^2)) / (1 + z^2 / n)
    """
    if n == 0:
        return 0.0, 1.0
    centre, scale = fraction + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(max(0, fraction * (1 - fraction)) / n + (z / (2 * n)) ** 2)
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


unbroken = partial(percent, space="\u00a0")                  # for the page, whose lines may end at any other space


def counted(number, one):
    """1 image, 2 images"""
    return f"{number} {one}{'' if number == 1 else 's'}"


def known(value):
    """value, or None for nan: JSON has no nan."""
    return None if isinstance(value, float) and math.isnan(value) else value
