"""The same two training steps in PyTorch: automatic differentiation,
its own convolutions and batch normalisation, float64.

Nothing of the project's mathematics is used here. Images are (N, C, H, W), weights (K, C, R, R), and the results are
turned into the project's layout only where they are handed out. The terms are written as the paper writes them,
by softmax, mean, logarithm.
"""
import torch
import torch.nn.functional as F

MOMENTUM, DECAY = 0.9, 1e-4


def run(case):
    """{name: float64 array} of everything that is compared."""
    torch.set_num_threads(1)                    # the sums then have one order, and small nets are faster
    found = given(case)
    x = (torch.from_numpy(case.pixels).float() / 255 - torch.from_numpy(case.mean)).double().permute(0, 3, 1, 2)
    Y = torch.from_numpy(case.Y)
    p = torch.tensor(case.recipe.prior, dtype=torch.float64)
    p = p / p.sum()

    def forward(w, running, rows, epoch):
        return network(w, running, x[rows], case.arch, training=epoch is not None)

    return steps(found, case, forward, Y, p)


def run_head(case):
    """The same for a head on features."""
    torch.set_num_threads(1)
    found = given(case)
    x = (torch.from_numpy(case.features) - torch.from_numpy(case.mean)) / torch.from_numpy(case.std)
    masks, p = torch.from_numpy(case.masks), torch.tensor(case.recipe.prior, dtype=torch.float64)

    def forward(w, running, rows, epoch):
        return head(w, x[rows], case.arch, None if epoch is None else masks[epoch][rows])

    return steps(found, case, forward, torch.from_numpy(case.Y), p / p.sum())


def steps(found, case, forward, Y, p):
    """Everything that the two steps give, added to what is given.

    forward(w, running, rows, epoch): logits; epoch None: in inference mode
    """
    rows = case.order[0][0][0]
    found |= first_batch(case, forward, rows, Y[rows], p)
    Y = train(found, "joint", case, case.theta, forward, Y, p)
    train(found, "retrain", case, case.theta2, forward, Y, p)
    return {name: torch.as_tensor(a).detach().double().numpy() for name, a in found.items()}


def given(case):
    """The inputs themselves, so that a comparison that fails tells whether they were the same."""
    data = ("pixels", "mean", "Y") if hasattr(case, "pixels") else ("features", "mean", "std", "masks", "Y")
    return {**{f"input.{name}": getattr(case, name) for name in data},
            **{f"input.theta.{name}": a for name, a in case.theta.items()},
            **{f"input.theta2.{name}": a for name, a in case.theta2.items()},
            **{f"input.running.{name}": a for name, a in case.running.items()}}


# ---- the network ---------------------------------------------------------------------------------------------------

def to_torch(name, a):
    """A parameter in PyTorch's layout, as a leaf of its own."""
    a = torch.tensor(a)
    a = a.permute(3, 2, 0, 1) if a.ndim == 4 else a.T if a.ndim == 2 else a
    return a.contiguous().clone().requires_grad_()


def to_project(a):
    """A parameter or its gradient in the project's layout."""
    a = a.detach()
    return a.permute(2, 3, 1, 0) if a.ndim == 4 else a.T if a.ndim == 2 else a


def network(w, running, x, arch, training):
    """Logits; in training mode `running` is updated, by PyTorch's own rule."""
    def bn_relu(x, name):
        return F.relu(F.batch_norm(x, running[f"{name}.mean"], running[f"{name}.var"], w[f"{name}.gamma"],
                                   w[f"{name}.beta"], training=training, momentum=0.1, eps=2e-5))

    x = F.conv2d(x, w["conv"], padding=1)
    for stage, blocks in enumerate(arch.blocks, start=1):
        for block in range(blocks):
            name = f"stage{stage}.block{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            a = bn_relu(x, f"{name}.bn1")
            main = F.conv2d(a, w[f"{name}.conv1"], stride=stride, padding=1)
            main = F.conv2d(bn_relu(main, f"{name}.bn2"), w[f"{name}.conv2"], padding=1)
            x = main + (F.conv2d(a, w[f"{name}.projection"], stride=stride) if block == 0 else x)
    return F.linear(bn_relu(x, "bn").mean(dim=(2, 3)), w["linear.w"], w["linear.b"])


