"""benchmarks/resnet.py: what it compares computes the same; how long it takes is not tested."""
import numpy as np
import pytest

from benchmarks import resnet as benchmark
from nets.resnet import Architecture
from tests.lib.lite import pixels


@pytest.fixture
def problem():
    arch = Architecture(3, blocks=(1, 1, 1, 1), bottleneck=False, frozen=True)
    return arch, *benchmark.weights(arch)


def test_every_contestant_has_the_same_features_and_every_round_but_the_first_counts(problem):
    contestants = benchmark.inference(*problem)
    spent = benchmark.compete(contestants, [pixels(2, 32)], 2, rounds=2)
    assert {benchmark.FAST, benchmark.READABLE} <= spent.keys()
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in spent.values())


def test_every_contestant_takes_the_same_step(problem):
    dlogits = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    contestants = benchmark.steps(*problem)
    benchmark.compete(contestants, [pixels(2, 32), dlogits], 2, rounds=1)
    second = {name: step(pixels(2, 32), dlogits)[0] for name, step in contestants.items()}     # after one and two steps
    for name, logits in second.items():
        assert np.linalg.norm(logits - second[benchmark.READABLE]) < 1e-4 * np.linalg.norm(logits), name
    assert {benchmark.FAST, benchmark.READABLE} <= second.keys()


def test_another_result_stops_it():
    off = {"one": lambda: np.ones(3), "another": lambda: np.full(3, 1.02)}
    with pytest.raises(AssertionError, match="another has another features"):
        benchmark.compete(off, [], 1, rounds=1)


def test_the_table_has_medians_and_ratios():
    lines = benchmark.table("Features", {"fast": [0.4, 0.2, 0.3], "PyTorch": [0.6, 6, 0.5]}, "fast")
    assert lines[4:6] == ["| fast | 0.300 | 0.200 | 1.00 |", "| PyTorch | 0.600 | 0.500 | 2.00 |"]
