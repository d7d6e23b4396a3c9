"""The peers that benchmarks/gpu.py compares: training loops with one interface.

    peer.checked()      (loss, gradient) of one batch of 16, in float64 and in the peer's own precision
    peer.run(steps)     train: order, augmentation, network, objective, SGD, memory of predictions
    peer.wait()         synchronise with the device
    peer.gigabytes()    peak memory of its arrays

Images are random, since their content does not affect the time. Each peer imports PyTorch or CuPy itself.
"""
from itertools import count
from typing import NamedTuple

import numpy as np

from benchmarks.peers import ALPHA, BETA, DECAY, LR, MOMENTUM
from core import backend, train
from core.batches import Images, augmented, batches, mean_image, mixed
from core.kernels.variant import Variant
from core.labels import SoftLabels
from core.model import Task, fresh_model
from core.objective import Objective, objective_backward, objective_forward
from core.recipes import Recipe
from nets import preact_resnet
from nets.preact_resnet import Architecture, init
from nets.preact_resnet_fast import FastNet
from nets.preact_resnet_gpu import GpuNet

CHECKED, PAD, SEED, K = 16, 4, 0, 10
RECIPE = Recipe(lr=LR, alpha=ALPHA, beta=BETA, momentum=MOMENTUM, decay=DECAY)


class Problem(NamedTuple):
    """The training problem: n images of size x size in batches."""
    arch: Architecture
    size: int
    n: int
    batch: int

    def arrays(self, dtype=np.float32):
        """theta, pixels (n, H, W, 3) uint8, mean (H, W, 3), Y (n, C), p (C,): deterministic; Y and p have the dtype."""
        rng, C = np.random.default_rng(SEED), self.arch.classes
        pixels = rng.integers(256, size=(self.n, self.size, self.size, 3), dtype=np.uint8)
        Y = rng.dirichlet(np.ones(C), self.n).astype(dtype)
        return init(self.arch, rng)[0], pixels, mean_image(pixels), Y, np.full(C, 1 / C, dtype)


class Ours:
    """This project's training loop with one of its networks. gpu: None for NumPy."""

    def __init__(self, problem, gpu=None, precision="float32", fast=False):
        self.xp = np if gpu is None else backend.use_gpu(gpu, precision)
        self.problem, self.net = problem, FastNet() if fast else preact_resnet
        theta, pixels, mean, Y, p = problem.arrays()
        self.task = Task(Images(pixels, mean, PAD, True).on(self.xp), None, None, None, SEED)
        self.model = fresh_model(self.net, problem.arch, np.random.default_rng(SEED), self.xp)
        for name, w in theta.items():
            self.model.theta.views[name][...] = self.xp.asarray(w)
        self.labels, self.p = SoftLabels(self.xp.asarray(Y), K), self.xp.asarray(p)
        self.steps, self.sums = self.endless(), self.xp.zeros(5)

    def checked(self):
        return [self.gradient(dtype) for dtype in (np.float64, np.float32)]

    def gradient(self, dtype):
        """(loss, gradient) of the first images."""
        theta, _, _, Y, p = self.problem.arrays(dtype)
        theta = {name: self.xp.asarray(w.astype(dtype)) for name, w in theta.items()}
        x = augmented(self.task.train, self.xp.arange(CHECKED), SEED, 0).astype(dtype)
        z, cache = self.net.forward(theta, x, self.problem.arch)
        (L, *_), cache_L = objective_forward(z, self.xp.asarray(Y[:CHECKED]), self.xp.asarray(p), ALPHA, BETA)
        g = self.net.backward(objective_backward(1, cache_L), cache)
        return float(L), np.concatenate([backend.to_host(g[name]).reshape(-1) for name in theta])

    def endless(self):
        """One epoch after the other."""
        recipe = RECIPE._replace(batch=self.problem.batch)
        for epoch in count():
            yield from train.theta_iterations(
                self.model, self.task, self.labels, Objective(self.p, ALPHA, BETA), LR, recipe, epoch)
            self.labels.end_epoch()

    def run(self, steps):
        for _ in range(steps):
            self.sums += next(self.steps)

    def wait(self):
        if self.xp is not np:
            self.xp.cuda.Device().synchronize()

    def gigabytes(self):
        return 0 if self.xp is np else self.xp.get_default_memory_pool().total_bytes() / 1e9


