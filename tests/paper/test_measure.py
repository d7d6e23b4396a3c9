"""What is measured while a model learns; accuracies, recovery and terms: tests/paper/test_train.py."""
from itertools import count

from core import measure
from core.measure import Epoch, of_training, timed, training_name


def epoch(step, fold, number):
    return Epoch(step, fold, number, *[0.0] * 11)


def test_an_epoch_has_the_seconds_that_it_took_and_not_those_of_its_caller(monkeypatch):
    clock = count()                                          # a second passes whenever somebody looks
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))

    @timed
    def training(looks, start=0):
        for number in range(start, 3):
            for _ in range(looks):
                measure.time.perf_counter()
            yield epoch("joint", None, number)

    taken = []
    for record in training(7, start=1):
        taken.append(record)
        [measure.time.perf_counter() for _ in range(1000)]
    assert [(record.epoch, record.seconds) for record in taken] == [(1, 8), (2, 8)]
    assert training.__name__ == "training" and list(training(0, start=3)) == []


def test_trainings_are_told_apart_by_step_and_fold():
    records = [epoch("joint", None, 1), epoch("joint", 2, 1), epoch("retrain", 2, 1), epoch("joint", 2, 2)]
    assert of_training(records, "joint", 2) == [records[1], records[3]] and of_training(records, "joint") == records[:1]
    assert training_name("joint") == "joint" and training_name("joint", 2) == "fold2.joint"
