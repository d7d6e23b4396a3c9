"""Every number of summary.json and of the terminal is the one that its name says."""
import math
from types import SimpleNamespace

import numpy as np
import pytest

from core.measure import Epoch
from core.quality import Detection, judge
from core.recipes import RECIPES
from core.report import console
from core.report.numbers import counted
from core.report.results import facts, summary
from core.run import Config

NAN = math.nan


def epoch(step, number, base, fold=None, **changes):
    """An Epoch in which every number is another one."""
    values = dict(lr=0.1, loss=base + 0.01, L_c=base + 0.02, L_p=base + 0.03, L_e=base + 0.04, accuracy=base + 0.05,
                  validation=base + 0.06, test=base + 0.07, recovery=base + 0.08, changed=int(1000 * base) + 9,
                  seconds=base * 100 + 3)
    return Epoch(step=step, fold=fold, epoch=number, **{**values, **changes})


RECORDS = [epoch("joint", 1, 0.11), epoch("joint", 2, 0.41), epoch("joint", 3, 0.31), epoch("retrain", 1, 0.61),
           epoch("retrain", 2, 0.51), epoch("joint", 1, 0.72, fold=1), epoch("joint", 2, 0.71, fold=1),
           epoch("retrain", 1, 0.81, fold=1), epoch("cross-entropy", 1, 0.21), epoch("cross-entropy", 2, 0.12)]
GIVEN = np.array([0, 0, 1, 1, 2, 2, 0, 1])
VERDICT = SimpleNamespace(temperature=None, by_chance=False, initial=0.123, recovery=0.456,
                          corrected=np.array([0, 1, 1, 1, 0, 2, 2, 1]), errors=3.25, rate=0.345,
                          detection=Detection(*np.arange(1, 1 + len(Detection._fields)) / 100))


def test_one_is_one_image_and_all_other_numbers_are_images():
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]


def test_the_summary_has_the_numbers_of_its_names():
    found = summary(VERDICT, GIVEN, RECORDS)
    assert (found["initial"], found["recovery"], found["changed"]) == (0.123, 0.456, 3)
    assert (found["estimated_errors"], found["estimated_rate"]) == (3.25, 0.345)
    assert found["detection"] == VERDICT.detection._asdict()
    expected = {"joint": (0.47, 0.37, 0.38, 11 + 41 + 31 + 9), "retrain": (0.67, 0.57, 0.58, 61 + 51 + 6),
                "cross-entropy": (0.27, 0.18, 0.19, 21 + 12 + 6), "fold1.joint": (0.78, 0.77, 0.78, 72 + 71 + 6),
                "fold1.retrain": (0.87, 0.87, 0.88, 84)}
    assert found.keys() - expected.keys() == {"initial", "recovery", "changed", "estimated_errors", "estimated_rate",
                                              "detection"}
    for name, numbers in expected.items():
        assert [found[name][key] for key in ("best_validation", "last_validation", "test", "seconds")] == pytest.approx(
            numbers)


def test_what_is_not_known_is_none():
    unknown = SimpleNamespace(**{**vars(VERDICT), "initial": NAN, "recovery": NAN, "detection": None})
    found = summary(unknown, GIVEN, [epoch("joint", 1, 0.5, validation=NAN, test=NAN)])
    assert found["initial"] is found["recovery"] is found["joint"]["best_validation"] is found["joint"]["test"] is None
    assert "detection" not in found


def outcome(**changes):
    made = summary(VERDICT, GIVEN, RECORDS)
    return SimpleNamespace(summary=made, given=GIVEN, suggested=np.array([1, 1, 1, 1, 0, 2, 2, 0]),
                           corrected=VERDICT.corrected, initial=0.123, recovery=0.456, verdict=VERDICT, **changes)


