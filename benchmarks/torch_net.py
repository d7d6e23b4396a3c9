"""The same training step in PyTorch: network, objective, augmentation on the device, SGD, memory of predictions.

N images, B batch, C classes. Images are (B, 3, H, W); what comes out of `augmented` has the strides of channels_last.
"""
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.peers import parameter_of, to_numpy, to_torch
from core.layers import BATCHNORM_EPS
from nets.preact_resnet import block_plan


class PreActResNet(nn.Module):
    """nets/preact_resnet.py with the parameters theta, a dictionary of NumPy arrays."""

    def __init__(self, arch, theta):
        super().__init__()
        self.plan, self.layers = block_plan(arch), nn.ModuleDict()
        strides = {f"{name}.{part}": stride for name, _, _, stride, _ in self.plan for part in ("conv1", "projection")}
        for name, w in theta.items():
            if name.endswith(".gamma"):
                self.layers[key(name.removesuffix(".gamma"))] = nn.BatchNorm2d(len(w), eps=BATCHNORM_EPS)
            elif w.ndim == 4:
                R, _, C, K = w.shape
                self.layers[key(name)] = nn.Conv2d(C, K, R, strides.get(name, 1), R // 2, bias=False)
        self.layers["linear"] = nn.Linear(arch.widths[-1], arch.classes)
        for name, w in theta.items():
            parameter_of(self.layers, name).data = torch.from_numpy(to_torch(w).copy())

    def forward(self, x):
        """Logits (B, C)."""
        def bn_relu(x, name):
            return F.relu(self.layers[key(name)](x))

        x = self.layers["conv"](x)
        for name, *_, projecting in self.plan:
            a = bn_relu(x, f"{name}.bn1")
            h = self.layers[key(f"{name}.conv2")](bn_relu(self.layers[key(f"{name}.conv1")](a), f"{name}.bn2"))
            x = h + (self.layers[key(f"{name}.projection")](a) if projecting else x)
        return self.layers["linear"](bn_relu(x, "bn").mean(dim=(2, 3)))

    def gradient(self, theta):
        """All gradients behind one another, in the order and the layout of theta."""
        return np.concatenate([to_numpy(parameter_of(self.layers, name).grad.cpu().numpy(), w.ndim).reshape(-1)
                               for name, w in theta.items()])


def key(name):
    """A name of theta as PyTorch allows it for a module."""
    return name.replace(".", "_")


def terms(z, y, p, alpha, beta):
    """(L, L_c, L_p, L_e) of logits z (B, C), labels y (B, C), prior p (C,)"""
    log_s = F.log_softmax(z if z.dtype == torch.float64 else z.float(), dim=1)
    s = log_s.exp()
    L_c = (torch.xlogy(y, y) - y * log_s).sum() / len(z)
    L_p = (torch.xlogy(p, p) - p * s.mean(dim=0).log()).sum()
    L_e = -(s * log_s).sum() / len(z)
    return torch.stack([L_c + alpha * L_p + beta * L_e, L_c, L_p, L_e])


def augmented(pixels, mean, i, hashed, pad):
    """core.batches.augmented, the same bits, of the images i (B,), whose pixels (B, H, W, 3) uint8 have been gathered.

    hashed: () int64, the hash of seed and epoch.
    """
    B, H, W, C = pixels.shape
    bits = mixed(i ^ hashed)
    down, right = ((part * (2 * pad + 1) >> 12) - pad for part in (bits & 0xFFF, bits >> 12 & 0xFFF))
    column = torch.arange(W, device=i.device)
    x = torch.where((bits >> 31 == 1)[:, None], W - 1 - column, column) + right[:, None]                        # (B, W)
    y = torch.arange(H, device=i.device) + down[:, None]                                                        # (B, H)
    inside = ((y >= 0) & (y < H))[:, :, None] & ((x >= 0) & (x < W))[:, None, :]
    source = y.clamp(0, H - 1)[:, :, None] * W + x.clamp(0, W - 1)[:, None, :]                               # (B, H, W)
    own = torch.arange(0, B * H * W, H * W, device=i.device)[:, None, None]
    out = pixels.view(-1, C)[source + own].float() / 255 - mean.view(-1, C)[source]
    return (out * inside[..., None]).permute(0, 3, 1, 2)


def mixed(h):
    """core.batches.mixed, in the lower 32 of 64 bits."""
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16
