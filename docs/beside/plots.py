"""The pictures that move, as they are before a script touches them: triangle, plane, curves, errors over h.

beside.js changes the same elements and draws by the same rules; the browser test holds the two together.
"""
import math
import re

import numpy as np

from core.objective import (
    entropy_backward,
    entropy_forward,
    kl_backward,
    kl_forward,
    prior_backward,
    prior_forward,
)
from docs.beside.objective_numbers import ALPHA, BETA, P
from docs.beside.recording import EDGE, GRID
from docs.beside.steps import EXPONENTS

CORNERS = np.array([[40., 322], [360, 322], [200, 45]])                  # of the triangle: classes 1, 2, 3
START = np.array([[.62, .25, .13], [.2, .22, .58], [.28, .52, .2], [.5, .1, .4]])        # predictions
LABELS = np.array([0, 0, 1, 2])                                          # given; the network sees 3 in sample 2
TERMS = {"L_c": 1, "L_p": ALPHA, "L_e": BETA}
RATE = 2                                                                 # of a gradient step, in units of N
SIDE = 360                                                               # of the plane, in pixels
AXES = {"x": (44, 340), "y": (16, 236)}                                  # of the plot of errors


# ---- the triangle ----------------------------------------------------------------------------------------------------

def gradients(z, y):
    """{term: its weighted gradient to z}"""
    return {"L_c": kl_backward(TERMS["L_c"], kl_forward(z, y)[1]),
            "L_p": prior_backward(TERMS["L_p"], prior_forward(z, P)[1]),
            "L_e": entropy_backward(TERMS["L_e"], entropy_forward(z)[1])}


def motion(s, gradient):
    """How the predictions s (N, C) move, to first order, if the logits take the step -RATE N times the gradient."""
    step = -RATE * len(s) * gradient
    return s * (step - (s * step).sum(axis=1, keepdims=True))


def triangle():
    """The elements inside of the SVG: arrows of each term and of the sum, predictions, labels, the mean."""
    y = np.eye(3)[LABELS]
    found = gradients(np.log(START), y)
    arrows = {"L": sum(found.values()), **found}
    drawn = [f'<path class="arrow {name}" data-i="{i}" d="{arrow(START[i], motion(START, g)[i])}" '
             f'marker-end="url(#tip-{name})"/>' for name, g in arrows.items() for i in range(len(START))]
    drawn += [f'<path class="own" data-i="{i}" transform="{moved(y[i], i)}" d="M-7 -7h14v14h-14z"/>'
              f'<text class="own" data-i="{i}" transform="{moved(y[i], i)}" dy="4">{i + 1}</text>'
              for i in range(len(START))]
    drawn.append(f'<path id="mean" transform="{moved(START.mean(axis=0))}" d="M-7 0h14M0 -7v14"/>')
    drawn += [f'<g class="sample" data-i="{i}" tabindex="0" role="slider" aria-label="prediction of sample {i + 1}" '
              f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{round(100 * s.max())}" '
              f'aria-valuetext="{", ".join(f"{x:.2f}" for x in s)}" transform="{moved(s)}">'
              f'<circle class="finger" r="20"/><circle r="8.5"/><text dy="4">{i + 1}</text></g>'
              for i, s in enumerate(START)]
    return "\n".join(drawn)


def moved(s, i=None):
    """Where a prediction lies; labels stand beside their place, so that equal ones are all seen."""
    x, y = s @ CORNERS
    if i is not None:
        x, y = x + 17 * (i - 1.5), y + (20 if y > 200 else -20)
    return f"translate({x:.3f} {y:.3f})"


def arrow(s, motion):
    (x, y), (u, v) = s @ CORNERS, (s + motion) @ CORNERS
    return f"M{x:.3f} {y:.3f}L{u:.3f} {v:.3f}"


# ---- the plane -------------------------------------------------------------------------------------------------------

def plane(record, run, epoch):
    """The elements inside of the SVG: the predicted class everywhere, and the points with their labels."""
    labels, regions = record["runs"][run]["labels"][epoch], record["runs"][run]["regions"][epoch]
    cells = [f'<path class="region class-{c}" transform="scale({SIDE / GRID:.4f})" d="{region(regions, c)}"/>'
             for c in range(3)]
    dots = [f'<path class="dots class-{c}{" wrong" if wrong else ""}" d="' + "".join(
            dot(x, y, c, int(sure)) for (x, y), label, truth, sure in
            zip(record["x"], labels, record["truth"], record["runs"][run]["certainty"][epoch])
            if label == str(c) and (label != truth) == wrong) + '"/>' for wrong in (False, True) for c in range(3)]
    return "\n".join(cells + dots)


def region(runs, c):
    """The cells of class c as rectangles of one row each, in units of a cell."""
    path, at = "", 0
    for letter, length in re.findall(r"([abc])(\d+)", runs):
        end = at + int(length)
        while at < end:
            column, row = at % GRID, at // GRID
            width = min(end - at, GRID - column)
            if letter == "abc"[c]:
                path += f"M{column} {row}h{width}v1h-{width}z"
            at += width
    return path


def dot(x, y, c, sure):
    """A circle, a square or a triangle, the larger the more certain the label is."""
    radius, u, v = round(2.4 + .3 * sure, 1), at_pixel(x), at_pixel(-y)
    r, d = f"{radius:g}", f"{2 * radius:g}"
    return f"M{u} {v}" + (f"m-{r} 0a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z", f"m-{r} -{r}h{d}v{d}h-{d}z",
                          f"m0 -{r}l{r} {d}h-{d}z")[c]


def at_pixel(x):
    return math.floor(SIDE * (x + EDGE) / (2 * EDGE) + .5)              # as Math.round


# ---- curves ----------------------------------------------------------------------------------------------------------

def curve(values, top, width=280, height=120):
    """The points of a polyline: a value for each epoch, from 0 to `top`."""
    return " ".join(f"{width * k / (len(values) - 1):.1f},{height * (1 - value / top):.1f}"
                    for k, value in enumerate(values))


def errors(logarithms):
    """The points of a polyline: the logarithm of the error at every exponent."""
    return " ".join(f"{across(e):.1f},{down(value):.1f}" for e, value in zip(EXPONENTS, logarithms))


def across(exponent):
    left, right = AXES["x"]
    return left + (right - left) * (-1 - exponent) / 15


def down(logarithm):
    top, bottom = AXES["y"]
    return top + (bottom - top) * -max(-17, min(0, logarithm)) / 17
