"""The method of the paper in the flat files of this folder; the product around it in sub-folders.

    the paper       objective  labels  train (Algorithm 1)  noise  recipes
    a training      model  measure  finite  batches  optim  layers
    label quality   quality  posterior
    features        features: vectors of a pretrained network in the place of images
    the machine     backend (NumPy or CuPy)  files  errors
    fast/           the layers, optimised for CPUs          kernels/   the layers in CUDA
    parallel/       the processes that share a training
    data/           reading of data sets                    report/    pictures, tables, review page
    run/            one run: settings, both steps, folder   use/       predict, apply
"""