def head(w, x, arch, mask):
    """Logits; mask: 0 for what dropout drops, 1 for what it keeps, or None in inference."""
    if arch.hidden:
        x = F.relu(F.linear(x, w["hidden.w"], w["hidden.b"]))
        x = x if mask is None else x * mask / (1 - arch.dropout)
    return F.linear(x, w["linear.w"], w["linear.b"])


def terms(z, y, p):
    """L_c, L_p, L_e of a batch, and s."""
    s = torch.softmax(z, dim=1)
    s_bar = s.mean(dim=0)
    L_c = torch.xlogy(y, y / s).sum(dim=1).mean()
    L_p = (p * torch.log(p / s_bar)).sum()
    L_e = -(s * torch.log(s)).sum(dim=1).mean()
    return L_c, L_p, L_e, s


# ---- what is recorded ----------------------------------------------------------------------------------------------

def first_batch(case, forward, rows, y, p):
    """Logits, terms and every gradient at the start of step 1."""
    w = {name: to_torch(name, a) for name, a in case.theta.items()}
    z = forward(w, {name: torch.tensor(a) for name, a in case.running.items()}, rows, 0)
    z.retain_grad()
    L_c, L_p, L_e, s = terms(z, y, p)
    L = L_c + case.recipe.alpha * L_p + case.recipe.beta * L_e
    L.backward()
    return {"first.logits": z, "first.L": L, "first.L_c": L_c, "first.L_p": L_p, "first.L_e": L_e,
            "first.dlogits": z.grad, **{f"first.gradient.{name}": to_project(a.grad) for name, a in w.items()}}


def train(found, step, case, theta, forward, Y, p):
    """One of the two steps; returns Y. In `found`: the terms of every epoch, Y after it, the state at the end."""
    r = case.recipe
    joint = step == "joint"
    alpha, beta = (r.alpha, r.beta) if joint else (0, 0)
    p = p if joint else torch.full_like(p, 1 / len(p))
    w = {name: to_torch(name, a) for name, a in theta.items()}
    v = {name: torch.zeros_like(a) for name, a in w.items()}
    running = {name: torch.tensor(a) for name, a in case.running.items()}
    predictions = []                                                    # of every epoch, (N, C)
    for epoch in range(r.epochs if joint else r.epochs2):
        lr = r.lr if joint else r.lr2 * 0.1 ** len([drop for drop in r.drops2 if epoch >= drop])
        predictions.append(predictions[-1].clone() if predictions else torch.zeros_like(Y))
        losses = []
        for rows, _ in case.order[epoch]:
            z = forward(w, running, rows, epoch)
            L_c, L_p, L_e, s = terms(z, Y[rows], p)
            L = L_c + alpha * L_p + beta * L_e
            losses.append(torch.stack([L, L_c, L_p, L_e]).detach())
            chainer_sgd(w, v, torch.autograd.grad(L, list(w.values())), lr)
            for row, prediction in zip(rows, s.detach()):               # one by one: the last of a row counts
                predictions[-1][row] = prediction
        if joint and epoch + 1 >= r.begin:
            Y = torch.stack(predictions[-r.K:]).mean(dim=0)
        found[f"{step}.epoch{epoch + 1}.losses"] = torch.stack(losses).mean(dim=0)
        found[f"{step}.epoch{epoch + 1}.Y"] = Y
    found |= {f"{step}.theta.{name}": to_project(a) for name, a in w.items()}
    found |= {f"{step}.velocity.{name}": to_project(a) for name, a in v.items()}
    found |= {f"{step}.running.{name}": a for name, a in running.items()}
    found[f"{step}.inference"] = forward(w, running, slice(None), None)
    return Y


def chainer_sgd(w, v, gradients, lr):
    """Weight decay into the gradient, the learning rate into the velocity, the velocity into the weight."""
    with torch.no_grad():
        for (name, a), g in zip(w.items(), gradients):
            g = g + DECAY * a
            v[name] = MOMENTUM * v[name] - lr * g
            a += v[name]
