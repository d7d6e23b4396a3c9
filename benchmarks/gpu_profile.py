"""Profile of a step: launches per kernel, and device time in each.

With PyTorch's profiler, which sees all kernels of its process, including CuPy's. Without PyTorch: with events around
the functions of the network and the step, which include the time that the device waits for launches.
"""
from functools import wraps

from core import model, train
from core.optim import Flat
from nets import preact_resnet


def profile(peer, steps):
    """[(kernel or function, calls a step, seconds a step), ...], the longest first."""
    peer.run(3)
    peer.wait()
    try:
        found = by_kernel(peer, steps)
    except ImportError:
        found = []
    return found or by_function(peer, steps)


def by_kernel(peer, steps):
    """With the profiler of PyTorch."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler
    with profiler(activities=[ProfilerActivity.CUDA]) as seen:
        peer.run(steps)
        peer.wait()
    rows = [(event.key, event.count / steps, event.self_device_time_total * 1e-6 / steps)
            for event in seen.key_averages()]
    return sorted((row for row in rows if row[2] > 0), key=lambda row: -row[2])


def by_function(peer, steps):
    """With a pair of CUDA events around every call of these functions."""
    layers = ("conv_forward", "conv_backward", "batchnorm_forward", "batchnorm_backward",
              "relu_forward", "relu_backward", "linear_forward", "linear_backward")
    others = ("augmented", "objective_forward", "objective_backward", "sgd_step")
    places = [(preact_resnet, name) for name in layers] + [(train, name) for name in others]
    places += [(model, "update_running"), (Flat, "gather"), (type(peer.labels), "remember")]
    before, pairs = [getattr(*place) for place in places], {}
    try:
        for (home, name), function in zip(places, before):
            setattr(home, name, timed(function, peer.xp.cuda, pairs.setdefault(name, [])))
        peer.run(steps)
        peer.wait()
    finally:
        for (home, name), function in zip(places, before):
            setattr(home, name, function)
    rows = [(name, len(events) / steps, sum(peer.xp.cuda.get_elapsed_time(*pair) for pair in events) * 1e-3 / steps)
            for name, events in pairs.items() if events]
    return sorted(rows, key=lambda row: -row[2])


def timed(function, cuda, events):
    """The function, with a pair of events per call appended to `events`."""
    @wraps(function)
    def apply(*args, **kwargs):
        pair = cuda.Event(), cuda.Event()
        pair[0].record()
        out = function(*args, **kwargs)
        pair[1].record()
        events.append(pair)
        return out
    return apply
