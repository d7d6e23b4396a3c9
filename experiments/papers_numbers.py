"""What is known of the paper's own results. The paper itself was not at hand: every row says how sure it is.

    recalled      from memory of the paper's tables, confirmed by no source at hand: a hint, not a fact
    confirmed     a number that a second source has as well; the source is named
"""
from typing import NamedTuple


class Row(NamedTuple):
    """A row of a table of the paper: test accuracy in %."""
    method: str                        # of the paper
    which: str                         # best or last
    values: dict                       # {noise rate: %}
    sure: str


SN, AN = (0, 0.1, 0.3, 0.5, 0.7, 0.9), (0.1, 0.2, 0.3, 0.4, 0.5)


def row(method, which, rates, values, sure="recalled"):
    """A Row of values in the order of the rates."""
    return Row(method, which, dict(zip(rates, values, strict=True)), sure)


CONFIRMED = "recalled; 92.9 at 10 % confirmed by a reproduction's page, 93.6 at 0 % by a page of results"
ROWS = {
    "sn-cifar": (
        row("cross-entropy", "best", SN, (93.5, 91.0, 88.4, 85.0, 78.4, 41.1),
            "recalled; 91 at 10 % confirmed by a reproduction's page"),
        row("cross-entropy", "last", SN, (93.4, 87.0, 72.2, 55.3, 36.6, 20.4)),
        row("joint optimization", "best", SN, (93.4, 92.7, 91.4, 89.6, 85.9, 58.0)),
        row("joint optimization", "last", SN, (93.6, 92.9, 91.5, 89.8, 86.0, 58.3), CONFIRMED),
    ),
    "an-cifar": (
        row("cross-entropy", "best", AN, (91.8, 90.8, 90.0, 87.1, 77.3)),
        row("cross-entropy", "last", AN, (89.8, 85.4, 81.0, 75.7, 70.5)),
        row("joint optimization", "best", AN, (93.2, 92.7, 92.4, 91.5, 84.6)),
        row("joint optimization", "last", AN, (93.2, 92.8, 92.4, 91.7, 84.7), "recalled, least sure"),
    ),
}
