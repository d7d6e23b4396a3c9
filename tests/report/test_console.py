"""core/report/console.py: lines that stand under one another in any script, and numbers with what they are worth."""
import math
from types import SimpleNamespace

import numpy as np
import pytest

from core.recipes import RECIPES
from core.report import console, results
from core.report.numbers import interval, percent
from core.run import Config


@pytest.mark.parametrize("text, columns", [("cat", 3), ("猫", 2), ("ｃａｔ", 6), ("e\u0301", 1), ("собака", 6)])
def test_a_letter_of_east_asia_takes_two_columns_and_an_accent_none(text, columns):
    assert console.columns(text) == columns


def test_columns_stand_under_one_another_in_any_script():
    lines = console.aligned([("class", "number"), ("猫", "1"), ("cafe\u0301", "20"), ("a", "３")])
    assert len({console.columns(line) for line in lines}) == 1
    assert [line.split()[-1] for line in lines[2:]] == ["1", "20", "３"] and set(lines[1]) == {"-"}


@pytest.mark.parametrize("N, said", [(300, True), (10_000, False)])
def test_the_estimated_noise_of_few_images_has_its_interval(N, said):
    line, (low, high) = console.noise_line(.228, N), interval(.228, N)
    assert line.startswith("estimated label noise: 22.8 %")
    assert line.endswith(f"({100 * low:.1f} to {percent(high)} by the number of images alone)") == said
    assert said or line == "estimated label noise: 22.8 %"


def test_the_interval_is_that_of_the_images_of_the_run():
    result = SimpleNamespace(given=[0] * 50, summary={"estimated_rate": .1})
    assert console.detection_lines(result) == [console.noise_line(.1, 50)]


@pytest.mark.parametrize("chance", [True, False])
def test_a_network_that_knows_nothing_of_the_labels_is_told(chance):
    labels = np.zeros(3, int)
    result = SimpleNamespace(given=labels, suggested=labels, corrected=labels, recovery=math.nan, initial=math.nan,
                             summary={"estimated_rate": .1}, verdict=SimpleNamespace(by_chance=chance))
    assert (f"note     {console.BY_CHANCE}" in console.table(result).splitlines()) == chance
    (name, number, text), = results.facts(result, Config(RECIPES["digits"], sure=.9))
    assert (name, number) == ("corrected labels", "0") and (text == console.BY_CHANCE) == chance


def test_on_paper_every_epoch_has_its_line_and_of_a_fold_the_last_one(capsys, monkeypatch):
    def record(number):
        return SimpleNamespace(step="joint", epoch=number, loss=number / 8, validation=math.nan, recovery=math.nan,
                               changed=number + 40, seconds=number + .25)
    for fold, told in ((None, [1, 2, 3]), (2, [3])):
        records = [record(number) for number in (1, 2, 3)]
        assert list(console.watched(records, 3, "joint", fold)) == records
        assert capsys.readouterr().out.splitlines() == [
            ("" if fold is None else "fold 2, ") + "step 1: network and labels",
            *(f"  epoch   {n}/3  loss {n / 8:.3f}  {n + 40} changed  {n + .25:.1f} s" for n in told)]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert list(console.watched(records, 3, "retrain", 1)) == records
    shown = capsys.readouterr().out
    assert "fold 1, step 2: fresh network" in shown and "3/3" in shown and "loss 0.375  43 changed" in shown
    assert list(console.watched(records[2:], 3, "joint")) == records[2:]
    assert "3/3" in capsys.readouterr().out, "after resuming"
    assert "epoch/s" in shown and "  epoch " not in shown and shown.endswith("\n"), "what comes next has its own line"


def test_columns_that_are_dashes_alone_are_left_out():
    assert console.measured([("", "a", "b", "c"), ("x", "-", "1 %", "-"), ("y", "-", "-", "2 %")]) == [
        ("", "b", "c"), ("x", "1 %", "-"), ("y", "-", "2 %")]
