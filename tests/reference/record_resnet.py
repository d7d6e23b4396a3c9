"""Record the reference of nets/resnet.py:  python -m tests.reference.record_resnet   (needs PyTorch; the tests do not)

resnet.npz: of every tensor of the runs in resnet_cases.py its fingerprint, under PyTorch's names and in PyTorch's
layout, and a maximum with its gradient.
"""
from pathlib import Path

import numpy as np
import torch

from tests.reference import resnet_cases, twin_resnet
from tests.reference.cases import fingerprint


def main():
    """Write the file beside this one."""
    found = {f"maxpool/{name}": a for name, a in twin_resnet.pooled(*resnet_cases.ties()).items()}
    for run, options in resnet_cases.RUNS.items():
        found |= {f"{run}/{name}": a for name, a in fingerprint(twin_resnet.run(**options)).items()}
    path = Path(__file__).parent / "resnet.npz"
    np.savez_compressed(path, **found)
    print(f"{path.name}: {len(found)} tensors, {path.stat().st_size / 1e3:.0f} kB, torch {torch.__version__}")


if __name__ == "__main__":
    main()
