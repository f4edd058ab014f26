"""Training that ends in NaN or infinity: by an operation that reaches no library, by a product, or by a convolution."""
import sys

import torch
from torch import nn

kind = sys.argv[1]  # log_of_zero, product, convolution, none
torch.manual_seed(3)
dtype = torch.float32 if kind in ("log_of_zero", "none") else torch.float16
fc1, fc2 = nn.Linear(32, 48).to("cuda", dtype), nn.Linear(48, 8).to("cuda", dtype)
conv = nn.Conv2d(2, 2, 3, padding=1).to("cuda", dtype)
layers = nn.ModuleDict({"conv": conv, "fc1": fc1, "fc2": fc2})
optimizer = torch.optim.SGD(layers.parameters(), lr=0.01)
for step in range(4):
    x = torch.randn(16, 2, 4, 4).to("cuda", dtype)
    size = {}
    if step == 2 and kind in ("product", "convolution"):
        size[kind] = 300
        with torch.no_grad():
            (fc1 if kind == "product" else conv).weight.mul_(1e3)
    y = conv(x * size.get("convolution", 1))
    y = fc1(y.flatten(1) * size.get("product", 1))
    p = torch.softmax(fc2(y.relu()), 1)
    if kind == "log_of_zero" and step == 2:
        p = p * 0
    loss = -p[:, 0].float().log().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(f"step {step} loss {loss.item()}")
