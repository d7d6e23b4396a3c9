"""Three drawings as SVG: the residual block in both directions, the ring of K epochs, im2col.

They are made from the code: the boxes of the block are the calls in its two functions, the numbers of the ring are
those of a SoftLabels, and the rows of im2col are what im2col returns.
"""
import ast
import inspect
import math
import textwrap

import numpy as np

from core.labels import SoftLabels
from core.layers import im2col
from nets.preact_resnet import block_backward, block_forward

WORDS = {"batchnorm": "BN", "relu": "ReLU", "conv": "conv"}
STEP, LEFT, BOX = 104, 150, 74                         # between the boxes, centre of the first, width


def calls(function, ending):
    """The layers that a function calls, in the order of its lines: batchnorm_forward -> batchnorm."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    found = [(node.lineno, node.col_offset, node.func.id) for node in ast.walk(tree)
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith(ending)]
    return [name.removesuffix(ending) for _, _, name in sorted(found)]


# ---- the block -------------------------------------------------------------------------------------------------------

def block():
    """Forward above, backward below: the same boxes, read from right to left."""
    *forward, _ = calls(block_forward, "_forward")                       # the last call is that of the shortcut
    backward = calls(block_backward, "_backward")
    del backward[4]                                                      # of the shortcut, between conv and relu
    boxes = [WORDS[name] for name in forward]
    assert [WORDS[name] for name in reversed(backward)] == boxes
    end = LEFT + STEP * len(boxes)
    text = (f"Forward: x passes {', '.join(boxes)}, then the shortcut is added. Backward: the gradient passes the same "
            "boxes in reverse. At the forward plus it is copied to both branches, and where x was used twice the two "
            "gradients are added.")
    return figure(end + 100, 330, "The residual block, forward and backward", text, [
        one_way(boxes, 60, end, "x", "out", "forward"), one_way(boxes, 230, end, "dx", "dout", "backward")], "block")


def one_way(boxes, y, end, left, right, way):
    """The boxes on a line at height y, and the two shortcuts below it."""
    forward = way == "forward"
    low, high = y + 78, y + 44
    branch = LEFT + STEP * 1.5                                           # a: after BN and ReLU
    path = [(32, y), *((LEFT + STEP * k, y) for k in range(len(boxes))), (end, y), (end + 70, y)]
    gaps = [4, *[BOX / 2] * len(boxes), 13 if forward else 4, 0]         # from a name, a box, the plus or the copy
    drawn = [wire([start, stop], forward, gaps=gaps[k:k + 2]) for k, (start, stop) in enumerate(zip(path, path[1:]))]
    foot, head = (4, 13) if forward else (13, 4)
    drawn += [wire([(66, y + foot), (66, low), (end, low), (end, y + head)], forward, "shortcut"),
              wire([(branch, y + foot), (branch, high), (end - 9, high), (end - 9, y + head - 3)], forward,
                   "projection")]
    drawn += [f'<rect class="box {way}" x="{LEFT + STEP * k - BOX / 2}" y="{y - 20}" width="{BOX}" height="40" rx="6"/>'
              + label(LEFT + STEP * k, y + 5, word) for k, word in enumerate(boxes)]
    places = [end] if forward else [66, branch]
    drawn += [f'<circle class="sum" cx="{x}" cy="{y}" r="13"/>' + label(x, y + 6, "+", "plus") for x in places]
    drawn += [f'<circle class="copy" cx="{x}" cy="{y}" r="4"/>' for x in ([66, branch] if forward else [end])]
    words = ("shortcut: x", "or a 1×1 convolution of a") if forward else ("dout", "or its 1×1 convolution, backward")
    drawn += [label((66 + end) / 2, low + 17, words[0]), label((branch + end) / 2, high - 6, words[1], "soft"),
              label(20, y + 5, left, "name"), label(end + 84, y + 5, right, "name"),
              label(branch, y - 20, "a" if forward else "da", "name"), label(4, y - 38, way, "way")]
    return "\n".join(drawn)


def wire(points, forward, kind="", gaps=(0, 0)):
    """A line through the points with an arrow at its end, or at its beginning on the way back."""
    (x0, y0), *middle, (x1, y1) = points
    ends = [(x0 + gaps[0], y0), *middle, (x1 - gaps[1], y1)]
    ends = ends if forward else ends[::-1]
    line = "L".join(f"{x:g} {y:g}" for x, y in ends)
    return f'<path class="wire {kind}" d="M{line}" marker-end="url(#tip-block)"/>'


# ---- the ring --------------------------------------------------------------------------------------------------------

def ring(K=4, epochs=6):
    """A ring for each epoch: which epoch's prediction every slot holds when the mean is taken."""
    states, radius, width = ring_states(K, epochs), 52, 150
    drawn = []
    for epoch, (slots, _) in enumerate(states, start=1):
        x, y = width * (epoch - .5), 92
        drawn.append(label(x, 20, f"epoch {epoch}", "name"))
        for k in range(K):
            held = slots[k] if k < len(slots) else None
            kind = "empty" if held is None else "new" if held == epoch else "held"
            drawn.append(f'<path class="slot {kind}" d="{sector(x, y, radius, k, K)}"/>')
            angle = 2 * math.pi * ((k + .5) / K - .25)
            drawn.append(label(x + .72 * radius * math.cos(angle), y + .72 * radius * math.sin(angle) + 5,
                               "" if held is None else f"{held:g}"))
        drawn.append(label(x, y + 76, "mean of " + ", ".join(f"{held:g}" for held in sorted(slots))))
    text = "; ".join(f"after epoch {epoch} the slots hold the predictions of the epochs "
                     + ", ".join(f"{held:g}" for held in slots) for epoch, (slots, _) in enumerate(states, start=1))
    return figure(width * epochs, 180, f"The ring with K = {K} slots", text, drawn, "ring")


