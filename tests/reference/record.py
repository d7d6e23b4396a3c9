"""Record the reference once:  python -m tests.reference.record   (needs PyTorch; the tests need only what it writes)

small.npz  every tensor of a small net        full.npz  the fingerprint of every tensor of the paper's network
head.npz   every tensor of a head on features
"""
from pathlib import Path

import numpy as np
import torch

from tests.reference import cases, twin

HERE = Path(__file__).parent


def main():
    """Write the files beside this one."""
    for name, make in cases.STORED.items():
        results = twin.run_head(make()) if name == "head" else twin.run(make())
        results = cases.fingerprint(results) if name == "full" else results
        np.savez_compressed(HERE / f"{name}.npz", **results)
        size = (HERE / f"{name}.npz").stat().st_size
        print(f"{name}.npz: {len(results)} tensors, {size / 1e3:.0f} kB, torch {torch.__version__}")


if __name__ == "__main__":
    main()
