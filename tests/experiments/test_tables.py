"""experiments/tables.py and figures.py: numbers in their cells; the paper's numbers, as docs/paper.md has them."""
import math
import re

import numpy as np
import pytest

from core.measure import Epoch
from experiments import figures, papers_numbers, tables
from experiments.catalogue import EXPERIMENTS, lines
from experiments.reproduce import stand_in
from experiments.runs import SURE, Run
from tests.project.test_docs import PAPER

EPOCHS = 4


def made_up(line, config, k=0):
    """A Run whose accuracies say where they come from."""
    steps = ["joint", "retrain", *["cross-entropy"] * config.compare]
    records = [Epoch(step, None, e, .1, 2., 2. / e, .1, .1, .6 + .01 * e, (.5, .9, .6, .7)[e - 1],
                     .1 * s + .01 * e + .001 * k, .5 + .01 * e, 0, math.nan)
               for s, step in enumerate(steps, 1) for e in range(1, EPOCHS + 1)]
    scores = {f"{sure:g}": [.9 - .1 * sure, .8 - .5 * sure] for sure in SURE}
    return Run(line, config, {"initial": .55, "recovery": .54}, records, scores, {"python": "3", "numpy": "2"})


def all_runs(name, seeds=1):
    scale = next(iter(EXPERIMENTS[name].scales))
    return [made_up(line, config, k)
            for k, (line, config) in enumerate(lines(name, scale, options=stand_in(name), seeds=seeds))]


def test_a_table_of_rates_is_the_papers_with_ours_above_each_row():
    runs = [run for run in all_runs("sn-cifar") if run.config.rate in (0, 0.5)]
    head, *rows = tables.table(EXPERIMENTS["sn-cifar"], "sn-cifar", runs, [])
    assert head == ("%", "r = 0 %", "r = 10 %", "r = 30 %", "r = 50 %", "r = 70 %", "r = 90 %", "how sure")
    of = {row[0]: row[1:] for row in rows}
    assert of["correct labels, given"] == ("55.0", "-", "-", "55.0", "-", "-", "measured")
    assert of["correct labels, best"][0] == "52.0" and of["correct labels, last"][0] == "54.0"
    assert of["cross-entropy, best"][0] == "32.0" and of["cross-entropy, last"][3] == "34.3"
    assert of["joint optimization, last"][:2] == ("24.0", "-")
    assert of["the paper's joint optimization, last"] == ("93.6", "92.9", "91.5", "89.8", "86.0", "58.3",
                                                         papers_numbers.CONFIRMED)
    assert all("recalled" in row[-1] for row in rows if row[0].startswith("the paper's"))


def test_the_papers_numbers_are_those_of_the_page_on_the_paper():
    section = re.findall(r"^\| ([\w -]+, (?:best|last)) \| ([\d. |]+) \| (recalled[^|]*) \|$", PAPER, re.MULTILINE)
    assert len(section) > 5
    for title, cells, _ in section:
        values = [float(cell) for cell in cells.split("|")]
        name = "sn-cifar" if len(values) == 6 else "an-cifar"
        ours = {f"{row.method}, {row.which}": [*row.values.values()] for row in papers_numbers.ROWS[name]}
        assert title.startswith("Forward") or ours[title] == values, title


def test_a_table_of_lines_has_what_is_known_and_what_differs():
    head, *rows = tables.table(EXPERIMENTS["update"], "update", all_runs("update"),
                               [run.line for run in all_runs("update")])
    assert head == ("run", "correct labels, given", "correct labels, best", "correct labels, last", "step 1, best",
                    "step 1, last")
    assert [row[0] for row in rows] == ["--update hard", "--update hard-50", "--update hard-500", "--update hard-5000",
                                        "--update soft"]
    assert rows[1] == ("--update hard-50", "55.0 %", "52.0 %", "54.0 %", "12.1 %", "14.1 %")


def test_seeds_are_one_row_with_mean_and_deviation():
    runs = all_runs("average", seeds=3)
    rows = tables.table(EXPERIMENTS["average"], "average", runs, [run.line for run in runs])
    assert rows[1][0] == "--K 1, 3 seeds" and rows[1][-1] == "14.1 ± 0.1 %" and len(rows) == 6


def test_settings_are_scored():
    runs = all_runs("sensitivity")
    rows = tables.table(EXPERIMENTS["sensitivity"], "sensitivity", runs, [run.line for run in runs])
    assert rows[0][-2:] == ("corrections, precision", "corrections, recall") and rows[1][-2:] == ("90.0 %", "80.0 %")


@pytest.mark.parametrize("name, updated", [("learning-rate", False), ("memorisation", False), ("update", True)])
def test_labels_that_no_epoch_sees_are_no_column(name, updated):
    """--begin {200}: after the last epoch they are changed once, and no network learns from them."""
    head, *_ = tables.table(EXPERIMENTS[name], name, all_runs(name), [])
    assert ("correct labels, last" in head) == updated and "correct labels, given" in head


