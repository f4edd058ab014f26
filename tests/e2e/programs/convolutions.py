"""Convolutions of every kind, forward and backward, each once per dtype."""
import sys

import torch
from torch.nn import functional as F

torch.manual_seed(3)
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


def tensor(shape, dtype, last):
    made = torch.randn(*shape).to("cuda", dtype)
    if last:
        made = made.contiguous(memory_format=torch.channels_last if len(shape) == 4 else torch.channels_last_3d)
    return made.requires_grad_()


def gradients(function, x_shape, w_shape, options, dtype, last):
    x, w = tensor(x_shape, dtype, last), tensor(w_shape, dtype, last)
    y = function(x, w, **options)
    y.backward(torch.randn(y.shape).to("cuda", dtype))


for dtype in [getattr(torch, name) for name in sys.argv[1:]] or [torch.float32]:
    for function, x_shape, w_shape, options in CASES:
        for last in {False, len(x_shape) > 3}:
            gradients(function, x_shape, w_shape, options, dtype, last)
with torch.no_grad():
    x, w, bias = tensor((2, 4, 8, 8), torch.float32, True), tensor((4, 4, 3, 3), torch.float32, True), torch.randn(4).cuda()
    torch.cudnn_convolution_relu(x, w, bias, (1, 1), (1, 1), (1, 1), 1)
    torch.cudnn_convolution_add_relu(x, w, torch.randn_like(x), 0.5, bias, (1, 1), (1, 1), (1, 1), 1)
torch.cuda.synchronize()
print("done")
