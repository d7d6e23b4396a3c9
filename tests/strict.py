"""A stand-in for CuPy on machines without a GPU: NumPy arrays in a wrapper that refuses every silent mixture with NumPy.

`strict` looks like the module cupy: what it computes, NumPy computes, but its arrays are of another type. A line of the program
that would fail on CuPy because it forgot the borders of core/backend.py (a NumPy function for a device array, an operator or an
index between the two) ends here in a TypeError too. Reductions give arrays without axes rather than scalars, as CuPy's do.
"""
import types

import numpy as np

REFUSED = "a silent mixture of NumPy and the device's library: "


class Array:
    """A NumPy array that answers only to its own library."""
    __array_ufunc__ = None                  # NumPy's operators and ufuncs leave the matter to the operators below
    __hash__ = None

    def __init__(self, a):
        self._a = a

    def __array__(self, *args, **kwargs):
        raise TypeError(REFUSED + "implicit conversion to a NumPy array")

    def __array_function__(self, function, *_):
        raise TypeError(REFUSED + f"numpy.{function.__name__} of a device array")

    def __getattr__(self, name):            # shape, dtype, T, sum, reshape, ...
        if name.startswith("_"):            # not __array_interface__: NumPy would take the array by that door
            raise AttributeError(name)
        return wrapped(getattr(self._a, name))

    def __getitem__(self, index):
        return wrapped(self._a[unwrapped(index)])

    def __setitem__(self, index, value):
        self._a[unwrapped(index)] = unwrapped(value)

    def __iter__(self):
        return (wrapped(row) for row in self._a)

    def __repr__(self):
        return f"strict {self._a!r}"


def operator(name):
    def apply(self, *others):
        result = getattr(self._a, name)(*unwrapped(others))
        return result if result is NotImplemented else wrapped(result)
    return apply


def in_place(name):
    def apply(self, other):
        self._a = getattr(np.asarray(self._a), name)(unwrapped(other))
        return self
    return apply


def scalar(name):
    return lambda self: getattr(self._a, name)()


BINARY = "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift".split()
for _name in BINARY:
    setattr(Array, f"__{_name}__", operator(f"__{_name}__"))
    setattr(Array, f"__r{_name}__", operator(f"__r{_name}__"))
    if _name != "divmod":
        setattr(Array, f"__i{_name}__", in_place(f"__i{_name}__"))
for _name in "neg pos abs invert lt le gt ge eq ne".split():
    setattr(Array, f"__{_name}__", operator(f"__{_name}__"))
for _name in "bool int float complex index len".split():
    setattr(Array, f"__{_name}__", scalar(f"__{_name}__"))


def unwrapped(x):
    """x as NumPy needs it; a NumPy array in it is the mixture that this module is about."""
    if isinstance(x, Array):
        return x._a
    if isinstance(x, np.ndarray):
        raise TypeError(REFUSED + f"a NumPy array of shape {x.shape} where one of the device is needed")
    if isinstance(x, (list, tuple)):
        return [unwrapped(item) for item in x] if isinstance(x, list) else tuple(map(unwrapped, x))
    return {key: unwrapped(value) for key, value in x.items()} if isinstance(x, dict) else x


def wrapped(x):
    """What NumPy answered, as the stand-in gives it back: arrays and NumPy's scalars as Array, functions with the same care."""
    if isinstance(x, (np.ndarray, np.generic)):
        return Array(np.asarray(x))
    if isinstance(x, (list, tuple)):
        return [wrapped(item) for item in x] if isinstance(x, list) else tuple(map(wrapped, x))
    if callable(x) and not isinstance(x, type):
        return lambda *args, **kwargs: wrapped(x(*unwrapped(args), **unwrapped(kwargs)))
    return x


class Module(types.ModuleType):
    """A module of NumPy (numpy itself, numpy.lib, ...) whose functions take and give Array."""

    def __init__(self, name, module):
        super().__init__(name)
        self._module = module

    def __getattr__(self, name):
        found = getattr(self._module, name)
        return Module(f"{self.__name__}.{name}", found) if isinstance(found, types.ModuleType) else wrapped(found)


strict = Module("strict", np)
strict.ndarray = Array
strict.get_array_module = lambda *args: strict if any(isinstance(x, Array) for x in args) else np
strict.asnumpy = lambda x: x._a.copy() if isinstance(x, Array) else np.asarray(x)
strict.array = lambda x, *args, **kwargs: Array(np.array(x if isinstance(x, np.ndarray) else unwrapped(x), *args, **kwargs))
strict.asarray = lambda x, dtype=None: x if isinstance(x, Array) and dtype in (None, x.dtype) else strict.array(x, dtype)
