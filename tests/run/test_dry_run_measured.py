"""core/run/dry_run.py: it measures the network of the run, and its estimates are about what a run takes."""
import tracemalloc

import numpy as np
import pytest

from core.data import digits
from core.data.own import Reading
from core.recipes import RECIPES, shortened
from core.run import Config, dry_run, experiment, folds, run
from nets import families
from nets.preact_resnet_gpu import GpuNet
from tests.lib.emulator import COMPILER, Emulator

RECIPE = shortened(RECIPES["digits"], 10)._replace(batch=8)


@pytest.mark.thorough
def test_the_memory_of_folds_is_counted_as_a_run_takes_it(tmp_path, monkeypatch):
    monkeypatch.setitem(families.NETS, "tiny", {"widths": (4,), "blocks": (1,)})
    for name in ("save_labels", "finish"):                 # files that are not what is measured
        monkeypatch.setattr(experiment.results, name, lambda *args: [])
    monkeypatch.setattr(folds, "predictions", lambda model, images: np.ones((len(images.pixels), 600), np.float32))
    data = digits.load(0, 600, 10, 10)._replace(classes=tuple(map(str, range(600))))    # labels larger than the network
    config = Config(RECIPE._replace(epochs=2, epochs2=1, begin=1, K=2, batch=64), net="tiny", ranks=1, noise="none",
                    rate=None)
    monkeypatch.setattr(experiment, "read_data", lambda config, source=None: Reading(data))
    without, found = peak(config, tmp_path / "0"), peak(config._replace(folds=4), tmp_path / "4")
    assert sum(dry_run.fold_memory(data.train, 6 * 4 * 600 * 600, 600, 4)) == pytest.approx(found - without, rel=0.1)
    line, = dry_run.memory_lines(config._replace(folds=4), data, dry_run.Trial(1, 1, 0, 2))[0]
    assert ", a fold 7 MB, " in line and line.endswith(", all but the images in each of 2 processes")


def peak(config, out):
    """Bytes held at most during a run."""
    tracemalloc.start()
    try:
        run(config._replace(out=str(out)))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_estimated_time_is_about_the_time_that_a_run_takes():
    recipe = shortened(RECIPES["digits"], 2)._replace(batch=64)
    config = Config(recipe, digits=(640, 100, 200), ranks=1)
    data = digits.load(0, *config.digits)
    tried = min((dry_run.trial(config, Reading(data), data.train.labels) for _ in range(3)),
                key=lambda tried: tried.training)
    took = min(record.seconds for record in run(config).records if record.step == "joint")
    assert 1 / 3 < (tried.training * 640 + tried.looking * 300) / took < 3


@pytest.mark.skipif(COMPILER is None, reason="no g++ that could compile the kernels")
@pytest.mark.parametrize("widths, used", [((16,), True), ((24,), False)])
def test_with_kernels_the_network_that_is_measured_is_the_one_on_the_kernels_or_it_says_why_not(monkeypatch, widths,
                                                                                                used):
    met = []
    monkeypatch.setitem(families.NETS, "tiny", {"widths": widths, "blocks": (1,)})
    monkeypatch.setattr(dry_run.backend, "use_gpu", lambda *_: Emulator())
    monkeypatch.setattr(GpuNet, "step_for", lambda net, *args, made=GpuNet.step_for: met.append(net.number)
                        or made(net, *args))
    config = Config(RECIPE._replace(batch=4), net="tiny", gpu=0, kernels="float", digits=(8, 4, 4))
    data = digits.load(0, 8, 4, 4)
    lines, possible = dry_run.report(config, Reading(data), data.train.labels)
    assert possible and met == ["float"] * 3 * used       # prepared, then two epochs
    assert any(line.startswith("kernels  not used: ") for line in lines) != used
    assert any(line.startswith("time     about") and "an epoch on GPU 0" in line for line in lines)
