"""core/report/histogram.py: bars as high as there are labels, and the threshold in its place."""
import numpy as np
import pytest

from core.report.charts import BOTTOM, LEFT, RIGHT, TOP
from core.report.histogram import BINS, CORRECTED, DOUBTED, PLAIN, histogram, histograms
from tests.lib.pages import page_of


def counts_of(drawn, colour):
    """The numbers that the bars of one colour stand for, bin by bin."""
    top = int(drawn.y_ticks[-1][1].replace(",", ""))
    found = np.zeros(BINS)
    for bar, x, _, width, height in drawn.bars:
        if bar == colour:
            k = round((x - .5 - LEFT) / (RIGHT - LEFT) * BINS)
            assert width == pytest.approx((RIGHT - LEFT) / BINS - 1, abs=.11)
            found[k] += height / (BOTTOM - TOP) * top
    return found


def in_loops(values):
    found = np.zeros(BINS)
    for value in values:
        found[min(int(value * BINS), BINS - 1)] += 1
    return found


@pytest.fixture(scope="module")
def made():
    page = page_of(500, list("abc"), wrong=.4)
    certain = page.probs[np.arange(500), page.suggested]
    return page._replace(sure=.8, corrected=np.where(certain >= .8, page.suggested, page.given))


def test_all_labels_are_in_the_first_drawing(made):
    drawn, _ = histograms(made)
    score, doubted = made.probs[np.arange(500), made.given], made.suggested != made.given
    for colour, rows in ((PLAIN, ~doubted), (DOUBTED, doubted)):
        assert counts_of(drawn, colour) == pytest.approx(in_loops(score[rows].astype(float)), abs=1)
    assert drawn.words == f"{(~doubted).sum()} other labels, {doubted.sum()} suspicious labels." and drawn.mark is None
    assert sum(int(row[2]) for row in drawn.table[1:]) == doubted.sum()


def test_suspicious_labels_stand_on_both_sides_of_the_threshold(made):
    _, drawn = histograms(made)
    certain, doubted = made.probs[np.arange(500), made.suggested].astype(float), made.suggested != made.given
    assert drawn.mark == pytest.approx(LEFT + .8 * (RIGHT - LEFT), abs=.1)
    assert drawn.x_ticks == [(LEFT + (RIGHT - LEFT) * x, text) for x, text in (
        (0, "0"), (.25, "0.25"), (.5, "0.5"), (.75, "0.75"), (1, "1"))]
    assert all(y == pytest.approx(BOTTOM - (BOTTOM - TOP) * int(text) / int(drawn.y_ticks[-1][1]), abs=.06)
               for y, text in drawn.y_ticks)
    assert counts_of(drawn, CORRECTED) == pytest.approx(in_loops(certain[doubted & (certain >= .8)]), abs=.5)
    assert counts_of(drawn, DOUBTED) == pytest.approx(in_loops(certain[doubted & (certain < .8)]), abs=.5)
    for colour, x, _, width, _ in drawn.bars:
        assert (x >= drawn.mark - .5) if colour == CORRECTED else (x + width <= drawn.mark + .5)
    assert drawn.words.endswith("The confidence threshold is 0.8.")


def test_without_a_threshold_there_is_no_line_and_without_doubt_no_second_drawing(made):
    _, drawn = histograms(made._replace(sure=0))
    assert drawn.mark is None and [name for _, name in drawn.legend] == ["suspicious labels"]
    assert len(histograms(page_of(50, wrong=0))) == 1


def test_bars_stand_on_one_another():
    drawn = histogram("title", [("below", 0, np.array([.5, .51])), ("above", 1, np.array([.52]))])
    (_, x, y, _, height), (_, x2, y2, _, height2) = drawn.bars
    assert x == x2 and y2 + height2 == pytest.approx(y) and y + height == BOTTOM
    assert height == pytest.approx(2 * height2, abs=.15)
    assert [row[1:] for row in drawn.table[1:] if row[1:] != ["0", "0"]] == [["2", "1"]]


def test_a_probability_of_one_is_in_the_last_bin_and_zero_in_the_first():
    drawn = histogram("title", [("all", 0, np.array([0., 1., 1.]))])
    assert [row[1] for row in drawn.table[1:]] == ["1", *["0"] * (BINS - 2), "2"]
