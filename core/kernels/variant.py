"""What a device has to decide about a step on the kernels: how its two branches share the GPU, and how a block knows the batch's sums.

    r  registers   a block of conv.cu takes 112 registers of a thread in the backward pass: room for one of wgrad.cu beside it
    p  priorities  where both branches of the graph could go on, the main one does
    c  carveout    all kernels ask for as much shared memory as there is: what a multiprocessor has is not divided anew between two
    b  one branch  the weight gradients stand in line with all others, in twice as many blocks
    s  clusters    eight neighbouring blocks add the sums of the batch up together (from compute capability 9.0 on)
    h  half tiles  a block of conv.cu has half as many pixels and warps in stages 1 and 2: some read and write while others multiply

Only b, s and h change bits: they add up in another order. docs/gpu.md says what each should be worth; nothing has been measured.
"""
from typing import NamedTuple

from core.errors import need

REGISTERS = 112           # 2 x 3,584 of a conv's warps and 3 x 3,072 of a wgrad's are the 16,384 of a quarter of a multiprocessor
OLDEST = 90               # compute capability with clusters


class Variant(NamedTuple):
    """Each on or off. The default is what should be faster by the hardware's rules; the others can only be measured."""
    registers: bool = True
    priorities: bool = True
    carveout: bool = True
    one_branch: bool = False
    clusters: bool = False
    half_tiles: bool = False

    def options(self, capability):
        """(those of the compiler, whether there are clusters) for a GPU of this compute capability (90 for 9.0)."""
        clusters = self.clusters and capability >= OLDEST
        return (f"-DCONV_REGISTERS={REGISTERS}",) * self.registers + ("-DCLUSTERS",) * clusters, clusters


LETTERS = dict(zip("rpcbsh", Variant._fields, strict=True))


def variant(letters):
    """The Variant with just these letters on; "-" stands for none of them."""
    need(letters == "-" or letters and set(letters) <= LETTERS.keys(),
         f"--variant {letters}: give letters among {', '.join(LETTERS)}, or - for none")
    return Variant(*(letter in letters for letter in LETTERS))
