"""PyTorch's contestants of the CPU benchmark: the training step of benchmarks/peers.py by torch.nn and autograd."""
import numpy as np
import torch

from benchmarks.peers import ALPHA, BATCH, BETA, DECAY, LR, MOMENTUM, problem
from benchmarks.torch_net import PreActResNet, terms


def torch_steps(arch, size, N, dtype, channels_last=True, half=False, compiled=False):
    """The function step(). half: convolutions and what follows them in bfloat16, by autocast."""
    theta, x, y, p = problem(arch, size, N, dtype)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = PreActResNet(arch, theta).to(getattr(torch, np.dtype(dtype).name), memory_format=layout)
    x = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    y, p = torch.from_numpy(y), torch.from_numpy(p)
    sgd = torch.optim.SGD(net.parameters(), LR, MOMENTUM, weight_decay=DECAY)

    def loss(x):
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            z = net(x)
        return terms(z, y, p, ALPHA, BETA)[0]

    forward = torch.compile(loss) if compiled else loss

    def step():
        L = forward(x)
        sgd.zero_grad()
        L.backward()
        gradient = net.gradient(theta) if N < BATCH else None
        sgd.step()
        return float(L.detach()), gradient

    return step
