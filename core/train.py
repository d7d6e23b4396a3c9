"""Algorithm 1 of the paper, and the retraining on the labels that it found.

    theta      parameters of the network          z (B, C)  logits of a mini-batch, s = softmax(z)
    Y (N, C)   labels in use, y their rows        L         the loss, Eq. (5)
    lr         learning rate                      i (B,)    rows of the mini-batch, `own` of them of this epoch

N images, C classes, mini-batches of B images. Both loops yield an Epoch (core/measure.py) after every epoch. Printing, drawing and
saving are the caller's business. A training that resumes starts with `done` epochs behind it.
"""
from core.backend import xp_of
from core.batches import augmented, batches
from core.finite import epoch_means
from core.labels import label_update, prior
from core.measure import measured, predictions, terms, timed
from core.objective import Objective, objective_backward, objective_forward, softmax
from core.optim import sgd_step, step_schedule


def theta_iterations(model, task, labels, objective, lr, recipe, epoch):
    """theta <- SGD(theta) on L, Y fixed: one pass over the images. Yields the terms of L after every iteration."""
    N, xp = len(labels.Y), xp_of(labels.Y)
    # DEVIATION 14: fewer images than a batch are one batch (docs/paper.md)
    for i, own in batches(N, min(recipe.batch, N), task.seed, epoch, xp):
        x, y = augmented(task.train, model.part(i), task.seed, epoch), labels.Y[i]
        z, cache = model.forward(x)
        L, cache_L = objective_forward(z, y, *objective)
        dtheta = model.backward(objective_backward(1, cache_L), cache)
        sgd_step(model.theta.buffer, model.velocity, dtheta, lr, recipe.momentum, recipe.decay)
        model.update_running(cache)
        labels.remember(i, softmax(z), own)
        del cache, cache_L             # the largest arrays: gone before the next batch makes its own
        yield terms(L, z, y)


theta_epoch = epoch_means(theta_iterations)         # runs one pass; returns the means, or raises NotFinite

@timed
def joint_optimization(model, task, labels, recipe, done=0, theta_epoch=theta_epoch):
    """Step 1, Algorithm 1: in every epoch first theta by SGD on L with Y fixed, then Y with theta fixed."""
    objective = Objective(prior(recipe.prior, labels.Y0), recipe.alpha, recipe.beta)
    update = label_update(recipe.update)
    for epoch in range(done, recipe.epochs):
        means = theta_epoch(model, task, labels, objective, recipe.lr, recipe, epoch)         # Eq. (5)
        # DEVIATION 4: the text allows this reading, the official code takes the training pass (docs/paper.md)
        if recipe.predict == "evaluation":
            labels.remember(xp_of(labels.Y).arange(len(labels.Y)), predictions(model, task.train))
        changed = labels.end_epoch(update if epoch + 1 >= recipe.begin else None)             # Eqs. (8), (9)
        yield measured("joint", epoch, recipe.lr, means, model, task, labels, changed)


@timed
def retrain(model, task, labels, recipe, step="retrain", done=0, theta_epoch=theta_epoch):
    """Step 2: a fresh model learns the labels, which stay as they are.

    Plain cross-entropy is this loop on the given labels: alpha = beta = 0.
    """
    objective = Objective(prior("uniform", labels.Y0), alpha=0, beta=0)
    for epoch in range(done, recipe.epochs2):
        lr = step_schedule(recipe.lr2, recipe.drops2, epoch + 1)
        means = theta_epoch(model, task, labels, objective, lr, recipe, epoch)
        changed = labels.end_epoch()
        yield measured(step, epoch, lr, means, model, task, labels, changed)
