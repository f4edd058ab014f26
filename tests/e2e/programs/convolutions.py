"""Convolutions of every kind, forward and both gradients, in the dtypes that are named, each compared with fp64 on the CPU
within the bound of its arithmetic. Says how many there were, and the largest error in units of its bound."""
import itertools
import sys

import torch
from torch.nn import functional as F

from exact import FORMATS, check, function, operands

torch.manual_seed(3)
torch.backends.cudnn.allow_tf32 = True
# name, input, weight, options; transposed weights are (inputs, outputs / groups, ...).
CASES = [
    (F.conv1d, (2, 4, 20), (6, 4, 3), {"padding": 1}),
    (F.conv1d, (2, 4, 21), (6, 2, 5), {"stride": 2, "groups": 2}),
    (F.conv2d, (2, 3, 9, 11), (4, 3, 3, 3), {"padding": (1, 2), "stride": (2, 1)}),
    (F.conv2d, (2, 4, 12, 12), (6, 4, 3, 2), {"dilation": (2, 3)}),
    (F.conv2d, (3, 6, 8, 8), (9, 2, 1, 1), {"groups": 3}),
    (F.conv3d, (2, 3, 5, 6, 7), (4, 3, 2, 3, 3), {"padding": 1, "stride": (1, 2, 1)}),
    (F.conv_transpose1d, (2, 4, 10), (4, 3, 4), {"stride": 2, "padding": 1}),
    (F.conv_transpose2d, (2, 4, 6, 7), (4, 3, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    (F.conv_transpose2d, (2, 4, 6, 6), (4, 2, 3, 3), {"groups": 2, "dilation": 2}),
    (F.conv_transpose3d, (1, 3, 4, 4, 4), (3, 2, 2, 2, 2), {"stride": 2}),
]


def uneven_cases():
    """What the matrix has not: sizes, strides and paddings that differ from dimension to dimension."""
    for conv, x_shape, w_shape, options in CASES:
        for last in {False, len(x_shape) > 3}:
            tensors = [torch.randn(*shape) for shape in (x_shape, w_shape)]
            if last:
                tensors = [t.contiguous(memory_format=FORMATS[t.dim()]) for t in tensors]
            yield conv, tensors, options


def depthwise():
    """PyTorch has kernels of its own for these, and asks cuDNN in channels_last alone."""
    tensors = [torch.randn(*shape).contiguous(memory_format=torch.channels_last) for shape in ((2, 6, 7, 7), (6, 1, 3, 3))]
    yield F.conv2d, tensors, {"padding": 1, "groups": 6}


def matrix():
    for dims, transposed, last in itertools.product((1, 2, 3), (False, True), (False, True)):
        if last and dims == 1:
            continue
        for groups, stride, padding, dilation in itertools.product((1, 2), (1, 2), (0, 1), (1, 2)):
            options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
            if transposed and stride > 1:
                options["output_padding"] = 1
            yield function(dims, transposed), operands(dims, transposed, groups, torch.float32, last), options


count, worst = 0, 0.0
for dtype in [getattr(torch, name) for name in sys.argv[1:]] or [torch.float32]:
    for conv, tensors, options in itertools.chain(uneven_cases(), matrix(), [] if dtype == torch.float64 else depthwise()):
        worst = max(worst, check(conv, [t.to(dtype) for t in tensors], options, dtype)[1])
        count += 1
with torch.no_grad():
    last = torch.channels_last
    x, w = (torch.randn(*shape).cuda().contiguous(memory_format=last) for shape in ((2, 4, 8, 8), (4, 4, 3, 3)))
    bias = torch.randn(4).cuda()
    torch.cudnn_convolution_relu(x, w, bias, (1, 1), (1, 1), (1, 1), 1)
    torch.cudnn_convolution_add_relu(x, w, torch.randn_like(x), 0.5, bias, (1, 1), (1, 1), (1, 1), 1)
torch.cuda.synchronize()
print(f"{count} combinations agree with CPU torch, largest error / bound {worst:.2f}")
