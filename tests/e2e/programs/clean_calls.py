"""CALLS correct matrix products over five input distributions, all dtypes and layouts mixed: none may be reported.

    python clean_calls.py CALLS [SEED]
"""
import sys

import torch
from torch.nn import functional as F

calls, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
torch.manual_seed(seed)
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.complex64]


def signs(*shape):
    return torch.randint(0, 2, shape).double() * 2 - 1


DISTRIBUTIONS = [
    torch.randn,                                                       # normal
    lambda *shape: torch.rand(*shape, dtype=torch.float64),            # uniform on [0, 1): truncation bias adds up
    lambda *shape: signs(*shape) * torch.rand(*shape) * 2.0,           # uniform on (-2, 2)
    lambda *shape: signs(*shape) * torch.exp(2 * torch.randn(*shape)), # log-normal: heavy tails
    lambda *shape: torch.randn(*shape) * (torch.rand(*shape) < 0.1),   # sparse: most elements zero
]


def products(draw, dtype, m, n, k):
    """Four library calls."""
    def tensor(*shape):
        return draw(*shape).to(dtype).to("cuda")

    torch.mm(tensor(m, k), tensor(n, k).t())
    torch.bmm(tensor(2, m, k), tensor(2, k, n))
    torch.addmm(tensor(m, n), tensor(k, m).t(), tensor(k, n), beta=0.5, alpha=1.5)
    if dtype.is_complex:
        torch.mv(tensor(m, k), tensor(k))
    else:
        F.linear(tensor(m, k), tensor(n, k), tensor(n))


for i in range(calls // 4):
    m, n, k = (int(torch.randint(low, high, ())) for low, high in ((1, 48), (1, 48), (1, 400)))
    products(DISTRIBUTIONS[i % 5], DTYPES[i // 5 % 5], m, n, k)
torch.cuda.synchronize()
