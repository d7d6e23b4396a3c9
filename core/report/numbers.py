"""Numbers as a person reads them."""
import math
from functools import partial


def percent(fraction, space=" "):
    """0.9861 -> 98.6 %, and a dash for what is not known (nan or None)"""
    return "-" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.1f}{space}%"


def decimals(fraction):
    """0.98612 -> 0.986, and a dash for what is not known"""
    return "-" if fraction is None else f"{fraction:.3f}"


unbroken = partial(percent, space="\u00a0")                  # for the page, whose lines may end at any other space


def known(value):
    """value, or None for nan: JSON has no nan."""
    return None if isinstance(value, float) and math.isnan(value) else value
