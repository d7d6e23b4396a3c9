"""A stand-in for CuPy on machines without a GPU: NumPy arrays in a wrapper that refuses every silent mixture with
NumPy.

`strict` looks like the module cupy: what it computes, NumPy computes, but its arrays are of another type. A line of the
program that would fail on CuPy because it forgot the borders of core/backend.py (a NumPy function for a device array,
an operator or an index between the two) ends here in a TypeError too. Reductions give arrays without axes rather than
scalars, as CuPy's do.

It also counts what costs time on a GPU: `traffic["to host"]`, values that the host waits for (float, int, bool, tolist,
item, asnumpy, an index by a mask); `traffic["to device"]`, arrays and lists sent; `traffic["launches"]`, results
computed or copied.
"""
import types
from collections import Counter
from contextlib import contextmanager

import numpy as np

REFUSED = "a silent mixture of NumPy and the device's library: "

traffic = Counter()


@contextmanager
def counted():
    """A Counter of the traffic, complete when the block has ended."""
    before, found = traffic.copy(), Counter()
    yield found
    found.update(traffic - before)


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
        found = self._a[unwrapped(index)]
        traffic["to host"] += any(isinstance(i, Array) and i.dtype == bool
                                  for i in (index if isinstance(index, tuple) else [index]))
        note_launch([self._a], found)
        return wrapped(found)

    def __setitem__(self, index, value):
        traffic["launches"] += 1
        self._a[unwrapped(index)] = unwrapped(value)

    def __iter__(self):
        return (wrapped(row) for row in self._a)

    def __repr__(self):
        return f"strict {self._a!r}"


def operator(name):
    def apply(self, *others):
        result = getattr(self._a, name)(*unwrapped(others))
        traffic["launches"] += 1
        return result if result is NotImplemented else wrapped(result)
    return apply


def in_place(name):
    def apply(self, other):
        traffic["launches"] += 1
        self._a = getattr(np.asarray(self._a), name)(unwrapped(other))
        return self
    return apply


def scalar(name):
    def apply(self):
        traffic["to host"] += name != "__len__"
        return getattr(self._a, name)()
    return apply


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
    """What NumPy answered, as the stand-in gives it back: arrays and NumPy's scalars as Array,
    functions with the same care."""
    if isinstance(x, (np.ndarray, np.generic)):
        return Array(np.asarray(x))
    if isinstance(x, (list, tuple)):
        return [wrapped(item) for item in x] if isinstance(x, list) else tuple(map(wrapped, x))
    if callable(x) and not isinstance(x, type):
        return lambda *args, **kwargs: called(x, unwrapped(args), unwrapped(kwargs))
    return x


def called(function, args, kwargs):
    """What NumPy's function answers; counted."""
    name, found = function.__name__, function(*args, **kwargs)
    traffic["to host"] += name in ("tolist", "item", "nonzero")
    if name in ("concatenate", "stack"):
        traffic["launches"] += len(args[0])
        traffic["to device"] += len(args[0]) > 8            # CuPy sends a table of their addresses
    elif not name.startswith("empty"):
        note_launch([getattr(function, "__self__", None), *args], found)
    return wrapped(found)


def note_launch(given, found):
    """A launch, unless what was found is a view of what was given."""
    if isinstance(found, (np.ndarray, np.generic)):
        traffic["launches"] += not any(isinstance(a, np.ndarray) and np.may_share_memory(a, found) for a in given)


def fuse(f):
    """A function of elementwise operations as one launch; anything else is refused."""
    def kernel(*args):
        if not any(isinstance(a, Array) for a in args):
            return f(*args)
        before, shape = traffic["launches"], np.broadcast_shapes(*(a.shape for a in args if isinstance(a, Array)))
        found = f(*args)
        traffic["launches"] = before + 1
        if any(a.shape != shape for a in (found if isinstance(found, tuple) else [found])):
            raise TypeError(f"{f.__name__} is not elementwise")
        return found
    return kernel


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
strict.fuse = fuse


def asnumpy(x):
    traffic["to host"] += isinstance(x, Array)
    return x._a.copy() if isinstance(x, Array) else np.asarray(x)


def array(x, *args, **kwargs):
    traffic["to device"] += not isinstance(x, Array)
    return Array(np.array(x if isinstance(x, np.ndarray) else unwrapped(x), *args, **kwargs))


strict.asnumpy, strict.array = asnumpy, array
strict.asarray = lambda x, dtype=None: x if isinstance(x,
                                                       Array) and dtype in (None, x.dtype) else strict.array(x, dtype)
