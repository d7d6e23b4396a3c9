"""core/report/charts.py: lines where they belong, and the same in words; and the numbers in these."""
import pytest

from core.report import charts
from core.report.numbers import percent, unbroken
from tests.lib.pages import records


def test_charts_say_in_words_what_they_draw():
    joint, losses, retrain = charts.charts(records(), begin=4)
    assert [name for _, name, _ in joint.lines] == ["correct labels", "test",
                                                    "training, labels in use"], "validation is not known"
    assert [name for _, name, _ in retrain.lines] == ["test", "training, labels in use"] and retrain.mark is None
    assert [color for color, *_ in retrain.lines] == [1, 3], "a line has its colour everywhere"
    assert "test: from 8.3\u00a0% to 83.3\u00a0%." in joint.words and losses.lines[0][1] == "L_c classification"
    x, y = map(float, joint.lines[0][2].split()[-1].split(","))
    assert x == charts.RIGHT and y == pytest.approx(charts.BOTTOM - .9 * (charts.BOTTOM - charts.TOP), abs=.1)
    assert joint.mark == pytest.approx(charts.LEFT + (charts.RIGHT - charts.LEFT) * 3 / 9, abs=.1)
    assert joint.table[0][0] == "epoch" and joint.table[-1][0] == "10"


def test_one_epoch_is_a_chart_too():
    assert charts.charts(records(1))[0].x_ticks == [(charts.LEFT, "1")]


@pytest.mark.parametrize("fraction, text", [(0.9861, "98.6 %"), (1, "100.0 %"), (None, "-"), (float("nan"), "-")])
def test_a_fraction_reads_the_same_on_the_page_and_in_the_terminal(fraction, text):
    assert percent(fraction) == text == unbroken(fraction).replace("\u00a0", " ") and " " not in unbroken(fraction)
