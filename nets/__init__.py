"""Networks, composed of the pairs in core/layers.py.

A network is a module or an object with five functions; training, measuring and prediction ask for
nothing else (core/model.py):

    init(arch, rng, dtype=float32)     (theta, running): fresh parameters and running statistics,
                                       {name: NumPy array} each
    forward(theta, x, arch)            (logits (N, classes), cache): the training pass, with the
                                       mini-batch's own statistics
    backward(dlogits, cache)           {name: gradient} for every name of theta
    moments(cache)                     {name: array} for every name of running: what the mini-batch
                                       adds to the running statistics
    predict(theta, running, x, arch)   logits (N, classes) in inference mode

`arch` is a NamedTuple with the number of `classes`. Arguments are never written to. A cache may
hold a workspace instead of copies: it is good until the next forward. With several ranks x is this
rank's part of the mini-batch, and the gradient of the whole is the sum of the ranks' gradients:
a network with batch normalisation takes its statistics over all ranks, as FastNet(comm) does.
A network may bring a `theta_epoch` of its own, with the arguments of core/train.py: theta_epoch,
and `prepare(arch, images, N, recipe)` for what has to be done before the first one.

tests/paper/test_networks.py holds every network to this; docs/extending.md adds one.
"""
