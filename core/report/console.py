"""The run as text: progress, and the table at the end."""
import math
import sys

from tqdm import tqdm

from core.report.folder import summary

TITLES = {"joint": "step 1: network and labels", "retrain": "step 2: fresh network", "cross-entropy": "plain cross-entropy"}


def watched(records, epochs, step):
    """The records, passed on as they come. A bar with the time left on a terminal; elsewhere one line for each."""
    terminal = sys.stdout.isatty()
    bar = tqdm(total=epochs, desc=TITLES[step], unit="epoch", file=sys.stdout, dynamic_ncols=True, disable=not terminal)
    with bar:
        if not terminal:
            print(TITLES[step], flush=True)
        for record in records:
            if terminal:
                bar.set_postfix_str(short(record), refresh=False)
                bar.update()
            else:
                print(f"  epoch {record.epoch:3d}/{epochs}  {short(record)}  {record.seconds:.1f} s", flush=True)
            yield record


def short(record):
    """One epoch in a few words."""
    words = [f"loss {record.loss:.3f}"] + [f"validation {percent(record.validation)}"] * (not math.isnan(record.validation))
    if record.step == "joint":
        known = [] if math.isnan(record.recovery) else [f"correct labels {percent(record.recovery)}"]
        words += known + [f"{record.changed} changed"]
    return "  ".join(words)


def table(result):
    """The outcome of a run as lines of text."""
    outcome = summary(result)
    rows = [("", "best validation", "last validation", "test, last epoch", "seconds")]
    rows += [(TITLES[step], percent(outcome[step]["best_validation"]), percent(outcome[step]["last_validation"]),
              percent(outcome[step]["test"]), f"{outcome[step]['seconds']:.0f}") for step in TITLES if step in outcome]
    return "\n".join(["", label_line(result), *warning(result), "", *aligned(rows)])


def aligned(rows):
    """Rows of cells as lines: the first column to the left, the others to the right, a rule below the first row."""
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:])]) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    return lines


def warning(result):
    """A line for the case that the method has made the labels worse."""
    if not result.recovery < result.initial:
        return []
    return ["warning: fewer labels are correct than before. Train for longer (--epochs), begin later (--begin), or try another --lr."]


def label_line(result):
    """What happened to the labels, in one line."""
    moved = int((result.corrected != result.given).sum())
    if math.isnan(result.recovery):
        return f"labels: {moved} of {len(result.given)} changed (the true labels are not known)"
    return (f"correct labels: {percent(result.initial)} given -> {percent(result.recovery)} corrected"
            f"   ({moved} of {len(result.given)} changed)")


def percent(fraction):
    """0.9861 -> 98.6 %, and a dash for what is not known (nan or None)"""
    return "-" if fraction is None or math.isnan(fraction) else f"{100 * fraction:.1f} %"