def test_what_no_run_has_is_no_column():
    head, *rows = tables.table(EXPERIMENTS["terms"], "terms", all_runs("terms"), [])
    assert "step 2, last" in head and not any("cross-entropy" in title for title in head)
    assert {len(row) for row in rows} == {len(head)}


def test_without_one_of_its_values_a_mean_is_not_known():
    assert tables.cell([.5, None]) == tables.cell([]) == tables.cell([None]) == "-" and tables.cell([.5]) == "50.0 %"


def test_rows_as_markdown():
    assert tables.markdown([("a", "b"), ("1", "2")]) == ["| a | b |", "|---|---|", "| 1 | 2 |"]


# ---- pictures --------------------------------------------------------------------------------------------------------

DRAWN_BY = {experiment.picture: name for name, experiment in EXPERIMENTS.items()}     # one for each function


@pytest.mark.parametrize("name", [name if name in DRAWN_BY.values() else pytest.param(name, marks=pytest.mark.thorough)
                                  for name in EXPERIMENTS])
def test_every_picture_can_be_drawn_from_all_runs_and_from_one(name, tmp_path):
    runs = all_runs(name, seeds=2)
    all_lines = [run.line for run in runs]
    for some in (runs, runs[:1]):
        figure = figures.draw(EXPERIMENTS[name].picture, some, all_lines)
        figures.save(tmp_path / "a.png", figure, figures.origin(some))
        assert figures.source_of(tmp_path / "a.png") == figures.origin(some)
        assert all(line.get_xydata().size for axes in figure.axes for line in axes.lines)


def drawn(figure, panel, label):
    """The points of the line of that name."""
    line, = (line for line in figure.axes[panel].lines if line.get_label() == label)
    return line.get_xydata()


def test_a_picture_of_rates_shows_the_last_epochs():
    figure = figures.draw("rates", all_runs("sn-cifar")[::-1], [])
    test = drawn(figure, 0, "test, joint optimization")
    assert test[:, 0].tolist() == pytest.approx([0, 10, 30, 50, 70, 90])
    assert test[:, 1].tolist() == pytest.approx([24 + .1 * k for k in range(6)])
    assert drawn(figure, 0, "labels, given")[:, 1].tolist() == pytest.approx([55] * 6)
    assert drawn(figure, 0, "labels, corrected")[:, 1].tolist() == pytest.approx([54] * 6)
    assert drawn(figure, 0, "test, cross-entropy")[:, 1].tolist() == pytest.approx([34 + .1 * k for k in range(6)])
    assert drawn(figure, 1, "50 %")[:, 0].tolist() == [*range(1, 2 * EPOCHS + 1)]
    assert [line.get_linestyle() for line in figure.axes[0].lines] == [":", "-", "-", "-"], "what was given is dotted"
    assert [axes.get_ylim() for axes in figure.axes] == [(0, 100)] * 2
    assert [axes.get_xlabel() for axes in figure.axes] == ["noise rate, %", "epoch, both steps"]
    dashed = [line.get_ydata().tolist() for line in figure.axes[1].lines if line.get_linestyle() == "--"]
    assert dashed == [pytest.approx([31 + .1 * k, 32 + .1 * k, 33 + .1 * k, 34 + .1 * k]) for k in range(6)]


def test_a_picture_of_rates_has_means_of_the_seeds_and_all_their_curves():
    figure = figures.draw("rates", all_runs("sn-cifar", seeds=3), [])
    test = drawn(figure, 0, "test, joint optimization")
    assert test[:, 0].tolist() == pytest.approx([0, 10, 30, 50, 70, 90])
    assert test[:, 1].tolist() == pytest.approx([24 + .1 * (3 * k + 1) for k in range(6)])
    solid = [line for line in figure.axes[1].lines if line.get_linestyle() == "-"]
    assert len(solid) == 18 and len({line.get_color() for line in solid}) == 6
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == [
        f"{rate} %" for rate in (0, 10, 30, 50, 70, 90)]


def test_the_seeds_of_a_learning_rate_have_one_colour_and_one_name():
    figure = figures.draw("memorised", all_runs("memorisation", seeds=3), [])
    for panel, each in ((0, 1), (1, 2)):
        lines = figure.axes[panel].lines
        assert len(lines) == 6 * each and len({line.get_color() for line in lines}) == 2
        assert len(figure.axes[panel].get_legend().get_texts()) == 2 * each
    assert [line.get_linestyle() for line in figure.axes[1].lines] == ["-", "--"] * 6


