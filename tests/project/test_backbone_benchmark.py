"""benchmarks/backbone.py measures what it says; how long it takes is not tested."""
import numpy as np
import pytest

from benchmarks import backbone as benchmark
from core.data import backbone
from tests.lib.lite import pixels, weights_file


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Random weights in the place of the package's."""
    monkeypatch.setattr(backbone, "weights", lambda: weights_file(tmp_path / "w.pth"))
    monkeypatch.setattr(benchmark, "BLOCK", 2)


def test_every_round_is_measured_but_the_first(installed):
    spent, resizing = benchmark.compete(pixels(5, 24), 32, rounds=3)
    assert benchmark.FAST in spent and resizing > 0
    assert all(len(taken) == 3 and min(taken) > 0 for taken in spent.values())


def test_contestants_have_the_same_features_or_it_stops(installed, monkeypatch):
    off = {"one": lambda pixels: np.ones((len(pixels), 3)), "another": lambda pixels: np.full((len(pixels), 3), 1.001)}
    monkeypatch.setattr(benchmark, "contestants", lambda size: off)
    with pytest.raises(AssertionError, match="another has other features"):
        benchmark.compete(pixels(2, 24), 32, rounds=1)


def test_the_whole_counts_wall_and_processor_time(installed):
    wall, processors = benchmark.whole(pixels(3, 24), 32, jobs=1)
    assert wall > 0 and processors > 0


def test_the_table_has_medians_and_ratios():
    lines = benchmark.table({benchmark.FAST: [4, 2, 3], benchmark.LAST: [6, 60, 5]}, 0.25, 128)
    assert lines[2:4] == ["| this program | 3.0 | 2.0 | 1.00 |", "| PyTorch, channels_last | 6.0 | 5.0 | 2.00 |"]
    assert lines[-1].startswith("Resizing to 128 pixels takes 0.25 ms")