class Kernels(Ours):
    """This project's kernels, a step as one CUDA graph. number: type of the stored activations."""

    def __init__(self, problem, gpu=0, number="half", variant=Variant()):
        super().__init__(problem, gpu)
        self.net, self.epoch, self.left = GpuNet(self.xp, number, variant), -1, 0
        self.step = self.net.step_for(problem.arch, self.task.train, problem.n, RECIPE._replace(batch=problem.batch))

    def checked(self):
        """In float64, for which there are no kernels, by the readable network on the same device."""
        mine, self.net = self.net, preact_resnet
        exact, self.net = self.gradient(np.float64), mine
        return [exact, self.gradient(np.float32)]

    def run(self, steps):
        self.wait()                                          # the graph's stream does not synchronise with others
        with self.step.stream:
            for _ in range(steps):
                if not self.left:
                    self.next_epoch()
                self.step.run()
                self.left -= 1

    def next_epoch(self):
        """The work of core/train.py between two epochs, and the start of the next epoch."""
        if self.epoch >= 0:
            self.step.end(self.model, self.labels)
            self.labels.end_epoch()
        self.epoch += 1
        self.left = self.step.begin(self.model, SEED, self.labels, self.p, (LR, ALPHA, BETA), self.epoch)


class Torch:
    """PyTorch with all data on the device. mode: of torch.compile; captured: the step as a hand-made CUDA graph."""

    def __init__(self, problem, device="cuda", bf16=False, mode=None, captured=False, channels_last=True):
        import torch

        from benchmarks import torch_net
        self.torch, self.twin, self.problem, self.device = torch, torch_net, problem, device
        self.bf16, self.captured = bf16, captured
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        self.theta, *arrays = problem.arrays()
        self.pixels, self.mean, self.Y, self.p = (torch.from_numpy(a).to(device) for a in arrays)
        self.net = torch_net.PreActResNet(problem.arch, self.theta).to(device, memory_format=self.format)
        self.sgd = torch.optim.SGD(self.net.parameters(), LR, MOMENTUM, weight_decay=DECAY,
                                   fused=device == "cuda" or None)
        self.ring, self.sums = torch.zeros((K, *self.Y.shape), device=device), torch.zeros(5, device=device)
        self.hashed = torch.zeros((), dtype=torch.int64, device=device)
        self.forward = self.logits if mode is None else torch.compile(self.logits, mode=mode)
        self.rows, self.graph = self.endless(), None

    def checked(self):
        return [self.gradient(dtype) for dtype in (self.torch.float64, self.torch.float32)]

    def gradient(self, dtype):
        """(loss, gradient) of the first images."""
        net = self.twin.PreActResNet(self.problem.arch, self.theta).to(self.device, dtype, memory_format=self.format)
        self.hashed.fill_(hash_of(0))
        i = self.torch.arange(CHECKED, device=self.device)
        x = self.twin.augmented(self.pixels[i], self.mean, i, self.hashed, PAD).to(dtype, memory_format=self.format)
        with self.autocast(self.bf16 and dtype == self.torch.float32):
            z = net(x)
        y, p = (self.torch.from_numpy(a).to(self.device) for a in self.problem.arrays(np.dtype(str(dtype)[6:]))[3:])
        L = self.twin.terms(z, y[:CHECKED], p, ALPHA, BETA)[0]
        L.backward()
        return float(L.detach()), net.gradient(self.theta)

    def autocast(self, wanted):
        return self.torch.autocast(self.device, self.torch.bfloat16, enabled=wanted)

    def logits(self, pixels, y, i):
        """The forward pass: the terms of the loss, and the logits."""
        x = self.twin.augmented(pixels, self.mean, i, self.hashed, PAD).contiguous(memory_format=self.format)
        with self.autocast(self.bf16):
            z = self.net(x)
        return self.twin.terms(z, y, self.p, ALPHA, BETA), z

    def step(self, i, slot):
        """One step on the images i (B,), gathered outside of the compiled graph, which would copy all images."""
        self.learn(i, self.pixels[i], slot)

    def learn(self, i, pixels, slot):
        """Forward, backward, SGD, predictions, sums."""
        y = self.Y[i]
        terms, z = self.forward(pixels, y, i)
        self.sgd.zero_grad(set_to_none=True)
        terms[0].backward()
        self.sgd.step()
        with self.torch.no_grad():
            slot.index_copy_(0, i, self.torch.softmax(z.float(), dim=1))
            right = (z.argmax(dim=1) == y.argmax(dim=1)).float().mean()
            self.sums += self.torch.cat([terms.detach(), right[None]])

    def endless(self):
        """The rows of every batch and the slot for its predictions; one transfer sends the order of an epoch."""
        for epoch in count():
            self.hashed.fill_(hash_of(epoch))
            order = np.stack([i for i, _ in batches(self.problem.n, self.problem.batch, SEED, epoch)])
            for i in self.torch.from_numpy(order).to(self.device):
                yield i, self.ring[epoch % K]

    def run(self, steps):
        if self.captured and self.graph is None:
            self.capture()
        for _ in range(steps):
            i, slot = next(self.rows)
            if self.captured:
                self.i.copy_(i)
                self.graph.replay()
            else:
                self.step(i, slot)

    def capture(self):
        """Capture the step as a graph that reads its rows from self.i."""
        torch, (self.i, _) = self.torch, next(self.rows)
        self.i, side = self.i.clone(), torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):                        # PyTorch requires a warm-up on a side stream
            for _ in range(3):
                self.step(self.i, self.ring[0])
        torch.cuda.current_stream().wait_stream(side)
        self.sgd.zero_grad(set_to_none=True)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step(self.i, self.ring[0])

    def wait(self):
        if self.device == "cuda":
            self.torch.cuda.synchronize()

    def gigabytes(self):
        return self.torch.cuda.max_memory_reserved() / 1e9 if self.device == "cuda" else 0


