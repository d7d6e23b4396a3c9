"""The paper: objective, labels, noise, recipes, train.
The machine under it: layers, optim, backend, ranks, fast.
The borders: data, report, checkpoint.  All together: run.
"""
