"""Same seed, same bits: of weights, labels and records of both steps; again, in another process, and however many threads."""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core import train
from nets import preact_resnet as net
from tests.test_train import RECIPE, begin, state


def digest(seed=0):
    """One number for everything that both steps leave behind."""
    model, task, labels = begin(np, seed=seed)
    records = list(train.joint_optimization(model, task, labels, RECIPE))
    found = [*state(model), labels.Y, labels.ring]
    model = train.fresh_model(net, model.arch, np.random.default_rng(seed + 1), np)
    records += train.retrain(model, task, labels, RECIPE)
    text = repr([r._replace(seconds=0) for r in records]).encode()
    return hashlib.sha256(b"".join([text, *(a.tobytes() for a in [*found, *state(model)])])).hexdigest()


def test_same_seed_same_bits_and_another_seed_others():
    first = digest()
    assert digest() == first and digest(seed=1) != first


@pytest.mark.parametrize("threads", ["1", "2"])
def test_same_bits_in_another_process(threads):
    command = [sys.executable, "-c", "from tests.test_same_bits import digest; print(digest())"]
    environment = {**os.environ, "PYTHONHASHSEED": threads, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    root = Path(__file__).parent.parent
    found = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert found.stdout.strip() == digest(), found.stderr
