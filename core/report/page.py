"""report.html: one file to look at a run and to judge its labels. No server, no network; it reads well without scripts.

N images of H x W pixels, C classes. A label is suspicious where the suggested one is another. Certainty is the
probability of the suggested label, the score that of the given one: the lower, the more suspicious.
"""
import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from core.files import save_text
from core.measure import of_training
from core.report import palette
from core.report.about import About, versions
from core.report.charts import charts
from core.report.classes import by_quality
from core.report.findings import by_kind
from core.report.histogram import histograms
from core.report.names import shortened
from core.report.numbers import interval, unbroken
from core.report.pairs import matrix, pair, samples_of_pairs
from core.report.review import Budget, listed, most_suspicious, pictured

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = ("page.js", "files.js", "viewer.js", "events.js")            # one script, in this order
LIMIT = 16_000_000                     # bytes of the page: what mail and phones still take


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
    root: str = None                   # folder that paths are relative to; None: there are no files to link to
    corrected: np.ndarray = None       # (N,)
    sure: float = 0                    # confidence threshold on probs of the corrected labels; 0: none, or on others
    joint: np.ndarray = None           # (C, C) of core/quality.py
    about: About = About()
    seen: str = None                   # what the network saw of an image; None: its pixels here
    posterior: bool = False            # probs are the noise posterior
    originals: object = None           # Files or Packed of core/data/originals.py; None: only `images` can be shown


def write(path, page, jobs=1, limit=LIMIT):
    """The page as one HTML file of at most `limit` bytes. jobs: threads that make the pictures."""
    save_text(path, render(page, jobs, limit))


def render(page, jobs=1, limit=LIMIT):
    """The text of the HTML file, of at most `limit` bytes."""
    budget = Budget()
    while True:
        html = filled(page, budget.of(limit), jobs).encode("utf-8", "backslashreplace")      # names need not be text
        budget = budget.less(len(html) - limit, limit)
        if budget is None:
            return html.decode()


def filled(page, budget, jobs):
    """The text of the HTML file, with as many rows and pictures as the Budget allows."""
    suspicious = most_suspicious(page, page.suggested != page.given)
    others = most_suspicious(page, page.suggested == page.given)
    samples, tail = samples_of_pairs(page, suspicious)
    ends = [row for _, _, _, *rows in samples for end in rows for row in end]
    images = pictured(page, suspicious, others, ends, budget, jobs)
    shown = {row for row in ends if row in images}
    css, js = palette.css() + text_of("page.css"), "".join(map(text_of, SCRIPTS))
    data = listed(page, suspicious, others, images, shown, budget)
    from markupsafe import Markup
    return template().render(
        page=page, summary=summary(page, len(suspicious)), charts=charts(page.records, page.begin),
        histograms=histograms(page), matrix=matrix(page, samples),
        qualities=by_quality(page.given, page.suggested, page.probs, len(page.classes), page.joint),
        pairs=[pair(page, images, *found) for found in samples], tail=tail,
        findings=by_kind(page.about.findings), data=data,
        settings=[*page.about.settings, *versions(page.about.environment)],
        left_out=left_out(page, data, images, len(suspicious), len(others)), unbroken=unbroken,
        shortened=shortened, css=Markup(css), js=Markup(js), css_hash=digest(css), js_hash=digest(js))


def text_of(name):
    """The text of one of the templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


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
    found = [("images", f"{N:,}", f"{page.seen or f'{W} × {H} pixels as the network saw them'}, "
                                     f"{len(page.classes)} classes"),
             ("suspicious labels", f"{suspicious:,}", f"{unbroken(suspicious / max(1, N))} of all: "
                                                      "another label is suggested")]
    if page.noise_rate is not None:
        low, high = interval(page.noise_rate, N)
        how = ("by the noise posterior, which weighs predictions of networks that did not see the label against it"
               if page.posterior else "as far as the network can tell: classes that it confuses count as noise")
        found.append(("estimated noise", unbroken(page.noise_rate),
                      f"of the given labels are wrong, {how}. "
                      f"By the number of images alone it is {100 * low:.1f} to {unbroken(high)}"))
    if page.truth is not None and (page.truth >= 0).any():
        known = page.truth >= 0
        before, after = ((labels == page.truth)[known].mean() for labels in (page.given, page.suggested))
        found.append(("correct labels", f"{100 * before:.1f} → {unbroken(after)}",
                      f"given → suggested, of the {known.sum():,} whose true label is known"))
    tests = [r.test for r in of_training(page.records, "retrain") if np.isfinite(r.test)]
    if tests:
        found.append(("test accuracy", unbroken(tests[-1]), "of the network trained on the suggested labels"))
    return [*found, *page.facts]


def left_out(page, data, images, suspicious, others):
    """Sentences about what the page does not hold, and where it is."""
    found, listed_ = [], len(data["index"])
    with_picture = sum(1 for row in images if page.suggested[row] != page.given[row])
    if with_picture < suspicious:
        found.append(f"{with_picture:,} of {suspicious:,} suspicious images have a picture here: the most suspicious "
                     "ones and the ends of the pairs.")
    if listed_ < suspicious + others:
        found.append(f"{min(listed_, suspicious):,} of {suspicious:,} suspicious images and "
                     f"{max(0, listed_ - suspicious):,} of {others:,} others are listed, the lowest scores first: this "
                     "page stays small. label_issues.csv lists all.")
    small = sum(not made.whole for row, made in images.items() if page.suggested[row] != page.given[row])
    if page.originals is not None and small:
        found.append(f"{small:,} of the suspicious images are shown as they were read for the run: their files "
                     "cannot be read now, or have changed since.")
    return found
