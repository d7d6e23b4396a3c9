"""Errors planted where files from elsewhere are read: formats, limits, pickles, what is kept on disk."""

TESTS = {
    "core/data/resnet_weights.py": ["data/resnet_weights"],
    "core/data/feature_files.py": ["data/feature_files"],
    "nets/head_file.py": ["run/run_features"],
}

PLANTED = {
    "core/data/resnet_weights.py": [
        ("weights turned, not transposed", "4: (2, 3, 1, 0)", "4: (2, 3, 0, 1)"),
        ("rows and columns of the filters exchanged", "4: (2, 3, 1, 0)", "4: (3, 2, 1, 0)"),
        ("mean and variance exchanged", '"mean": "running_mean", "var": "running_var"',
         '"mean": "running_var", "var": "running_mean"'),
        ("gamma and beta exchanged", '"gamma": "weight", "beta": "bias"', '"gamma": "bias", "beta": "weight"'),
        ("stages of transformers counted from 1", "encoder.stages.{stage - 1}", "encoder.stages.{stage}"),
        ("the shortcut's convolution for its normalisation", 'f"{there}.downsample.0", f"{there}.downsample.1"',
         'f"{there}.downsample.1", f"{there}.downsample.0"'),
        ("surplus tensors ignored", "if name not in shapes],", "if False],"),
        ("shapes not compared", "if name in tensors and tensors[name].shape != shape]", "if False]"),
        ("nan taken for a weight", 'kind == "f" and np.isfinite(tensor).all()', 'kind == "f"'),
        ("negative variances", 'good and not (name.endswith("running_var") and tensor.min() < 0)', "good"),
        ("all names in a message", "for name in names[:SHOWN]", "for name in names"),
        ("depth by the first that has the names", "return len({name", "return -len({name"),
    ],
    "core/data/feature_files.py": [
        ("rows in the order of the split", "found.features[split.index]", "found.features[:len(split.index)]"),
        ("rows in the order of the file", "found.features[place]", "found.features[:len(place)]"),
        ("infinite numbers", "np.flatnonzero(~np.isfinite(array)", "np.flatnonzero(np.isnan(array)"),
        ("backslashes are part of a name", 'path.replace("\\\\", "/")', "path"),
        ("two rows for one image", "need(name not in places, ", "need(True, "),
        ("test images without rows of their own", "found.test is not None and len(found.test) == len(split.labels)",
         "found.test is not None"),
    ],
    "nets/head_file.py": [
        ("mean and deviation exchanged", '"mean": mean, "std": std}', '"mean": std, "std": mean}'),
    ],
}

EQUIVALENT = {
}
