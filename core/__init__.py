"""Flat in this folder: what is read beside the paper, and what it stands on. Folders: the product around it.

    the paper       objective  labels  train (Algorithm 1)  noise  recipes
    a training      model  measure  finite  batches  optim  layers
    label quality   quality
    the machine     backend (NumPy or CuPy)  files  errors
    fast/           the layers once more, for a CPU         kernels/   and as CUDA
    parallel/       the processes that share a training
    data/           what comes in                           report/    what a person sees
    run/            one run: settings, both steps, folder   use/       a finished run at work: predict, apply
"""
