"""A made-up run for the tests of the page and of what follows from it."""
from types import SimpleNamespace

import numpy as np

from core.report.page import Page

NASTY = ("cat</script><img src=x onerror=alert(1)>", "=HYPERLINK(\"http://evil\")", "<!--<script>", "a\"b'c&amp;",
         "{{ 7*7 }}", "\u202edog")


def page_of(N=200, classes=NASTY, seed=0, size=8, wrong=0.3, paths=True, truth=True, **fields):
    """A Page of N random images; a part `wrong` of the labels is suspicious."""
    rng, C = np.random.default_rng(seed), len(classes)
    given = rng.integers(C, size=N)
    suggested = np.where(rng.random(N) < wrong, rng.integers(C, size=N), given)
    probs = rng.dirichlet(np.full(C, .3), size=N).astype(np.float32)
    top = probs.argmax(axis=1)
    probs[np.arange(N), top], probs[np.arange(N), suggested] = probs[np.arange(N), suggested], probs[np.arange(N), top]
    index = np.sort(rng.choice(3 * N, size=N, replace=False))
    names = np.array([f"{classes[g]}/img, {i}.png" for g, i in zip(given, index)])
    images = rng.integers(256, size=(N, size, size, 3), dtype=np.uint8)
    return Page("run <b>of</b> tests", tuple(classes), images, index, given, suggested, probs,
                suggested.copy() if truth else None, names if paths else None, **fields)


def records(epochs=10, truth=True):
    """A log as training leaves it."""
    nan = float("nan")
    return [SimpleNamespace(step=step, fold=None, epoch=e, loss=1., L_c=2 / e, L_p=.1, L_e=1 / e,
                            accuracy=e / (epochs + 1), validation=nan,
                            test=e / (epochs + (2 if step == "joint" else 3)),
                            recovery=.5 + .04 * e if truth else nan, changed=(7 * e % 11) * (step == "joint"))
            for step in ("joint", "retrain") for e in range(1, epochs + 1)]


def finished_run(N=200, classes=NASTY, truth=True, **fields):
    """What the pictures need of a Result: that of page_of, with every suggestion of more than 0.5 taken."""
    made = page_of(N, classes, truth=truth, wrong=fields.pop("wrong", .3))
    certain = made.probs[np.arange(N), made.suggested]
    true = None
    if truth:                          # one suggestion of five is wrong
        true = np.where(np.arange(N) % 5 == 0, (made.suggested + 1) % len(classes), made.suggested)
    run = SimpleNamespace(records=records(truth=truth), recovery=.9 if truth else float("nan"), truth=true,
                          classes=made.classes, given=made.given, suggested=made.suggested, images=made.images,
                          corrected=np.where(certain > .5, made.suggested, made.given), soft=made.probs, paths=None)
    vars(run).update(fields)
    return run


def save_run(folder, page, with_paths=True):
    """What core/use/apply.py reads of a run folder."""
    from core.data.csv_cells import csv_text
    folder.mkdir(exist_ok=True)
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in page.classes), encoding="utf-8")
    for name, array in {"index": page.index, "given_labels": page.given, "suggested_labels": page.suggested}.items():
        np.save(folder / f"{name}.npy", array)
    if with_paths and page.paths is not None:
        rows = [[int(i), str(path), "x"] for i, path in zip(page.index, page.paths)]
        (folder / "label_issues.csv").write_bytes(csv_text([["index", "path", "given_label"], *rows[::-1]]).encode())
    return folder
