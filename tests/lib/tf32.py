"""TF32 on a machine without it: the factors of every matrix product are rounded to 10 bits after the leading one,
then multiplied.

The tensor cores of a GPU multiply such factors exactly and add in float32. Not emulated: the order of that sum, and
that a library may cut the bits off instead of rounding them to the nearest,
which at most doubles the error of a factor.
"""
import numpy as np

DROPPED = 13                           # bits of float32's 23 that TF32 has not


class Rounded(np.ndarray):
    """An array of float32 whose products `@` are TF32's; everything else is NumPy's."""

    def __array_ufunc__(self, ufunc, method, *args, out=None, **kwargs):
        args = [plain(a) for a in args]
        if ufunc is np.matmul:
            args = [tf32_rounded(a) for a in args]
        if out is not None:
            kwargs["out"] = tuple(plain(a) for a in out)
        found = getattr(ufunc, method)(*args, **kwargs)
        return found.view(Rounded) if isinstance(found, np.ndarray) and found.dtype == np.float32 else found


def tf32_rounded(x):
    """float32 x to 10 bits after the leading one; to the nearest, ties away from zero."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32) + np.uint32(1 << DROPPED - 1)
    return (bits >> np.uint32(DROPPED) << np.uint32(DROPPED)).view(np.float32).reshape(np.shape(x))


def plain(x):
    """x, without the rounding if it had it."""
    return x.view(np.ndarray) if isinstance(x, Rounded) else x
