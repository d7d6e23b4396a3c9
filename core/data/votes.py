"""Several lines of a table about one image are votes: the majority decides, and the first line where there is none.

A table of votes names at least half of its images more than once. There it is usual that people agree, and only
disagreement is worth a line; in other tables a second line about an image is a mistake.
"""
from collections import Counter

from core.data.listing import Finding


def decided(entries):
    """(label of each image, part of the votes for it, findings, notes); entries: {path: [(line, label), ...]}."""
    several = sum(len(votes) > 1 for votes in entries.values())
    usual = len(entries) > 2 and several >= len(entries) / 2
    labels, agreement, findings, unanimous = [], [], [], 0
    for path, votes in entries.items():
        counts = Counter(label for _, label in votes)                  # in the order of the lines
        label = max(counts, key=counts.get)                            # the first of those with most votes
        labels.append(label)
        agreement.append(counts[label] / len(votes))
        unanimous += len(counts) == 1
        if len(votes) > 1 and not (usual and len(counts) == 1):
            findings.append(finding(path, votes, counts, label))
    notes = [f"{sum(map(len, entries.values()))} votes on {len(entries)} images, unanimous on {unanimous}: the "
             "majority decides"] * usual
    return labels, agreement, findings, notes


def finding(path, votes, counts, label):
    """The Finding about an image with several lines."""
    lines = " and ".join(str(line) for line, _ in votes[:8]) + " ..." * (len(votes) > 8)
    if len(counts) == 1:
        return Finding("repeated", path, f"lines {lines}")
    if list(counts.values()).count(counts[label]) > 1:
        first = next(line for line, name in votes if name == label)
        others = ", ".join(f"{name} in line {line}" for line, name in votes if name != label)
        return Finding("contradiction", path, f"{label} in line {first}, which counts; {others:.200}")
    others = ", ".join(f"{name} {count}" for name, count in counts.items() if name != label)
    return Finding("votes", path, f"{label} {counts[label]}, {others:.200} (lines {lines})")
