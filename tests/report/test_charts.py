"""core/report/charts.py: lines where they belong, and the same in words; and the numbers in these."""
import math

import pytest

from core.report import charts
from core.report.numbers import interval, percent, unbroken
from tests.lib.pages import records

FIELDS = {"correct labels": "recovery", "test": "test", "training, labels in use": "accuracy",
          "labels changed by the update": "changed", "L_c classification": "L_c", "L_p prior": "L_p",
          "L_e entropy": "L_e"}


def test_charts_say_in_words_what_they_draw():
    joint, losses, retrain = charts.charts(records(), begin=4)
    assert [name for _, name, _ in joint.lines] == ["correct labels", "test",
                                                    "training, labels in use"], "validation is not known"
    assert [name for _, name, _ in retrain.lines] == ["test", "training, labels in use"] and retrain.mark is None
    assert [color for color, *_ in retrain.lines] == [1, 3], "a line has its colour everywhere"
    assert "test: from 8.3\u00a0% to 83.3\u00a0%." in joint.words and losses.lines[0][1] == "L_c classification"
    x, y = map(float, joint.lines[0][2].split()[-1].split(","))
    assert x == charts.RIGHT and y == pytest.approx(charts.BOTTOM - .9 * (charts.BOTTOM - charts.TOP), abs=.1)
    assert joint.mark == pytest.approx(charts.LEFT + (charts.RIGHT - charts.LEFT) * 2.5 / 9, abs=.1), "before epoch 4"
    assert joint.table[0][0] == "epoch" and joint.table[-1][0] == "10"


def test_where_no_truth_is_known_the_labels_that_changed_are_drawn():
    log = records(truth=False)
    joint, changed, losses, retrain = charts.charts(log, begin=4)
    assert [name for _, name, _ in joint.lines] == ["test", "training, labels in use"]
    assert changed.title == "step 1, joint: labels changed by the update"
    top = float(changed.y_ticks[-1][1])
    heights = [float(point.split(",")[1]) for point in changed.lines[0][2].split()]
    expected = [charts.BOTTOM - (charts.BOTTOM - charts.TOP) * r.changed / top for r in log[:10]]
    assert heights == pytest.approx(expected, abs=.06) and top >= max(r.changed for r in log)
    assert [row[1] for row in changed.table[1:]] == [str(r.changed) for r in log[:10]]


def test_every_line_every_word_and_every_row_is_that_of_its_records():
    """Of epochs that begin at 5, by the definition; of 30 epochs the table has every third, and the last."""
    for truth in (True, False):
        log = records(30, truth)
        for record in log:
            record.epoch += 4
        for drawn in charts.charts(log, begin=8):
            step, what = drawn.title.split(": ")
            own = [r for r in log if r.step == {"step 1, joint": "joint", "step 2, retrained": "retrain"}[step]]
            top = float(drawn.y_ticks[-1][1].replace("\u00a0%", "")) / (100 if what == "accuracy" else 1)
            write = {"accuracy": unbroken, "labels changed by the update": "{:,.0f}".format}.get(what, "{:.3g}".format)
            assert (drawn.mark is None) == (step != "step 1, joint") and drawn.lines
            assert drawn.table[0] == ["epoch", *(name for _, name, _ in drawn.lines)]
            rows, words = [*range(0, 30, 3), 29], "Epochs 5 to 34."
            assert [row[0] for row in drawn.table[1:]] == [str(own[i].epoch) for i in rows]
            for column, (_, name, points) in enumerate(drawn.lines, 1):
                values = [getattr(r, FIELDS[name]) for r in own]
                words += f" {name}: from {write(values[0])} to {write(values[-1])}."
                assert [row[column] for row in drawn.table[1:]] == [write(values[i]) for i in rows]
                expected = [(charts.LEFT + (charts.RIGHT - charts.LEFT) * (r.epoch - 5) / 29,
                             charts.BOTTOM - (charts.BOTTOM - charts.TOP) * value / top)
                            for r, value in zip(own, values)]
                found = [tuple(map(float, point.split(","))) for point in points.split()]
                assert sum(found, ()) == pytest.approx(sum(expected, ()), abs=.06)
            assert drawn.words == words
            ticks = [(y, text.replace("\u00a0%", "")) for y, text in drawn.y_ticks]
            assert what != "accuracy" or [text for _, text in ticks] == ["0", "25", "50", "75", "100"]
            assert ticks[0] == (charts.BOTTOM, "0")
            for y, text in ticks:
                share = float(text) / float(ticks[-1][1])
                assert y == pytest.approx(charts.BOTTOM - (charts.BOTTOM - charts.TOP) * share, abs=.06)
            for x, text in drawn.x_ticks:
                assert x == pytest.approx(charts.LEFT + (charts.RIGHT - charts.LEFT) * (int(text) - 5) / 29, abs=.06)


def test_numbers_that_count_have_whole_numbers_beside_them():
    assert charts.heights([[0, 0]], whole=True)[-1] == 1
    assert all(y == int(y) for y in charts.heights([[1, 2, 2]], whole=True))


def test_one_epoch_is_a_chart_too():
    assert charts.charts(records(1))[0].x_ticks == [(charts.LEFT, "1")]


@pytest.mark.parametrize("fraction, text", [(0.9861, "98.6 %"), (1, "100.0 %"), (None, "-"), (float("nan"), "-")])
def test_a_fraction_reads_the_same_on_the_page_and_in_the_terminal(fraction, text):
    assert percent(fraction) == text == unbroken(fraction).replace("\u00a0", " ") and " " not in unbroken(fraction)


@pytest.mark.parametrize("found, n", [(0, 10), (3, 10), (10, 10), (60, 300), (22_800, 100_000)])
def test_the_ends_of_an_interval_are_as_far_from_the_fraction_as_it_says(found, n):
    """Both ends solve |f - p| = z sqrt(p (1 - p) / n), by which Wilson's interval is defined."""
    low, high = interval(found / n, n)
    assert 0 <= low <= found / n <= high <= 1 and low < high
    for end in (low, high):
        assert abs(found / n - end) == pytest.approx(1.96 * math.sqrt(end * (1 - end) / n), abs=1e-12)
    assert interval(0.5, 0) == (0, 1)