class Loader(Torch):
    """PyTorch as in its tutorials: a DataLoader whose workers crop and mirror on the host, one transfer per batch."""

    def __init__(self, problem, device="cuda", workers=8):
        super().__init__(problem, device)
        _, pixels, mean, *_ = problem.arrays()
        self.loader = self.torch.utils.data.DataLoader(
            HostImages(pixels, mean), problem.batch, shuffle=True, drop_last=True, num_workers=workers,
            persistent_workers=workers > 0, pin_memory=device == "cuda")
        self.ahead = 2 * workers + 1                         # batches that the workers prefetch

    def logits(self, pixels, y, i):
        z = self.net(pixels.contiguous(memory_format=self.format))
        return self.twin.terms(z, y, self.p, ALPHA, BETA), z

    def step(self, batch, slot):
        self.learn(*batch, slot)

    def endless(self):
        for epoch in count():
            for i, x in self.loader:
                yield (i.to(self.device, non_blocking=True), x.to(self.device, non_blocking=True)), self.ring[epoch % K]


class HostImages:
    """A PyTorch data set of (row, image cropped and mirrored at random)."""

    def __init__(self, pixels, mean):
        self.pixels, self.mean = pixels, mean

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, row):
        import torch
        x = np.pad(self.pixels[row].astype(np.float32) / 255 - self.mean, ((PAD, PAD), (PAD, PAD), (0, 0)))
        down, right, mirrored = (int(torch.randint(n, ())) for n in (2 * PAD + 1, 2 * PAD + 1, 2))
        x = x[down:down + len(self.mean), right:right + len(self.mean)]
        return row, torch.from_numpy(np.ascontiguousarray((x[:, ::-1] if mirrored else x).transpose(2, 0, 1)))


def hash_of(epoch):
    """What core.batches.draws mixes into the sample's number: the hash of seed and epoch."""
    return int(mixed(mixed(np.full(1, SEED, np.uint32)) ^ np.full(1, epoch, np.uint32))[0])
