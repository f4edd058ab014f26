"""Layers of one kind that cuDNN computes, forward and backward, one after another in many shapes: for planting faults."""
import sys

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

kind, dtype, count = sys.argv[1], getattr(torch, sys.argv[2]), int(sys.argv[3])
torch.backends.cudnn.allow_tf32 = False  # or rounding fp32 to TF32 would be no fault
torch.manual_seed(17)


def tensor(*shape):
    return torch.randn(*shape).to("cuda", dtype).requires_grad_()


def finish(output):
    output.backward(torch.randn(output.shape).to("cuda", output.dtype))


def convolution(i):
    groups = 1 + i % 2
    channels = 8 + 4 * (i % 3)
    finish(F.conv2d(tensor(2, channels, 9 + i % 4, 10), tensor(12, channels // groups, 3, 3), padding=1, stride=1 + i % 2,
                    groups=groups))


def batch_norm(i):
    norm = nn.BatchNorm2d(6 + i % 3).to("cuda")
    finish(norm(tensor(3, 6 + i % 3, 7, 5 + i % 4)))


def lstm(i):
    network = nn.LSTM(6 + i % 3, 8, batch_first=i % 2 == 0).to("cuda", dtype)
    finish(network(tensor(4, 5, 6 + i % 3))[0])


def attention(i):
    heads = 2 + i % 2
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        finish(F.scaled_dot_product_attention(tensor(2, heads, 16, 32), tensor(2, heads, 16, 32), tensor(2, heads, 16, 32),
                                              is_causal=i % 3 == 0))


for index in range(count):
    globals()[kind](index)
torch.cuda.synchronize()
