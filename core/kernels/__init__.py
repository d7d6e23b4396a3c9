"""The layers as CUDA kernels, tested against core/layers.py, their specification. See docs/gpu.md."""
