"""core/report/palette.py: page and pictures draw the same series in the same colours."""
import re

import numpy as np
import pytest

from core.report import charts, curve_pictures, palette
from tests.lib.pages import finished_run, records


def luminance(color):
    parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.dot([.2126, .7152, .0722], [c / 12.92 if c <= .04045 else ((c + .055) / 1.055) ** 2.4 for c in parts])


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + .05) / (low + .05)


def test_every_line_is_told_apart_on_paper_by_colour_and_by_dashes():
    lines = [*palette.LINES, palette.MARK]
    for line in lines:
        assert contrast(line.light, "#ffffff") >= 3 and contrast(line.dark, "#14171b") >= 3
    assert len({line.light for line in lines}) == len({line.dark for line in lines}) == len(lines)
    assert len({line.dashes for line in palette.LINES}) == len(palette.LINES)
    red, green = (tuple(bytes.fromhex(colour[1:])) for colour in (palette.WRONG, palette.RIGHT))
    assert max(red) == red[0] and max(green) == green[1], "red is wrong, green is right"
    assert contrast(palette.RIGHT, "#ffffff") >= 4.5 and contrast(palette.WRONG, "#ffffff") >= 4.5, "these are texts"


def test_the_rules_of_the_page_have_the_same_colours():
    css = palette.css()
    light, dark = css.split("@media")
    for i, line in enumerate(palette.LINES):
        assert f"--line-{i}: {line.light};" in light.replace(" }", "; }") and f"--line-{i}: {line.dark}" in dark
        rule = re.search(rf"\.line-{i} {{ (.*) }}", css)[1]
        assert rule == f"stroke: var(--line-{i}); stroke-dasharray: {' '.join(map(str, line.dashes)) or 'none'};"
    assert f"--mark: {palette.MARK.light}" in light and f"--mark: {palette.MARK.dark}" in dark


@pytest.mark.parametrize("truth", [True, False])
def test_the_curves_of_page_and_picture_are_the_same_series_in_the_same_colours(truth):
    run = finished_run(truth=truth)
    drawn = {}
    for figure in (curve_pictures.curves(run, 4), curve_pictures.losses(run, 4)):
        for axes in figure.axes:
            kind = "retrain" if "step 2" in axes.get_title() else "joint"
            drawn |= {(kind, line.get_label()): line for line in axes.lines}
    of_page = {("retrain" if "step 2" in chart.title else "joint", name): colour
               for chart in charts.charts(run.records, 4) for colour, name, _ in chart.lines}
    if not truth:                                              # the picture says it in its title
        name = ("joint", "labels changed by the update")
        assert of_page.pop(name) == 0
    series = {key: line for key, line in drawn.items() if key[1] != "labels first updated" and key[1][0] != "_"}
    assert set(series) == set(of_page)
    for key, line in series.items():
        assert line.get_color() == palette.LINES[of_page[key]].light, key
    assert drawn["joint", "labels first updated"].get_color() == palette.MARK.light


def test_only_known_series_are_drawn_and_labels_change_in_step_1_alone():
    joint, retrain = (palette.known(palette_records, palette.ACCURACIES)
                      for palette_records in (records(5)[:5], records(5)[5:]))
    assert [series.field for series in joint] == ["recovery", "test", "accuracy"]
    assert [series.field for series in retrain] == ["test", "accuracy"]
    assert joint[palette.ACCURACIES[1]] == [r.test for r in records(5)[:5]]


def test_the_first_update_stands_before_the_epoch_that_is_measured_after_it():
    joint = records(10)[:10]
    assert palette.first_update(joint, 4) == 3.5 and palette.first_update(joint, 1) == 1
    assert palette.first_update(joint, 11) is palette.first_update(joint, None) is None
    assert palette.first_update(joint, 10) == 9.5
