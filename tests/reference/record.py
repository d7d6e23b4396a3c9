"""Record the reference once:  python -m tests.reference.record   (needs PyTorch; the tests need only what it writes)

small.npz  every tensor of a small net        full.npz  the fingerprint of every tensor of the paper's network
"""
from pathlib import Path

import numpy as np
import torch

from tests.reference import cases, twin

HERE = Path(__file__).parent


def main():
    """Write both files beside this one."""
    for name, make in cases.STORED.items():
        results = twin.run(make())
        results = results if name == "small" else cases.fingerprint(results)
        np.savez_compressed(HERE / f"{name}.npz", **results)
        size = (HERE / f"{name}.npz").stat().st_size
        print(f"{name}.npz: {len(results)} tensors, {size / 1e3:.0f} kB, torch {torch.__version__}")


if __name__ == "__main__":
    main()
