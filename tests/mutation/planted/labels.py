"""Errors planted where labels and images meet: rows, paths, classes, splits."""

TESTS = {
    "core/data/__init__.py": ["data/splits"],
}

PLANTED = {
    "core/data/__init__.py": [
        ("parts in the order of the rows", "rng.permutation(np.flatnonzero(labels == c))",
         "np.flatnonzero(labels == c)"),
        ("as many of each class, whatever its share", "np.divmod(size * left, max(1, left.sum()))",
         "np.divmod(size * (left > 0), max(1, (left > 0).sum()))"),
        ("the smallest remainder rounded up", "np.argsort(-remainder", "np.argsort(remainder"),
        ("rounded up in the order of the classes", 'n[np.argsort(-remainder, kind="stable")[:size - n.sum()]] += 1',
         "n[:size - n.sum()] += 1"),
        ("parts of less than their size", '        n[np.argsort(-remainder, kind="stable")[:size - n.sum()]] += 1\n',
         ""),
        ("a row in several parts", "        rows = [r[k:] for r, k in zip(rows, n)]\n", ""),
        ("shares of what was there at first", "        left = left - n\n", ""),
        ("rows sorted by class", "np.sort(np.concatenate([r[:k] for r, k in zip(rows, n)]))",
         "np.concatenate([r[:k] for r, k in zip(rows, n)])"),
        ("rows of no class drawn", "np.flatnonzero(labels == c)", "np.flatnonzero(labels % classes == c)"),
    ],
}

EQUIVALENT = {
}
