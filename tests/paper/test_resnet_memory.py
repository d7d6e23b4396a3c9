"""What nets/resnet_memory.py says that a training step takes, against what NumPy allocates."""
import numpy as np
import pytest

from nets import resnet
from nets.resnet import Architecture, architecture
from nets.resnet_memory import parameters, training_bytes
from tests.lib.small_resnet import peak_of_a_step

NARROW = dict(widths=(16, 24, 32, 40), blocks=(1, 2, 1, 1))        # more in the images than in the parameters
CASES = {"ResNet-18": (architecture(18, 10), 64, 4),
         "ResNet-50": (architecture(50, 10), 64, 2),
         "narrow, basic": (Architecture(10, bottleneck=False, **NARROW), 96, 8),
         "narrow, bottleneck": (Architecture(10, **NARROW), 100, 6),
         "of one width": (Architecture(10, (64, 64, 64, 64), (1, 1, 1, 1), bottleneck=False), 96, 8)}


@pytest.mark.parametrize("frozen", [False, True], ids=["batch", "frozen"])
@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.thorough] * case.startswith("ResNet"))
                                  for case in CASES])
def test_the_memory_of_a_step_is_what_is_said_before(case, frozen):
    arch, size, N = CASES[case]
    said, allocated = training_bytes(arch, size, N), peak_of_a_step(arch._replace(frozen=frozen), size, N)
    assert abs(said / allocated - 1) < 0.02, (said, allocated)


def test_in_both_cases_another_part_is_the_larger_one():
    (small, size, N), (narrow, width, n) = CASES["ResNet-18"], CASES["narrow, basic"]
    assert training_bytes(small, size, N + 1) - training_bytes(small, size, N) < 2e6
    assert training_bytes(narrow, width, n) > 10 * 4 * parameters(narrow)


def test_the_parameters_are_counted():
    for depth in (18, 34, 50):
        theta, _ = resnet.init(architecture(depth, 14), np.random.default_rng(0))
        assert parameters(architecture(depth, 14)) == sum(a.size for a in theta.values())


def test_clothing1m_in_numbers():
    """ResNet-50 on 32 photographs of 224 x 224 pixels: 3.7 GB of float32."""
    assert training_bytes(architecture(50, 14), 224, 32) == pytest.approx(3.75e9, rel=0.01)
