"""What the proofs measured, row by row; `python -m tests` prints it as a table."""
from typing import NamedTuple


class Row(NamedTuple):
    what: str           # the equation or the layer: "L_p", "conv"
    method: str         # how it was shown: "complex step"
    library: str        # numpy, cupy, or strict (the stand-in)
    error: float
    bound: float

    @property
    def passed(self):
        return self.error <= self.bound                     # false for nan


rows = []


def measured(what, method, xp, error, bound):
    """Note the error and require that it keeps the bound."""
    row = Row(what, method, xp.__name__, float(error), bound)
    rows.append(row)
    assert row.passed, f"{what}, {method}, {row.library}: error {row.error:.2e} exceeds the bound {bound:.0e}"


def worst(found):
    """The row of largest error / bound for every (what, method, library), in the order of their first measurement."""
    groups = {}
    for row in found:
        groups.setdefault((row.what, row.method, row.library), []).append(row)
    return [max(group, key=lambda row: (not row.passed, row.error / row.bound if row.bound else row.error))
            for group in groups.values()]
