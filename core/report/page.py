"""report.html: one file to look at a run and to judge its suspicious labels. No server, no network;
it reads well without scripts.

N images of H x W pixels, C classes. A label is suspicious where the suggested one is another. Certainty is the
probability of the suggested label, the score that of the given one: the lower, the more suspicious.
"""
import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.data.thumbnails import data_uris
from core.files import save_text
from core.measure import of_training
from core.report.charts import charts
from core.report.issues import run_identity
from core.report.numbers import unbroken

TEMPLATES = Path(__file__).parent / "templates"
PAIRS, SAMPLES = 200, 6                # pairs of classes with pictures; pictures at each end of a pair
CLASSES = 40                           # rows and columns of the matrix at most
SHADES = 6                             # of its cells: .shade-0 to .shade-5 in page.css


class Page(NamedTuple):
    """What the page shows, as plain arrays."""
    title: str
    classes: tuple
    images: np.ndarray                 # (N, H, W, 3) uint8
    index: np.ndarray                  # (N,) row of each in its source
    given: np.ndarray                  # (N,)
    suggested: np.ndarray              # (N,)
    probs: np.ndarray                  # (N, C) probabilities
    truth: np.ndarray = None           # (N,), -1 where it is not known; None where nothing is
    paths: np.ndarray = None           # (N,) str, or None where there are no single files
    records: tuple = ()                # of measure.Epoch
    begin: int = None                  # epoch of the first label update
    noise_rate: float = None           # estimated part of wrong labels
    facts: tuple = ()                  # further (name, number, text) of the summary


def write(path, page, limit=3000, megabytes=24):
    """The page as one HTML file with at most `limit` suspicious images, and about `megabytes` of them."""
    # file names need not be text
    save_text(path, render(page, limit, megabytes).encode("utf-8", "backslashreplace").decode())


