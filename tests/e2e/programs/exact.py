"""Convolutions on the device against the exact results, within the bound of the type's arithmetic: for convolutions.py
beside it, and for the tests of the software device."""
import os

import torch
import torch.nn.functional as F

UNIT = {torch.float64: 2.0**-53, torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
# What products and sums are formed with: tensor cores cut the last bits of TF32 inputs, and of every partial sum.
TENSOR_CORES = (os.environ.get("SOFTCUDA_NUMERICS") == "tensorcore"
                or torch.cuda.get_device_name() != "Software CUDA device")


def results(conv, tensors, options, gradient):
    """The result and the gradients of all inputs."""
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    y = conv(*leaves, **options)
    y.backward(gradient(y))
    return [y.detach(), *(leaf.grad for leaf in leaves)]


def bounds(conv, tensors, options, gradient):
    """For each result: the sum of the products' magnitudes, and how many products there are at most."""
    sizes = results(conv, [t.abs() for t in tensors], options, lambda y: gradient(y).abs())
    terms = results(conv, [torch.ones_like(t) for t in tensors], options, torch.ones_like)
    return zip(sizes, terms)


def check(conv, tensors, options, dtype, tf32=True):
    """Forward and gradients on the device against fp64 on the CPU; each within (terms + 2) u sum|products| + u |result|.
    Returns the results on the device and the largest error in units of that bound."""
    exact = [t.double() for t in tensors]
    seed = {}

    def gradient(y):
        if "g" not in seed:
            seed["g"] = torch.randn(y.shape, dtype=torch.float64).to(dtype)
        return seed["g"].to(y.dtype).to(y.device)

    want = results(conv, exact, options, gradient)
    have = results(conv, [t.cuda() for t in tensors], options, gradient)
    accumulate = UNIT[torch.float64] if dtype == torch.float64 else UNIT[torch.float32]
    if TENSOR_CORES and dtype != torch.float64:
        accumulate *= 4
    inputs = 2.0**-9 if TENSOR_CORES and tf32 and dtype == torch.float32 else 0.0
    worst = 0.0
    for x, y, (size, terms) in zip(want, have, bounds(conv, exact, options, gradient)):
        assert y.dtype == dtype and y.shape == x.shape
        bound = ((terms + 2) * accumulate + inputs) * size + 2 * UNIT[dtype] * x.abs() + 1e-30
        if dtype == torch.float16:
            bound += 2.0**-24
        worst = max(worst, ((x - y.cpu().double()).abs() / bound).max().item())
    assert worst <= 1, f"{worst} of the bound: {conv.__name__} {[tuple(t.shape) for t in tensors]} {options} {dtype}"
    return have, worst


def operands(dims, transposed, groups, dtype, channels_last=False, kernel=3):
    x = torch.randn(2, 4 * groups, *(7, 6, 5)[:dims])
    filters = (4 * groups, 3) if transposed else (3 * groups, 4)
    w = torch.randn(*filters, *[kernel] * dims)
    if channels_last:
        x, w = (t.contiguous(memory_format=FORMATS[t.dim()]) for t in (x, w))
    return [t.to(dtype) for t in (x, w)]


def function(dims, transposed):
    return getattr(F, f"conv_transpose{dims}d" if transposed else f"conv{dims}d")
