"""Every op of PyTorch's OpInfo database on the software device against the CPU: equal results, or the same refusal.

Usage: torch_opinfo.py [NAME_PART...]   runs the ops whose name contains a part; default all.
"""
import itertools
import sys
import types
import unittest
import warnings

import torch

try:
    import expecttest  # noqa: F401  torch's test utilities import it; the samples need none of it
except ImportError:
    stand_in = types.ModuleType("expecttest")
    stand_in.TestCase = unittest.TestCase
    sys.modules["expecttest"] = stand_in
from torch.testing._internal.common_methods_invocations import op_db

warnings.filterwarnings("ignore")
SAMPLES = 3
GRADIENT_SAMPLES = 2

# Random numbers differ between devices by design: only shapes and types are compared.
RANDOM = {
    "bernoulli", "cauchy", "exponential", "geometric", "log_normal", "multinomial", "normal", "normal.in_place",
    "normal.number_mean", "rand_like", "randint", "randint_like", "randn", "randn_like", "uniform",
    "nn.functional.alpha_dropout", "nn.functional.dropout", "nn.functional.dropout2d", "nn.functional.dropout3d",
    "nn.functional.feature_alpha_dropout.with_train", "nn.functional.fractional_max_pool2d",
    "nn.functional.fractional_max_pool3d", "nn.functional.multi_head_attention_forward", "nn.functional.rrelu",
    "nn.functional.scaled_dot_product_attention", "pca_lowrank", "svd_lowrank",
}
# Contents are whatever the memory held.
UNINITIALISED = {"empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided"}
# What a GPU refuses, too: no CUDA kernel in PyTorch, or arguments that have to be on the CPU.
REFUSED = {"histogram", "histogramdd", "sparse.mm.reduce", "tensor_split"}
# Reads memory beyond the tensor's own, which a copy to the device does not carry along.
BEYOND = {"as_strided.partial_views"}


def to_cuda(value):
    if isinstance(value, torch.Tensor):
        return value.detach().to("cuda").requires_grad_(value.requires_grad)
    if isinstance(value, (list, tuple)):
        return type(value)(to_cuda(v) for v in value) if not hasattr(value, "_fields") else value
    if isinstance(value, dict):
        return {k: to_cuda(v) for k, v in value.items()}
    if isinstance(value, torch.device):
        return torch.device("cuda")
    return value


def clone(value):
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, (list, tuple)):
        return type(value)(clone(v) for v in value) if not hasattr(value, "_fields") else value
    if isinstance(value, dict):
        return {k: clone(v) for k, v in value.items()}
    return value


def run(op, sample, on_cuda):
    pick = to_cuda if on_cuda else clone
    torch.manual_seed(0)
    kwargs = dict(sample.kwargs)
    if on_cuda:
        kwargs = to_cuda(kwargs)
        if "device" in kwargs:
            kwargs["device"] = "cuda"
    return op(pick(sample.input), *pick(sample.args), **kwargs)


def flatten(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in flatten(v)]
    return [value]


def differs(cpu, cuda, values=True):
    a, b = flatten(cpu), flatten(cuda)
    if len(a) != len(b):
        return f"{len(a)} results, then {len(b)}"
    for x, y in zip(a, b):
        if not isinstance(x, torch.Tensor):
            if x != y and x == x:
                return f"{x} != {y}"
            continue
        if x.layout != torch.strided:
            x, y = x.to_dense(), y.to_dense()
        if (x.shape, x.dtype) != (y.shape, y.dtype):
            return f"{tuple(x.shape)} {x.dtype} != {tuple(y.shape)} {y.dtype}"
        if not values:
            continue
        if x.is_floating_point() or x.is_complex():
            tol = 1e-4 if x.dtype in (torch.float32, torch.complex64) else 1e-2
            if not torch.allclose(x, y.cpu(), rtol=tol, atol=tol, equal_nan=True):
                return f"values differ by {(x - y.cpu()).abs().max().item():.3g}"
        elif not torch.equal(x, y.cpu()):
            return "values differ"
    return None


def leaves(value):
    return [t for t in flatten(value) if isinstance(t, torch.Tensor) and t.requires_grad]


def gradients(op, sample, on_cuda):
    """The gradients of the sum of |outputs|^2 with respect to every tensor that asks for one."""
    pick = to_cuda if on_cuda else clone
    args = [pick(v) for v in (sample.input, list(sample.args), dict(sample.kwargs))]
    torch.manual_seed(0)
    out = op(args[0], *args[1], **args[2])
    if sample.output_process_fn_grad is not None:
        out = sample.output_process_fn_grad(out)
    total = sum((t * t.conj()).real.sum() if t.is_complex() else (t * t).sum()
                for t in flatten(out) if isinstance(t, torch.Tensor) and t.requires_grad)
    wanted = leaves([args[0], args[1], list(args[2].values())])
    return torch.autograd.grad(total, wanted, allow_unused=True)


def check(op, dtype, values):
    """None, or what is wrong. Each call is made twice: the first waits for its result, the second is enqueued."""
    try:
        for sample in itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=False), SAMPLES):
            try:
                cpu = run(op, sample, False)
            except Exception:  # the CPU refuses: the device may, too
                continue
            wrong = differs(cpu, run(op, sample, True), values) or differs(cpu, run(op, sample, True), values)
            torch.cuda.synchronize()
            if wrong:
                return wrong
        if not (dtype.is_floating_point and op.supports_autograd and values):
            return None
        for sample in itertools.islice(op.sample_inputs("cpu", dtype, requires_grad=True), GRADIENT_SAMPLES):
            try:
                cpu = gradients(op, sample, False)
            except Exception:
                continue
            wrong = differs(cpu, gradients(op, sample, True)) or differs(cpu, gradients(op, sample, True))
            torch.cuda.synchronize()
            if wrong:
                return "gradient: " + wrong
    except Exception as error:
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:300]}"
    return None


def main():
    parts = sys.argv[1:]
    passed, failed = 0, []
    for op in op_db:
        name = op.name + ("." + op.variant_test_name if op.variant_test_name else "")
        if parts and not any(p in name for p in parts) or name in REFUSED | BEYOND:
            continue
        for dtype in {torch.float32, torch.int64} & op.supported_dtypes("cpu") & op.supported_dtypes("cuda"):
            wrong = check(op, dtype, values=name not in RANDOM | UNINITIALISED)
            if wrong:
                failed.append(f"{name} {dtype}: {wrong}")
            else:
                passed += 1
    for line in failed:
        print(line)
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
