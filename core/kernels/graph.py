"""A captured graph with the priorities of its branches.

Launches that are captured keep the priority of their stream, but a graph heeds it only if the driver is told so when it makes the
graph runnable. CuPy 14 does not tell it (cudaGraphInstantiate, flags 0), so the driver is asked here.
"""
import ctypes
import weakref
from functools import cache

USE_NODE_PRIORITY = 8     # CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY: CUDA driver API, CUgraphInstantiate_flags


@cache
def driver():
    """The library of the CUDA driver, or None where there is none that can do this (before CUDA 11.4)."""
    try:
        found = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return found if hasattr(found, "cuGraphInstantiateWithFlags") else None


def with_priorities(graph, stream):
    """A function that runs a graph of CuPy's on the stream, heeding priorities; CuPy's own where the driver won't (same results)."""
    cuda, made = driver(), ctypes.c_void_p()
    if cuda is None or cuda.cuGraphInstantiateWithFlags(ctypes.byref(made), ctypes.c_void_p(graph.graph),
                                                        ctypes.c_ulonglong(USE_NODE_PRIORITY)):
        return graph.launch

    def launch():
        error = cuda.cuGraphLaunch(made, ctypes.c_void_p(stream.ptr))
        if error:
            raise RuntimeError(f"cuGraphLaunch: CUDA error {error}")

    weakref.finalize(launch, cuda.cuGraphExecDestroy, made).atexit = False     # at the end the driver may be gone before
    return launch
