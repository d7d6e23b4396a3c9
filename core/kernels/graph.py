"""CUDA graphs that honour the stream priorities of their branches.

Captured launches keep the priority of their stream, but a graph honours it only if instantiated with a flag. CuPy 14
passes no flags to cudaGraphInstantiate, so this module calls the driver.
"""
import ctypes
import weakref
from functools import cache

USE_NODE_PRIORITY = 8     # CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY: CUDA driver API, CUgraphInstantiate_flags


@cache
def driver():
    """The library of the CUDA driver, or None if it is missing or older than CUDA 11.4."""
    try:
        found = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return found if hasattr(found, "cuGraphInstantiateWithFlags") else None


def with_priorities(graph, stream):
    """A function that launches a CuPy graph on the stream with priorities, or graph.launch if the driver has none.

    Both give the same results. The function raises RuntimeError if a launch fails.
    """
    cuda, made = driver(), ctypes.c_void_p()
    if cuda is None or cuda.cuGraphInstantiateWithFlags(ctypes.byref(made), ctypes.c_void_p(graph.graph),
                                                        ctypes.c_ulonglong(USE_NODE_PRIORITY)):
        return graph.launch

    def launch():
        error = cuda.cuGraphLaunch(made, ctypes.c_void_p(stream.ptr))
        if error:
            raise RuntimeError(f"cuGraphLaunch: CUDA error {error}")

    weakref.finalize(launch, cuda.cuGraphExecDestroy, made).atexit = False     # at exit the driver may be gone already
    return launch