def ring_states(K, epochs):
    """[(what the filled slots hold, their mean)], from a SoftLabels whose prediction is the number of the epoch."""
    labels, states = SoftLabels(np.zeros((1, 1)), K), []
    for epoch in range(1, epochs + 1):
        labels.remember(np.array([0]), np.full((1, 1), float(epoch)))
        labels.end_epoch(lambda Y, s: states.append((labels.ring[:min(labels.epochs, K), 0, 0].tolist(), s[0, 0])) or Y)
    return states


def sector(x, y, radius, k, K):
    """The k-th part of a ring with a hole, clockwise from the top."""
    begin, end = (2 * math.pi * (part / K - .25) for part in (k + .03, k + .97))
    points = [(x + r * math.cos(a), y + r * math.sin(a)) for r, a in ((radius, begin), (radius, end), (22, end),
                                                                      (22, begin))]
    a, b, c, d = (f"{px:.1f} {py:.1f}" for px, py in points)
    return f"M{a}A{radius} {radius} 0 0 1 {b}L{c}A22 22 0 0 0 {d}z"


# ---- im2col ----------------------------------------------------------------------------------------------------------

def patches(row=1):
    """An image of 3 x 3 pixels with its padding, the patch under the filter at one pixel, and its row of cols."""
    x = np.arange(1, 10).reshape(3, 3)
    cols = im2col(x[None, :, :, None].astype(float), 3, 1).astype(int)
    i, j = divmod(row, 3)
    drawn = [cell(20 + 30 * c, 60 + 30 * r, 30, np.pad(x, 1)[r, c],
                  ("pad" if r in (0, 4) or c in (0, 4) else "pixel") +
                  (" patch" if i <= r < i + 3 and j <= c < j + 3 else "")) for r in range(5) for c in range(5)]
    drawn += [cell(260 + 30 * c, 34 + 22 * r, 30, cols[r, c], "entry" + (" patch" if r == row else ""), 22)
              for r in range(9) for c in range(9)]
    drawn += [f'<path class="wire" d="M176 {60 + 45}L252 {34 + 22 * row + 11}" marker-end="url(#tip-patches)"/>',
              label(95, 40, "x with padding"), label(395, 20, "cols: one row for each pixel of out"),
              label(585, 130, "·  w  =  out", "name")]
    text = (f"The patch of nine numbers around pixel {row + 1}, zeros included, is row {row + 1} of the matrix cols. "
            "Multiplied by the filter as a column, it gives that pixel of the output.")
    return figure(650, 245, "im2col: patches become rows", text, drawn, "patches")


def cell(x, y, width, value, kind, height=None):
    height = height or width
    return (f'<rect class="cell {kind}" x="{x}" y="{y}" width="{width}" height="{height}"/>'
            + label(x + width / 2, y + height / 2 + 5, value))


# ---- what they share -------------------------------------------------------------------------------------------------

def label(x, y, text, kind=""):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{text}</text>' if text != "" else ""


def figure(width, height, title, text, drawn, name=""):
    """An SVG that a screen reader reads as one picture with a description."""
    return (f'<svg class="drawing" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{title}. {text}">\n'
            f'<defs><marker id="tip-{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto"><path d="M0 0L8 4L0 8z"/></marker></defs>\n' + "\n".join(filter(None, drawn)) + "\n</svg>")
