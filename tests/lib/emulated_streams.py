"""Streams, events and graphs of tests/lib/emulator.py.

Outside a capture a launch runs at once. In a capture it is written down with what it waits for, and the graph repeats
the launches in an order that a GPU might take, by emulator.order:

    0 as written        1 the second branch as late as possible        2 as early as possible        3 shuffled

So a join that is missing, or an array that is overwritten while the other branch needs it, shows as other bits.
Priorities count only in a graph that was made by a Driver that was told so, as on a GPU.
"""
import random
from typing import NamedTuple


class CaptureError(Exception):
    """What CUDA would not capture."""


class Node(NamedTuple):
    """A launch of a graph."""
    run: object
    before: frozenset                  # the launches that it waits for: their numbers
    aside: bool                        # whether it came by another stream than the one that is captured
    priority: int                      # of its stream: the lower, the earlier


class Graph:
    """What is launched from begin_capture to end_capture of one stream."""
    graph = 0                          # its handle: a null pointer, which a real driver refuses
    heeds = False                      # whether priorities count

    def __init__(self, emulator, stream):
        self.emulator, self.streams, self.nodes = emulator, [stream], []

    def launch(self, stream=None):
        """All launches; of those that may be next always the one of the lowest rank."""
        numbers, aside = range(len(self.nodes)), [node.aside for node in self.nodes]
        shuffled = random.Random(0).sample(numbers, len(numbers))
        rank = (lambda i: i, lambda i: (aside[i], i), lambda i: (not aside[i], i),
                lambda i: shuffled[i])[self.emulator.order]
        left = set(numbers)
        while left:
            chosen = min((i for i in left if not self.nodes[i].before & left),
                         key=lambda i: (self.heeds and self.nodes[i].priority, rank(i)))
            left.remove(chosen)
            self.nodes[chosen].run()

    def joined(self, ends):
        """The numbers of these launches and of all that they wait for."""
        found = set(ends)
        for i in reversed(range(len(self.nodes))):
            if i in found:
                found |= self.nodes[i].before
        return found


class Event:
    """A place in a stream."""
    graph, ends = None, frozenset()


class Stream:
    """graph: what it is captured into, or None; ends: the launches that the next one has to wait for."""
    graph, ends, ptr = None, frozenset(), 1

    def __init__(self, emulator, priority=0):
        self.emulator, self.priority = emulator, priority

    def __enter__(self):
        self.emulator.current.append(self)
        return self

    def __exit__(self, *_):
        self.emulator.current.pop()

    def synchronize(self):
        pass

    def launch(self, run):
        """Run it, or write it down."""
        if self.graph is None:
            run()
            return
        nodes = self.graph.nodes
        nodes.append(Node(run, self.ends, self is not self.graph.streams[0], self.priority))
        self.ends = frozenset([len(nodes) - 1])

    def record(self, event):
        event.graph, event.ends = self.graph, self.ends
        return event

    def wait_event(self, event):
        """A stream that waits for one that is captured is captured as well."""
        if self.graph is None and event.graph is not None:
            self.graph, self.ends = event.graph, frozenset()
            self.graph.streams.append(self)
        if self.graph is not event.graph:
            raise CaptureError("a stream that is captured waits for one that is not")
        self.ends |= event.ends

    def begin_capture(self):
        if self is self.emulator.current[0]:
            raise CaptureError("the default stream can't be captured")
        self.graph, self.ends = Graph(self.emulator, self), frozenset()

    def end_capture(self):
        graph, joined = self.graph, self.graph.joined(self.ends)
        for stream in graph.streams:
            stream.graph, stream.ends = None, frozenset()
        if len(joined) < len(graph.nodes):
            raise CaptureError("a branch has not been joined")
        return graph


class Driver:
    """What core/kernels/graph.py asks of the CUDA driver, for one emulated Graph; calls: what was asked, in order."""

    def __init__(self, graph, refuses=False):
        self.graph, self.refuses, self.calls = graph, refuses, []

    def cuGraphInstantiateWithFlags(self, made, graph, flags):
        self.calls.append(("instantiate", graph.value, flags.value))
        if self.refuses:
            return 1                   # CUDA_ERROR_INVALID_VALUE
        made._obj.value, self.graph.heeds = 77, flags.value == 8
        return 0

    def cuGraphLaunch(self, made, stream):
        self.calls.append(("launch", made.value, stream.value))
        self.graph.launch()
        return 0 if stream.value else 400

    def cuGraphExecDestroy(self, made):
        self.calls.append(("destroy", made.value))