def test_the_terminal_shows_each_number_in_its_column_and_line():
    lines = console.table(outcome()).splitlines()
    assert lines[1] == "correct labels: 12.3 % given -> 45.6 % corrected   (3 of 8 changed)"
    assert lines[2] == "estimated label noise: 34.5 %   (12.0 to 67.1 % by the number of images alone)"
    scores = VERDICT.detection._asdict()
    assert lines[3] == (f"suspicious labels: precision {100 * scores['precision']:.1f} %, recall "
                        f"{100 * scores['recall']:.1f} %; their ranking: AUROC {scores['auroc']:.3f}, "
                        f"average precision {scores['average_precision']:.3f}")
    head, rule, *rows = lines[5:]
    assert head.split("  ")[-4:] == ["best validation", "last validation", "test, last epoch", "seconds"]
    assert [row.replace(" %", "").split()[-4:] for row in rows] == [
        ["47.0", "37.0", "38.0", "92"], ["67.0", "57.0", "58.0", "118"], ["27.0", "18.0", "19.0", "39"]]
    assert [row.split("  ")[0] for row in rows] == [*console.TITLES.values()]


def test_the_table_warns_and_names_the_better_network_where_there_is_reason():
    for changes, records in (({}, RECORDS), ({"initial": 0.5, "recovery": 0.4}, RECORDS),
                             ({}, [epoch("joint", 1, 0.8), epoch("retrain", 1, 0.2)])):
        found = outcome()
        vars(found).update(changes, summary=summary(VERDICT, GIVEN, records))
        wanted = [*console.warning(found), *console.better(found.summary)]
        assert len(wanted) == (changes != {} or records is not RECORDS)
        assert [line for line in console.table(found).splitlines() if line.startswith(("warning", "The net"))] == wanted


def test_the_page_tells_how_many_labels_were_corrected_and_how_many_were_right_before_and_after():
    config = Config(RECIPES["digits"], sure=.9)
    (name, number, text), = facts(outcome(), config)
    assert (name, number) == ("corrected labels", "3") and "a probability of 0.9 or more" in text
    assert "12.3 % of the labels were right before, 45.6 % are after" in text
    assert facts(outcome(), config._replace(sure=0)) == []


def test_without_a_truth_the_suspicious_and_the_corrected_are_counted():
    unknown = outcome()
    unknown.initial = unknown.recovery = NAN
    assert console.label_line(unknown) == "labels: 5 of 8 suspicious, 3 corrected (the true labels are unknown)"


@pytest.mark.parametrize("initial, recovery, warned", [(0.8, 0.7999, True), (0.8, 0.8, False), (0.8, 0.9, False),
                                                       (NAN, NAN, False), (0.8, NAN, False)])
def test_the_warning_comes_where_labels_got_worse_and_nowhere_else(initial, recovery, warned):
    found = console.warning(SimpleNamespace(initial=initial, recovery=recovery))
    assert [line.startswith("warning: fewer labels are correct than before") for line in found] == [True] * warned


def test_an_epoch_is_told_by_its_own_numbers():
    record = epoch("joint", 4, 0.2)
    assert console.short(record) == "loss 0.210  validation 26.0 %  correct labels 28.0 %  209 changed"
    assert console.short(record._replace(step="retrain")) == "loss 0.210  validation 26.0 %"
    assert console.short(record._replace(validation=NAN, recovery=NAN)) == "loss 0.210  209 changed"


def test_a_verdict_counts_images_whose_truth_is_known_alone():
    given, truth = np.array([0, 1, 2, 0, 1, 2]), np.array([0, 0, -1, 0, -1, 1])
    Y = np.eye(3)[[0, 0, 2, 1, 1, 2]]
    s = np.full((6, 3), 0.05) + 0.85 * np.eye(3)[[0, 0, 2, 1, 1, 2]]
    found = judge(given, Y, s, s, truth, sure=0.9)
    assert found.initial == 0.5 and found.recovery == 0.5 and found.suggested.tolist() == [0, 0, 2, 1, 1, 2]
    assert found.corrected.tolist() == [0, 0, 2, 1, 1, 2]
    assert judge(given, Y, s, s, truth, sure=0.91).corrected.tolist() == given.tolist()
