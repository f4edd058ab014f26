"""scaled_dot_product_attention through the software device's cuDNN graphs: the one attention operation, and the graphs of
products, reductions and pointwise operations that cudnn-frontend builds for masks and gradients."""
import os

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

UNIT = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
TENSOR_CORES = os.environ.get("SOFTCUDA_NUMERICS") == "tensorcore"


def inputs(dtype, queries=48, keys=64, width=32, layout="bhsd"):
    torch.manual_seed(0)
    if layout == "bshd":  # as a projection gives it, heads behind the sequence
        return [torch.randn(2, n, 3, width).to(dtype).transpose(1, 2) for n in (queries, keys, keys)]
    return [torch.randn(2, 3, n, width).to(dtype) for n in (queries, keys, keys)]


def run(tensors, gradient, **options):
    leaves = [t.detach().clone(memory_format=torch.preserve_format).requires_grad_() for t in tensors]
    y = F.scaled_dot_product_attention(*leaves, **options)
    y.backward(gradient.to(y.dtype).to(y.device))
    return [y.detach(), *(leaf.grad for leaf in leaves)]


def check(dtype, tensors, mask=None, **options):
    gradient = torch.randn(*tensors[0].shape[:3], tensors[2].shape[3]).to(dtype)
    want = run([t.double() for t in tensors], gradient, attn_mask=None if mask is None else mask.double(), **options)
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        have = run([t.cuda() for t in tensors], gradient, attn_mask=None if mask is None else mask.cuda(), **options)
    for x, y in zip(want, have, strict=True):
        assert y.dtype == dtype
        error = (x - y.cpu().double()).abs().max() / x.abs().max()
        assert error < 8 * UNIT[dtype]


@pytest.mark.parametrize("layout", ["bhsd", "bshd"])
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("dtype", UNIT, ids=str)
def test_matrix(dtype, causal, layout):
    check(dtype, inputs(dtype, queries=64, layout=layout), is_causal=causal)


@pytest.mark.parametrize("dtype", UNIT, ids=str)
def test_scale_and_longer_keys(dtype):
    check(dtype, inputs(dtype), scale=0.3)


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
def test_heads_that_share_keys(causal):
    torch.manual_seed(0)
    tensors = [torch.randn(2, heads, 64, 32).half() for heads in (8, 2, 2)]
    check(torch.float16, tensors, is_causal=causal, enable_gqa=True)


def test_one_query_and_odd_sizes():
    torch.manual_seed(0)
    for queries, keys, width in ((1, 50, 64), (37, 37, 24), (16, 64, 40)):
        check(torch.float16, [torch.randn(1, 2, n, width).half() for n in (queries, keys, keys)], is_causal=queries > 1)


@pytest.mark.parametrize("shared", [False, True], ids=["whole", "broadcast"])
@pytest.mark.parametrize("dtype", UNIT, ids=str)
def test_mask(dtype, shared):
    tensors = inputs(dtype)
    shape = (1, 1, 48, 64) if shared else (2, 3, 48, 64)
    check(dtype, tensors, mask=torch.randn(shape).to(dtype))


def test_boolean_mask():
    dtype, tensors = torch.float16, inputs(torch.float16)
    allowed = torch.rand(2, 3, 48, 64) < 0.7
    allowed[..., 0] = True
    want = F.scaled_dot_product_attention(*(t.double() for t in tensors), attn_mask=allowed)
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        have = F.scaled_dot_product_attention(*(t.cuda() for t in tensors), attn_mask=allowed.cuda())
    assert (want - have.cpu().double()).abs().max() < 8 * UNIT[dtype] * want.abs().max()


def test_the_default_for_half_precision():
    """As on a GPU of this capability; fp32 takes the math path."""
    tensors = [t.cuda() for t in inputs(torch.float16)]
    choice = torch._fused_sdp_choice(*tensors)
    assert choice == SDPBackend.CUDNN_ATTENTION.value
    assert torch._fused_sdp_choice(*(t.float() for t in tensors)) == SDPBackend.MATH.value


def test_dropout():
    """Against the identity the result is the dropped weights themselves; the gradient meets the same mask."""
    torch.manual_seed(1)
    q, k = (torch.randn(2, 2, 64, 64, dtype=torch.float16, device="cuda") for _ in range(2))
    v = torch.eye(64, dtype=torch.float16, device="cuda").expand(2, 2, 64, 64).contiguous().requires_grad_()
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25)
        gradient = torch.randn(2, 2, 64, 64, dtype=torch.float16, device="cuda")
        y.backward(gradient)
        again = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25)
    weights = torch.softmax(q.float() @ k.float().mT / 8, -1)
    kept = y != 0
    assert abs(kept.float().mean().item() - 0.75) < 0.03
    torch.testing.assert_close(y[kept].float(), weights[kept] / 0.75, rtol=4e-3, atol=1e-4)
    torch.testing.assert_close(v.grad.float(), y.detach().float().mT @ gradient.float(), rtol=2e-2, atol=2e-2)
    assert not torch.equal(y, again)


def test_capture_and_replay():
    tensors = [t.cuda() for t in inputs(torch.float16)]
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        F.scaled_dot_product_attention(*tensors)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y = F.scaled_dot_product_attention(*tensors)
        tensors[0].mul_(0.5)
        y.zero_()
        graph.replay()
        assert torch.equal(y, F.scaled_dot_product_attention(*tensors))


def test_wrong_types_are_refused():
    """As by cuDNN on a GPU: no fp32 attention."""
    tensors = [t.float().cuda() for t in inputs(torch.float16)]
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION), pytest.raises(RuntimeError, match="No available kernel"):
        F.scaled_dot_product_attention(*tensors)
