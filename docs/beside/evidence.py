"""Rows of docs/evidence.md: what the proofs measured for one equation or layer."""
from functools import cache
from pathlib import Path
from typing import NamedTuple

EVIDENCE = Path(__file__).parents[1] / "evidence.md"
FIRST = ("complex step", "central differences")


class Measurement(NamedTuple):
    """One row of the table."""
    what: str
    method: str
    error: str
    bound: str

    @property
    def part(self):
        """How much of the bound the error uses up; the bound 0 is kept by the error 0 alone."""
        return float(self.error) / float(self.bound) if float(self.bound) else float(self.error)


@cache
def measurements():
    """All rows that have a number for NumPy."""
    cells = [[cell.strip() for cell in line.strip("|\n").split("|")]
             for line in EVIDENCE.read_text(encoding="utf-8").splitlines() if line.endswith("| pass |")]
    return [Measurement(what, method, error, bound) for what, method, error, *_, bound, _ in cells]


def evidence(names):
    """[(what stands before it, Measurement)]: the derivatives in both ways, and the row nearest to its bound."""
    found = [row for row in measurements() if row.what in names]
    worst = max(found, key=lambda row: row.part)
    return [*(("", row) for row in found if row.method in FIRST and row is not worst),
            ("" if len(found) == 1 else f"worst of {len(found)}: ", worst)]
