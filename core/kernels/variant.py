"""Variants of a training step, to be compared on a device: concurrency of the two branches, reduction of batch sums.

    r  registers   conv.cu has at most 112 registers per thread in the backward pass: a block of wgrad.cu fits beside it
    p  priorities  the main branch of the graph has the higher stream priority
    c  carveout    all kernels request the largest shared memory, so a multiprocessor is not reconfigured between two
    b  one branch  the weight gradients run on the main branch, in twice as many blocks
    s  clusters    eight neighbouring blocks reduce the sums of the batch together (compute capability >= 9.0)
    h  half tiles  conv.cu: half the pixels and warps per block in stages 1 and 2, to overlap memory access and products

Only b, s and h change bits: they sum in another order. docs/gpu.md predicts the gain of each; none has been measured.
"""
from typing import NamedTuple

from core.errors import need

REGISTERS = 112           # 2 conv warps x 3,584 + 3 wgrad warps x 3,072 = 16,384, a quarter of a multiprocessor
OLDEST = 90               # compute capability with clusters


class Variant(NamedTuple):
    """Switches. On by default: those that should be faster by the hardware's rules; the others have to be measured."""
    registers: bool = True
    priorities: bool = True
    carveout: bool = True
    one_branch: bool = False
    clusters: bool = False
    half_tiles: bool = False

    def options(self, capability):
        """(compiler options, whether clusters are used) for a GPU of this compute capability (90 for 9.0)."""
        clusters = self.clusters and capability >= OLDEST
        return (f"-DCONV_REGISTERS={REGISTERS}",) * self.registers + ("-DCLUSTERS",) * clusters, clusters


LETTERS = dict(zip("rpcbsh", Variant._fields, strict=True))


def variant(letters):
    """The Variant with exactly these letters on; "-" for none. Raises InputError."""
    need(letters == "-" or letters and set(letters) <= LETTERS.keys(),
         f"--variant {letters}: give letters among {', '.join(LETTERS)}, or - for none")
    return Variant(*(letter in letters for letter in LETTERS))
