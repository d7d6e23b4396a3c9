"""ResNet-18 and 50 in PyTorch, as a module with torchvision's names, and what the tests compare with it: float64.

Nothing of the project's mathematics is used here. Names and layouts are PyTorch's throughout, but for max pooling.
"""
import torch
import torch.nn.functional as F
from torch import nn

from tests.reference.resnet_cases import ALPHA, BETA, CLASSES, DECAY, LR, MOMENTUM, data, values
from tests.reference.twin import terms


class Block(nn.Module):
    def __init__(self, c_in, width, stride, bottleneck):
        super().__init__()
        wide = 4 * width if bottleneck else width
        shapes = ([(c_in, width, 1, 1), (width, width, 3, stride), (width, wide, 1, 1)] if bottleneck else
                  [(c_in, width, 3, stride), (width, wide, 3, 1)])
        self.length = len(shapes)
        for k, (c, out, size, step) in enumerate(shapes, start=1):
            self.add_module(f"conv{k}", nn.Conv2d(c, out, size, step, size // 2, bias=False))
            self.add_module(f"bn{k}", nn.BatchNorm2d(out))
        self.downsample = (nn.Sequential(nn.Conv2d(c_in, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
                           if stride > 1 or c_in != wide else None)

    def forward(self, x):
        out = x
        for k in range(1, self.length + 1):
            out = getattr(self, f"bn{k}")(getattr(self, f"conv{k}")(out))
            out = F.relu(out) if k < self.length else out
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, blocks, bottleneck, classes):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        c = 64
        for stage, (width, count) in enumerate(zip((64, 128, 256, 512), blocks), start=1):
            layer = []
            for block in range(count):
                layer.append(Block(c, width, 2 if stage > 1 and block == 0 else 1, bottleneck))
                c = 4 * width if bottleneck else width
            self.add_module(f"layer{stage}", nn.Sequential(*layer))
        self.fc = nn.Linear(c, classes)

    def features(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(x)))).mean(dim=(2, 3))

    def forward(self, x):
        return self.fc(self.features(x))


NETS = {18: ((2, 2, 2, 2), False), 34: ((3, 4, 6, 3), False), 50: ((3, 4, 6, 3), True)}


def made(depth):
    """The module in float64 with weights that follow from their names."""
    net = ResNet(*NETS[depth], CLASSES).double()
    net.load_state_dict({name: torch.from_numpy(values(name, tuple(a.shape))) if a.is_floating_point() else a
                         for name, a in net.state_dict().items()})
    return net


def run(depth, frozen, n, size, steps):
    """{name: array} of logits, terms, gradients, and of all that the steps of SGD change."""
    torch.set_num_threads(1)
    net, (pixels, y, p) = made(depth), data(n, size)
    mean, std = (torch.tensor(a, dtype=torch.float64) for a in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    x = ((torch.from_numpy(pixels).double() / 255 - mean) / std).permute(0, 3, 1, 2)
    y, p = torch.from_numpy(y), torch.from_numpy(p)
    found = {"features": net.eval().features(x), "inference": net(x)}
    net.train(not frozen)
    sgd = torch.optim.SGD(net.parameters(), LR, MOMENTUM, weight_decay=DECAY)
    for step in range(steps):
        sgd.zero_grad()
        z = net(x)
        L_c, L_p, L_e, _ = terms(z, y, p)
        L = L_c + ALPHA * L_p + BETA * L_e
        L.backward()
        found[f"step{step}.L"] = L
        if step == 0:
            found |= {"logits": z} | {f"gradient.{name}": a.grad.clone() for name, a in net.named_parameters()}
        sgd.step()
    found |= {f"end.{name}": a for name, a in net.state_dict().items() if a.is_floating_point()}
    found["end.inference"] = net.eval()(x)
    return {name: a.detach().numpy() for name, a in found.items()}


def pooled(x, dout):
    """{"out", "dx"} of a maximum, in the project's layout."""
    there = torch.from_numpy(x).permute(0, 3, 1, 2).requires_grad_()
    out = F.max_pool2d(there, 3, 2, 1)
    dx, = torch.autograd.grad(out, there, torch.from_numpy(dout).permute(0, 3, 1, 2))
    return {"out": out.detach().permute(0, 2, 3, 1).numpy(), "dx": dx.permute(0, 2, 3, 1).numpy()}