def test_a_picture_of_epochs_shows_labels_and_tests():
    runs = all_runs("terms")
    figure = figures.draw("over_epochs", runs, [run.line for run in runs])
    assert drawn(figure, 0, "--alpha 0")[:, 1].tolist() == pytest.approx([51, 52, 53, 54])
    assert drawn(figure, 1, "--alpha 0")[:, 1].tolist() == pytest.approx([11.1, 12.1, 13.1, 14.1,
                                                                         21.1, 22.1, 23.1, 24.1])
    left, right = ({line.get_label(): line.get_color() for line in axes.lines} for axes in figure.axes)
    assert left == right and len(set(left.values())) == len(runs), "a line has its colour in both panels"
    assert [axes.get_ylabel() for axes in figure.axes] == ["%", "%"]


def test_where_step_1_alone_is_looked_at_the_picture_ends_with_it():
    runs = all_runs("update")
    figure = figures.draw("over_epochs", runs, [run.line for run in runs])
    assert drawn(figure, 1, "--update hard")[:, 1].tolist() == pytest.approx([11, 12, 13, 14])


def test_a_picture_of_learning_rates_has_a_panel_for_each_noise_rate():
    figure = figures.draw("learning_rates", all_runs("learning-rate"), [])
    for panel, label, k in ((0, "lr 0.01", 0), (1, "lr 0.1", 6), (2, "lr 0.3", 11)):
        assert drawn(figure, panel, label)[:, 1].tolist() == pytest.approx([e + 10 + .1 * k for e in (1, 2, 3, 4)])


def test_a_picture_of_learning_rates_has_the_mean_of_the_seeds_and_each_of_them_pale():
    figure = figures.draw("learning_rates", all_runs("learning-rate", seeds=3), [])
    assert drawn(figure, 0, "lr 0.03")[:, 1].tolist() == pytest.approx([e + 10 + .1 * 4 for e in (1, 2, 3, 4)])
    lines = figure.axes[2].lines
    assert len(lines) == 4 * 4 and len({line.get_color() for line in lines}) == 4
    pale = [line.get_ydata().tolist() for line in lines if line.get_alpha()]
    assert pale == [pytest.approx([e + 10 + .1 * k for e in (1, 2, 3, 4)]) for k in range(24, 36)]
    assert {line.get_alpha() for line in lines if line.get_linewidth() < 1} == {.25}
    assert [text.get_text() for text in figure.axes[2].get_legend().get_texts()] == [
        f"lr {rate}" for rate in (.01, .03, .1, .3)]
    assert not [line for line in figures.draw("learning_rates", all_runs("learning-rate"), []).axes[0].lines
                if line.get_alpha()]


def test_a_picture_of_memorisation_shows_loss_given_labels_and_test():
    runs = all_runs("memorisation")
    figure, label = figures.draw("memorised", runs, []), f"lr {runs[1].config.recipe.lr:g}"
    assert drawn(figure, 0, label)[:, 1].tolist() == pytest.approx([2, 1, 2 / 3, .5])
    assert drawn(figure, 1, f"{label}: given labels reproduced")[:, 1].tolist() == pytest.approx([61, 62, 63, 64])
    assert drawn(figure, 1, f"{label}: test")[:, 1].tolist() == pytest.approx([11.1, 12.1, 13.1, 14.1])


def test_a_picture_of_settings_has_a_panel_for_each():
    figure = figures.draw("sensitivity", all_runs("sensitivity"), [])
    assert len(figure.axes) == 12 and [axes.get_xlabel() for axes in figure.axes[:6]] == [*figures.SETTINGS, "--sure"]
    assert [drawn(figure, panel, "recall")[:, 0].tolist() for panel in range(5)] == [
        [.025, .05, .1, .2, .4], [3, 6, 12, 16], [1, 3, 10], [0, .4, 1.2, 2.4], [0, .4, .8, 1.6]]
    assert all(line.get_visible() for axes in figure.axes for line in axes.get_xgridlines() + axes.get_ygridlines())
    assert drawn(figure, 0, "test, step 1")[:, 1].tolist() == pytest.approx([14.1, 14.2, 14, 14.3, 14.4])
    np.testing.assert_allclose(drawn(figure, 5, "precision")[:, 1], [100 * (.9 - .1 * sure) for sure in SURE])


def test_where_step_2_counts_its_test_accuracy_is_drawn():
    figure = figures.draw("sensitivity", all_runs("sensitivity-features"), [])
    assert drawn(figure, 0, "test, step 2")[:, 0].tolist() == [.0025, .01, .02, .04]
    assert drawn(figure, 0, "test, step 2")[:, 1].tolist() == pytest.approx([24.1, 24, 24.2, 24.3])
    assert not [line for line in figure.axes[0].lines if line.get_label() == "test, step 1"]


def test_another_run_is_another_origin():
    one, other = all_runs("average")[:2]
    assert figures.origin([one]) != figures.origin([other]) != figures.origin([one, other])
