"""Trains an MLP, a ResNet-18 or a GPT on the CPU, with a torch that never initialises CUDA.

    python train_on_cpu.py mlp|resnet18|gpt... [--steps 20] [--batch N] [--narrow 8]

Prints each loss to the last bit, then a hash of all parameters; on stderr the wall and CPU seconds of the training loop.
"""
import argparse
import hashlib
import pathlib
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tools" / "examples"))
from train_gpt import GPT  # noqa: E402


class Residual(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        narrower = stride != 1 or before != channels
        self.shortcut = nn.Sequential(nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
                                      ) if narrower else nn.Identity()

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


def resnet18(narrow, classes=10):
    """He et al. 2016 for 32 x 32 images: the first convolution is 3 x 3, and no pooling follows it."""
    before = 64 // narrow
    layers = [nn.Conv2d(3, before, 3, 1, 1, bias=False), nn.BatchNorm2d(before), nn.ReLU()]
    for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Residual(before, channels // narrow, stride), Residual(channels // narrow, channels // narrow, 1)]
        before = channels // narrow
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


def mlp(narrow, classes=10):
    width = 512 // narrow
    return nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, width), nn.ReLU(),
                         nn.Linear(width, classes))


def images(batch, *shape):
    return torch.randn(batch, *shape), torch.randint(0, 10, (batch,))


def tokens(batch, length=32, vocabulary=65):
    window = torch.randint(vocabulary, (batch, length + 1))
    return window[:, :-1], window[:, 1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", choices=["mlp", "resnet18", "gpt"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--narrow", type=int, default=1, help="divides the widths of the MLP and the ResNet")
    args = parser.parse_args()
    for name in args.models:
        train(name, args.steps, args.batch, args.narrow)
    assert not torch.cuda.is_initialized()


def train(name, steps, batch, narrow):
    torch.manual_seed(1)
    make, data, usual = {
        "mlp": (mlp, lambda n: images(n, 784), 128),
        "resnet18": (resnet18, lambda n: images(n, 3, 32, 32), 32),
        "gpt": (lambda _: GPT(65, 32), tokens, 8),
    }[name]
    model = make(narrow)
    optimizer = (torch.optim.AdamW(model.parameters(), lr=3e-3) if name == "gpt" else
                 torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9))
    start = time.perf_counter(), time.process_time()
    for _ in range(steps):
        x, target = data(batch or usual)
        loss = F.cross_entropy(model(x).flatten(0, -2), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item().hex(), flush=True)
    print(f"loop: {time.perf_counter() - start[0]:.4f} s, {time.process_time() - start[1]:.4f} s of CPU", file=sys.stderr)
    digest = hashlib.sha256()
    for value in model.state_dict().values():
        digest.update(value.numpy().tobytes())
    print("parameters", digest.hexdigest())


if __name__ == "__main__":
    main()