def render(page, limit=3000, megabytes=24):
    """The text of the HTML file."""
    suspicious = np.flatnonzero(page.suggested != page.given)
    score = page.probs[suspicious, page.given[suspicious]]
    ranked = suspicious[np.argsort(score, kind="stable")]
    samples = pair_samples(page, suspicious)
    ends = [row for _, _, _, *rows in samples for end in rows for row in end]
    thumbs = data_uris(page.images, dict.fromkeys([*ends, *ranked[:limit]]), megabytes * 10**6)
    shown = [int(row) for row in ranked if int(row) in thumbs]
    in_pairs = {row for row in ends if row in thumbs}
    css, js = ((TEMPLATES / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    from markupsafe import Markup
    return template().render(
        page=page, summary=summary(page, len(suspicious)), charts=charts(page.records, page.begin),
        matrix=matrix(page, samples),
        pairs=[pair(page, thumbs, *found) for found in samples], total=len(suspicious),
        data=listed(page, shown, thumbs, in_pairs),
        css=Markup(css), js=Markup(js), css_hash=digest(css), js_hash=digest(js))


@cache
def template():
    """page.html, parsed once in a process."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # where needed: demo.py starts sooner

    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html")


def digest(text):
    """The name by which the page's security policy allows a style or script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def summary(page, suspicious):
    """(name, text, remark) of each number at the top."""
    N, H, W = page.images.shape[:3]
    found = [("images", f"{N:,}", f"{H} × {W} pixels, {len(page.classes)} classes"),
             ("suspicious labels", f"{suspicious:,}", f"{unbroken(suspicious / max(1, N))} of all: "
                                                      "another label is suggested")]
    if page.noise_rate is not None:
        found.append(("estimated noise", unbroken(page.noise_rate),
                      "of the given labels are wrong, as far as the network can tell"))
    if page.truth is not None and (page.truth >= 0).any():
        known = page.truth >= 0
        before, after = ((labels == page.truth)[known].mean() for labels in (page.given, page.suggested))
        found.append(("correct labels", f"{100 * before:.1f} → {unbroken(after)}",
                      f"given → suggested, of the {known.sum():,} whose true label is known"))
    tests = [r.test for r in of_training(page.records, "retrain") if np.isfinite(r.test)]
    if tests:
        found.append(("test accuracy", unbroken(tests[-1]), "of the network trained on the suggested labels"))
    return [*found, *page.facts]


def pair_samples(page, rows):
    """(given, suggested, number, most certain rows, least certain rows) of the pairs among `rows`,
    the most frequent first."""
    C = len(page.classes)
    pairs, counts = np.unique(page.given[rows] * C + page.suggested[rows], return_counts=True)
    found = []
    for i in np.argsort(-counts, kind="stable")[:PAIRS]:
        given, suggested = (int(c) for c in divmod(pairs[i], C))
        own = rows[(page.given[rows] == given) & (page.suggested[rows] == suggested)]
        own = own[np.argsort(-page.probs[own, suggested], kind="stable")].tolist()
        found.append((given, suggested, len(own), own[:SAMPLES], own[SAMPLES:][-SAMPLES:]))
    return found


def pair(page, thumbs, given, suggested, number, most, least):
    """One pair as the template wants it."""
    return {"given": given, "suggested": suggested, "number": number,
            "ends": [(name, [sample(page, thumbs, row) for row in rows if row in thumbs])
                     for name, rows in (("most certain", most), ("least certain", least)) if rows]}


def sample(page, thumbs, row):
    """One image of a pair."""
    return {"index": int(page.index[row]), "image": thumbs[row], "name": name_of(page, row),
            "probability": whole(page.probs[row, page.suggested[row]]),
            "score": whole(page.probs[row, page.given[row]])}


def whole(probability):
    """0.983 -> 98 %, with a space that does not break."""
    return f"{100 * probability:.0f}\u00a0%"


def name_of(page, row):
    """What a person calls an image."""
    return f"image {page.index[row]}" if page.paths is None else str(page.paths[row])


def listed(page, rows, thumbs, elsewhere):
    """The columns of the review list; an image that the page has elsewhere is taken from there."""
    given, suggested = page.given[rows], page.suggested[rows]
    return {"run": run_identity(page.classes, page.index, page.given, page.suggested), "classes": list(page.classes),
            "index": page.index[rows].tolist(), "given": given.tolist(), "suggested": suggested.tolist(),
            "score": page.probs[rows, given].round(4).tolist(),
            "probability": page.probs[rows, suggested].round(4).tolist(),
            "truth": None if page.truth is None else page.truth[rows].tolist(),
            "path": None if page.paths is None else [str(page.paths[row]) for row in rows],
            "image": ["" if row in elsewhere else thumbs[row] for row in rows]}


def matrix(page, samples):
    """How many labels of each class (rows) are suggested to be of each class (columns),
    for the CLASSES that move most."""
    C, moves = len(page.classes), page.given != page.suggested
    moved = np.bincount(page.given[moves], minlength=C) + np.bincount(page.suggested[moves], minlength=C)
    classes = np.sort(np.argsort(-moved, kind="stable")[:CLASSES])
    K, place = len(classes), np.full(C, -1)
    place[classes] = np.arange(K)
    pairs = np.stack([place[page.given], place[page.suggested]], axis=1)
    pairs = pairs[(pairs >= 0).all(axis=1)]
    counts = np.bincount(pairs @ [K, 1], minlength=K * K).reshape(K, K)
    off = counts * (1 - np.eye(K, dtype=int))
    shade = np.where(off > 0, 1 + off * (SHADES - 2) // max(1, off.max()), 0)
    pictured, totals = {(given, suggested) for given, suggested, *_ in samples}, np.bincount(page.given, minlength=C)
    return {"classes": classes.tolist(), "rows": [
        (int(i), int(totals[i]), [(int(j), int(counts[a, b]), int(shade[a, b]), (i, j) in pictured)
                                  for b, j in enumerate(classes)])
        for a, i in enumerate(classes)]}
