"""200 library calls of one dtype, all shapes and layouts mixed, for planting one fault in one of them."""
import sys

import torch
from torch.nn import functional as F

dtype = getattr(torch, sys.argv[1])
calls = int(sys.argv[2]) if len(sys.argv) > 2 else 200
torch.manual_seed(11)


def tensor(*shape):
    return torch.randn(*shape).to(dtype).to("cuda")


for i in range(calls // 4):
    m, n, k = 33 + 7 * (i % 5), 17 + 11 * (i % 7), 64 + 16 * (i % 3)
    torch.mm(tensor(m, k), tensor(k, n))
    F.linear(tensor(m, k), tensor(n, k), tensor(n))
    torch.bmm(tensor(2, m, k), tensor(2, k, n))
    torch.addmm(tensor(m, n), tensor(k, m).t(), tensor(k, n), beta=0.5)
torch.cuda.synchronize()
