"""A small residual CNN, trained: convolutions with and without stride, groups and bias, batch norms, pooling."""
import argparse

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--dtype", default="float32")
parser.add_argument("--channels-last", action="store_true")
parser.add_argument("--dump")
args = parser.parse_args()


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, groups=2)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return F.relu(y + self.shortcut(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, padding=2)
        self.block1 = Block(8, 8, 1)
        self.block2 = Block(8, 16, 2)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.stem(x)), 2)
        x = self.block2(self.block1(x))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


torch.manual_seed(5)
dtype = getattr(torch, args.dtype)
form = torch.channels_last if args.channels_last else torch.contiguous_format
net = Net().to("cuda", dtype, memory_format=form)
for module in net.modules():  # parameters of norms stay in fp32, as cuDNN wants them
    if isinstance(module, nn.BatchNorm2d):
        module.float()
optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
for step in range(args.steps):
    x = torch.randn(4, 3, 16, 16).to("cuda", dtype, memory_format=form)
    target = torch.randint(10, (4,)).to("cuda")
    loss = F.cross_entropy(net(x).float(), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step} loss {loss.item().hex()}")
if args.dump:
    torch.save({name: value.cpu() for name, value in net.state_dict().items()}, args.dump)
