"""The run as text: progress, and the table at the end."""
import math
import sys
import unicodedata

from core.report.numbers import decimals, interval, percent

TITLES = {"joint": "step 1: network and labels", "retrain": "step 2: fresh network",
          "cross-entropy": "plain cross-entropy"}
BY_CHANCE = ("the network predicts these labels no better than chance: none is suspicious or corrected, and step 2 "
             "trains on them as they are. Take more images, or another network's features (--backbone, --features)")


def watched(records, epochs, step, fold=None):
    """The records, passed on as they come. On a terminal a bar with the time left; elsewhere a line for each, and
    one in all for a fold."""
    from tqdm import tqdm  # imported where needed: demo.py starts sooner

    terminal = sys.stdout.isatty()
    bar = tqdm(total=epochs, desc=title(step, fold), unit="epoch", file=sys.stdout, dynamic_ncols=True,
               disable=not terminal)
    with bar:
        if not terminal:
            print(title(step, fold), flush=True)
        for record in records:
            if terminal:
                bar.set_postfix_str(short(record), refresh=False)
                bar.update(record.epoch - bar.n)
            elif fold is None or record.epoch == epochs:
                print(f"  epoch {record.epoch:3d}/{epochs}  {short(record)}  {record.seconds:.1f} s", flush=True)
            yield record


def title(step, fold=None):
    """step 1: network and labels, or within a fold: fold 2, step 1: network and labels"""
    return ("" if fold is None else f"fold {fold}, ") + TITLES[step]


def short(record):
    """One epoch in a few words."""
    words = [f"loss {record.loss:.3f}"]
    words += [f"validation {percent(record.validation)}"] * (not math.isnan(record.validation))
    if record.step == "joint":
        known = [] if math.isnan(record.recovery) else [f"correct labels {percent(record.recovery)}"]
        words += known + [f"{record.changed} changed"]
    return "  ".join(words)


def table(result):
    """The outcome of a run as lines of text."""
    outcome = result.summary
    rows = [("", "best validation", "last validation", "test, last epoch", "seconds")]
    rows += [(TITLES[step], percent(outcome[step]["best_validation"]), percent(outcome[step]["last_validation"]),
              percent(outcome[step]["test"]), f"{outcome[step]['seconds']:.0f}") for step in TITLES if step in outcome]
    notes = [f"note     {BY_CHANCE}"] * result.verdict.by_chance + warning(result) + better(outcome)
    lines = ["", label_line(result), *detection_lines(result), *notes, "", *aligned(measured(rows))]
    return "\n".join(lines)


def measured(rows):
    """The rows without the columns of dashes: those of a validation split or a test set that is not there."""
    keep = [c for c, (_, *cells) in enumerate(zip(*rows)) if c == 0 or any(cell != percent(None) for cell in cells)]
    return [tuple(row[c] for c in keep) for row in rows]


def aligned(rows):
    """Rows of cells as lines: the first column to the left, the others to the right, a rule below the first row."""
    widths = [max(columns(row[c]) for row in rows) for c in range(len(rows[0]))]
    lines = ["  ".join([row[0] + " " * (widths[0] - columns(row[0])),
                        *(" " * (width - columns(cell)) + cell for cell, width in zip(row[1:], widths[1:]))])
             for row in rows]
    lines.insert(1, "-" * columns(lines[0]))
    return lines


def columns(text):
    """How many columns of a terminal a text takes: two for a letter of East Asia, none for an accent on its own."""
    return sum(0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
               for letter in text)


def warning(result):
    """A line for the case that the method has made the labels worse."""
    if not result.recovery < result.initial:
        return []
    return ["warning: fewer labels are correct than before. Train for longer (--epochs), "
            "begin later (--begin), or try another --lr."]


def better(outcome):
    """A line for the case that the network of step 1 is the more accurate one."""
    found = better_network(outcome)
    if found is None or found[0] == 2:
        return []
    first, second = map(percent, found[2])
    return [f"The network of step 1 is better on the {found[1]} images, {first} against {second} of step 2: `predict "
            "--network step1` takes it."]


def better_network(outcome):
    """(1 or 2, on which images, accuracies of both) of the more accurate network in a summary; None if nobody knows.

    The validation split decides, else the test set.
    """
    for key, split in (("last_validation", "validation"), ("test", "test")):
        both = [outcome.get(step, {}).get(key) for step in ("joint", "retrain")]
        if None not in both:
            return 1 if both[0] > both[1] else 2, split, both
    return None


def label_line(result):
    """What happened to the labels, in one line."""
    moved = int((result.corrected != result.given).sum())
    if math.isnan(result.recovery):
        doubtful = int((result.suggested != result.given).sum())
        return f"labels: {doubtful} of {len(result.given)} suspicious, {moved} corrected (the true labels are unknown)"
    return (f"correct labels: {percent(result.initial)} given -> {percent(result.recovery)} corrected"
            f"   ({moved} of {len(result.given)} changed)")


def noise_line(rate, N):
    """The estimated noise, with its interval where N labels are too few to know it to a percent."""
    if rate is None:
        return "estimated label noise: unknown"
    low, high = interval(rate, N)
    unsure = f"   ({100 * low:.1f} to {percent(high)} by the number of images alone)" * (high - low > .02)
    return f"estimated label noise: {percent(rate)}{unsure}"


def detection_lines(result):
    """How many labels are wrong by the estimate, and how well they were found where the truth is known."""
    outcome = result.summary
    lines = [noise_line(outcome["estimated_rate"], len(result.given))]
    if "detection" in outcome:
        found = outcome["detection"]
        lines.append(f"suspicious labels: precision {percent(found['precision'])}, recall {percent(found['recall'])}; "
                     f"their ranking: AUROC {decimals(found['auroc'])}, "
                     f"average precision {decimals(found['average_precision'])}")
    return lines
