"""Algorithm 1 of the paper, and the retraining on the labels that it found.

    theta      parameters of the network        z (B, C)  logits of a mini-batch, s = softmax(z)
    Y (N, C)   labels in use, y their rows      L         the loss, Eq. (5), in nats
    lr         learning rate                    i (B,)    rows of a mini-batch

N images, C classes, mini-batches of B images. Both steps yield an Epoch (core/measure.py) after
every epoch; printing, drawing and saving are the caller's business. A resumed training has `done`
epochs behind it. The last mini-batch of a pass reaches into the next: its first `own` rows belong
to this one.
"""
from core.backend import xp_of
from core.batches import augmented, batches
from core.finite import epoch_means
from core.labels import label_update, prior
from core.measure import measured, predictions, terms, timed
from core.objective import Objective, objective_backward, objective_forward, softmax
from core.optim import sgd_step, step_schedule


def theta_iterations(model, task, labels, objective, lr, recipe, epoch):
    """theta <- SGD(theta) on L, Y fixed: one pass over the images. Yields the terms of L."""
    N, xp = len(labels.Y), xp_of(labels.Y)
    # DEVIATION 14: fewer images than a mini-batch are one mini-batch (docs/paper.md)
    for i, own in batches(N, min(recipe.batch, N), task.seed, epoch, xp):
        x, y = augmented(task.train, model.part(i), task.seed, epoch), labels.Y[i]
        z, cache = model.forward(x, len(i))
        L, cache_L = objective_forward(z, y, *objective)
        dtheta = model.backward(objective_backward(1, cache_L), cache)
        sgd_step(model.theta.buffer, model.velocity, dtheta, lr, recipe.momentum, recipe.decay)
        model.update_running(cache)
        labels.remember(i, softmax(z), own)
        del cache, cache_L             # the largest arrays: freed before the next mini-batch's
        yield terms(L, z, y)


theta_epoch = epoch_means(theta_iterations)        # runs one pass: means of the terms, or NotFinite


@timed
def joint_optimization(model, task, labels, recipe, done=0, theta_epoch=theta_epoch):
    """Step 1, Algorithm 1: in every epoch first theta by SGD on L, Y fixed; then Y, theta fixed."""
    objective = Objective(prior(recipe.prior, labels.Y0), recipe.alpha, recipe.beta)
    update = label_update(recipe.update)
    for epoch in range(done, recipe.epochs):
        means = theta_epoch(model, task, labels, objective, recipe.lr, recipe, epoch)   # Eq. (5)
        # DEVIATION 4: the official code takes the training pass; this option is what the text says
        if recipe.predict == "evaluation":
            everyone = xp_of(labels.Y).arange(len(labels.Y))
            labels.remember(everyone, predictions(model, task.train))
        begun = epoch + 1 >= recipe.begin
        changed = labels.end_epoch(update if begun else None)                      # Eqs. (8), (9)
        yield measured("joint", epoch, recipe.lr, means, model, task, labels, changed)


@timed
def retrain(model, task, labels, recipe, step="retrain", done=0, theta_epoch=theta_epoch):
    """Step 2: a fresh model learns the labels, which stay as they are.

    On the given labels this is plain cross-entropy, the paper's baseline: alpha = beta = 0.
    """
    objective = Objective(prior("uniform", labels.Y0), alpha=0, beta=0)
    for epoch in range(done, recipe.epochs2):
        lr = step_schedule(recipe.lr2, recipe.drops2, epoch + 1)
        means = theta_epoch(model, task, labels, objective, lr, recipe, epoch)
        changed = labels.end_epoch()
        yield measured(step, epoch, lr, means, model, task, labels, changed)
