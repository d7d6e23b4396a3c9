"""The network as a usual PyTorch module: what loads the file model.safetensors of a run,
and needs nothing of this project.

    tensors = safetensors.torch.load_file("model.safetensors")
    net = Net(tensors)
    logits = net.eval()(pixels)                   # (N, 3, H, W) uint8
"""
import re

from torch import nn
from torch.nn import functional as F


def batchnorm(channels):
    return nn.BatchNorm2d(channels, eps=2e-5)


class Block(nn.Module):
    def __init__(self, c_in, c_out, stride, projecting):
        super().__init__()
        self.bn1, self.conv1 = batchnorm(c_in), nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = batchnorm(c_out), nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False)) if projecting else None

    def forward(self, x):
        a = F.relu(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(self.conv1(a))))
        return out + (x if self.shortcut is None else self.shortcut(a))


class Net(nn.Module):
    def __init__(self, tensors):
        super().__init__()
        c = len(tensors["conv1.weight"])
        self.conv1 = nn.Conv2d(3, c, 3, 1, 1, bias=False)
        self.stages = sorted({int(found[1]) for found in map(re.compile(r"layer(\d+)\.").match, tensors) if found})
        for s in self.stages:
            blocks, width = {name.split(".")[1] for name in tensors if name.startswith(f"layer{s}.")}, len(
                tensors[f"layer{s}.0.conv1.weight"])
            plan = [(c if b == 0 else width, width, 2 if s > 1 and b == 0 else 1, b == 0) for b in range(len(blocks))]
            self.add_module(f"layer{s}", nn.Sequential(*[Block(*numbers) for numbers in plan]))
            c = width
        self.bn, self.linear = batchnorm(c), nn.Linear(c, len(tensors["linear.bias"]))
        self.register_buffer("mean", tensors["mean"].clone())
        self.load_state_dict(tensors)       # strict: every tensor of the file has its place, and every place its tensor

    def forward(self, pixels):
        x = self.conv1(pixels.to(self.mean.dtype) / 255 - self.mean)
        for s in self.stages:
            x = getattr(self, f"layer{s}")(x)
        return self.linear(F.relu(self.bn(x)).mean(dim=(2, 3)))
