"""Errors planted in what surrounds a training: options, seeds, folders, checkpoints, sweeps, the use of a run."""

TESTS = {
    "core/run/folds.py": ["run/folds"],
    "core/run/experiment.py": ["run/experiment", "run/resume", "run/run_features"],
    "core/run/state.py": ["run/resume"],
    "core/run/seen.py": ["run/run_features", "run/finetune"],
    "core/use/networks.py": ["run/run_features", "run/finetune"],
}

PLANTED = {
    "core/run/folds.py": [
        ("the rest of N / K left out", "N // folds + (k < N % folds)", "N // folds"),
        ("a last fold with all of the rest", "N // folds + (k < N % folds)",
         "N // folds + (N % folds) * (k == folds - 1)"),
        ("folds without regard to the labels", "stratified(given,", "stratified(given * 0,"),
        ("the same folds for every seed", '[seed, *b"folds"]', '[0, *b"folds"]'),
        ("trained on the fold itself", "rest = np.setdiff1d(np.arange(len(data.train.labels)), rows)",
         "rest = np.sort(rows)"),
        ("trained on everything", "rest = np.setdiff1d(np.arange(len(data.train.labels)), rows)",
         "rest = np.arange(len(data.train.labels))"),
        ("validated by the images of the fold", "validation=nothing, test=nothing",
         "validation=data.train.take(rows), test=nothing"),
        ("labels of other images", "learn(others, given[rest], fold)", "learn(others, given[:len(rest)], fold)"),
        ("the mean image of all", "shown_by(others)(", "shown_by(data)("),
        ("probabilities of the images that it was trained on", "data.train.take(rows)).on(",
         "data.train.take(rest[:len(rows)])).on("),
        ("folds counted from 0", "start=1", "start=0"),
    ],
    "core/run/experiment.py": [
        ("step 2 begins with the weights that step 1 began with", "[config.seed, *key.encode()]", "config.seed"),
        ("step 2 on the given labels", "step_2(task, backend.to_device(Y, xp))", "step_2(task, labels.Y0)"),
        ("step 2 on the soft labels, not on the posterior", "step_2(task, backend.to_device(Y, xp))",
         "step_2(task, labels.Y)"),
        ("posterior of probabilities that saw the labels", "noise_posterior(P, given)", "noise_posterior(s, given)"),
        ("comparison on the corrected labels", "SoftLabels(labels.Y0, 1)", "SoftLabels(labels.Y.copy(), 1)"),
        ("labels of step 1 remembered for one epoch", "min(recipe.K, recipe.epochs))", "1)"),
        ("warm start in step 2", "*key.encode()]), xp, comm)\n",
         "*key.encode()]), xp, comm)\n        model = training.model = getattr(training, \"model\", model)\n"),
        ("weights of the network of step 1", "        return model\n\n    def step_1",
         "        return training.__dict__.setdefault(\"first\", model)\n\n    def step_1"),
        ("a step that goes on begins anew", "        progress.restore(key, model, labels)\n", ""),
        ("weights of the comparison", "        training(train.retrain, task, SoftLabels(labels.Y0, 1)",
         "        model = training(train.retrain, task, SoftLabels(labels.Y0, 1)"),
    ],
    "core/run/seen.py": [
        ("features of packed images by their place in the split", "[place[row] for row in split.index.tolist()]",
         "list(range(len(split.labels)))"),
        ("features of images in reverse", "features=found.views.swapaxes(0, 1))",
         "features=found.views.swapaxes(0, 1)[::-1])"),
        ("mirrored images not seen", "return 2 if config.augment", "return 1 if config.augment"),
        ("blocks of packed images in reverse", "pixels[[place[row] for row in np.asarray(found).tolist()]]",
         "pixels[[place[row] for row in np.asarray(found).tolist()][::-1]]"),
        ("the first block of packed images alone", "for part in found], axis=1)", "for part in found[:1]], axis=1)"),
        ("mean of images of another network", "np.broadcast_to(MEAN.astype", "np.broadcast_to(0 * MEAN.astype"),
    ],
    "core/use/networks.py": [
        ("other weights of the backbone", 'need(backbone.digest_of(path) == about["sha256"], ', "need(True, "),
        ("features of the images in reverse", "yield of_features(found.views[0, good])",
         "yield of_features(found.views[0, good[::-1]])"),
    ],
    "core/run/state.py": [
        ("velocity forgotten", '"velocity": model.velocity,', '"velocity": model.velocity * 0,'),
        ("running statistics forgotten", '"running": model.running.buffer,', '"running": model.running.buffer * 1,'),
        ("labels forgotten", '"Y": labels.Y,', '"Y": labels.Y0,'),
        ("predictions of earlier epochs forgotten", '"ring": labels.ring,', '"ring": labels.ring * 0,'),
        ("labels of step 1 taken by reference to those of another step",
         'setattr(labels, name, to_device(array, xp_of(labels.Y)))',
         "getattr(labels, name)[...] = array"),
        ("records forgotten", "        self.records = what_it_is[\"records\"]\n", ""),
    ],
}

EQUIVALENT = {
}
