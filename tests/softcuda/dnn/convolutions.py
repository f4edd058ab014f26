"""Convolutions through the software device's cuDNN graphs, against the exact results: every shape class, layout and type,
forward and both gradients."""
import pathlib
import sys

import pytest
import torch
import torch.nn.functional as F

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "e2e" / "programs"))
from exact import FORMATS, TENSOR_CORES, UNIT, check, function, operands


@pytest.fixture(autouse=True)
def settings():
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = True
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=True):
        yield


@pytest.mark.parametrize("dtype", UNIT, ids=str)
@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "transposed"])
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_every_kind(dims, transposed, dtype):
    """The whole matrix of options is gone through under FuMi, by tests/e2e/test_cudnn_convolutions.py."""
    for groups, stride, padding, dilation, last in [(1, 2, 1, 1, False), (2, 1, 1, 2, dims > 1)]:
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        if transposed and stride > 1:
            options["output_padding"] = 1
        have, _ = check(function(dims, transposed), operands(dims, transposed, groups, dtype, last), options, dtype)
        if last and dtype != torch.float64:  # PyTorch asks cuDNN for no fp64 in that layout
            assert have[0].is_contiguous(memory_format=FORMATS[dims + 2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_depthwise(dtype):
    x, w = torch.randn(2, 6, 7, 7), torch.randn(6, 1, 3, 3)
    check(F.conv2d, [t.to(dtype) for t in (x, w)], {"padding": 1, "groups": 6}, dtype)


def test_depthwise_3d():
    check(F.conv3d, [torch.randn(2, 3, 5, 5, 5), torch.randn(3, 1, 3, 3, 3), torch.randn(3)], {"groups": 3}, torch.float32)


@pytest.mark.parametrize("transposed", [False, True], ids=["conv", "transposed"])
@pytest.mark.parametrize("dims", [2, 3])
def test_without_cudnn(dims, transposed):
    with torch.backends.cudnn.flags(enabled=False):
        check(function(dims, transposed), operands(dims, transposed, 1, torch.float32), {"stride": 2, "dilation": 1},
              torch.float32)


def test_unusual_windows():
    """Larger than the image, of even size, uneven in its dimensions; one image, one channel."""
    check(F.conv2d, [torch.randn(1, 1, 3, 4), torch.randn(2, 1, 5, 2), torch.randn(2)], {"padding": (2, 1), "stride": (3, 1)},
          torch.float32)
    check(F.conv2d, [torch.randn(3, 2, 9, 9), torch.randn(2, 2, 1, 1), torch.randn(2)], {"stride": 3}, torch.float32)
    check(F.conv2d, [torch.randn(1, 5, 16, 2), torch.randn(4, 5, 4, 2), torch.randn(4)], {"dilation": (3, 1)}, torch.float32)


def test_two_channels_last():
    """Two channels side by side and a stride of two: positions are as far apart as what they skip."""
    for transposed, filters in ((False, (4, 2)), (True, (4, 2))):
        x = torch.randn(2, 4 if transposed else 2, 7, 6).contiguous(memory_format=torch.channels_last)
        w = torch.randn(*filters, 3, 3).contiguous(memory_format=torch.channels_last)
        check(function(2, transposed), [x, w], {"stride": 2, "padding": 1}, torch.float32)


@pytest.mark.parametrize("flags", [{"benchmark": True}, {"deterministic": True}, {"allow_tf32": False}], ids=str)
def test_flags(flags):
    with torch.backends.cudnn.flags(enabled=True, **{"benchmark": False, "deterministic": False, "allow_tf32": True} | flags):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            check(F.conv2d, operands(2, False, 2, dtype), {"padding": 1, "groups": 2}, dtype, tf32=flags.get("allow_tf32", True))


def test_tf32_is_used_where_it_is_allowed():
    """1 + 2**-12 has no place in TF32's 10 bits."""
    x, w = torch.full((1, 8, 4, 4), 1 + 2.0**-12, device="cuda"), torch.ones(4, 8, 3, 3, device="cuda")
    exact = 8 * 9 * (1 + 2.0**-12)
    allowed = F.conv2d(x, w)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        denied = F.conv2d(x, w)
    assert (denied - exact).abs().max() < 1e-4
    assert bool((allowed == 72).all()) == TENSOR_CORES


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("add", [False, True], ids=["relu", "add_relu"])
def test_fused(add, dtype):
    x, w = operands(2, False, 1, dtype)
    b = torch.randn(3).to(dtype)
    y = F.conv2d(x.double(), w.double(), b.double(), padding=1)
    z = torch.randn(y.shape).to(dtype)
    sizes = ([1, 1], [1, 1], [1, 1], 1)
    if add:
        have = torch.cudnn_convolution_add_relu(x.cuda(), w.cuda(), z.cuda(), 0.5, b.cuda(), *sizes)
        want = (y + 0.5 * z.double()).relu()
    else:
        have, want = torch.cudnn_convolution_relu(x.cuda(), w.cuda(), b.cuda(), *sizes), y.relu()
    tolerance = 64 * UNIT[dtype] + (2.0**-8 if TENSOR_CORES else 0)
    torch.testing.assert_close(have.cpu().double(), want, rtol=tolerance, atol=tolerance)
    assert (have == 0).any() and (have > 0).any()


def test_capture_and_replay():
    """What is captured runs at each replay, on the inputs of then."""
    conv = torch.nn.Conv2d(4, 6, 3, padding=1).cuda()
    x, y = torch.randn(2, 4, 8, 8, device="cuda"), None
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        conv(x)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph), torch.no_grad():
        y = conv(x)
    for _ in range(2):
        x.copy_(torch.randn(2, 4, 8, 8))
        y.zero_()
        graph.replay()
        torch.testing.assert_close(y.cpu(), F.conv2d(x.cpu(), conv.weight.cpu(), conv.bias.cpu(), padding=1), rtol=1e-2,
                                   atol=1e-2 if TENSOR_CORES else 1e-5)


def test_streams_are_in_order():
    """Strictly asynchronous: a result of one stream is there for another one after an event."""
    x, w = torch.randn(2, 4, 8, 8, device="cuda"), torch.randn(4, 4, 3, 3, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        y = x
        for _ in range(5):
            y = F.conv2d(y, w, padding=1) * 0.1
    torch.cuda.current_stream().wait_stream(side)
    want = x.cpu()
    for _ in range(5):
        want = F.conv2d(want, w.cpu(), padding=1) * 0.1
    torch.testing.assert_close(y.cpu(), want, rtol=1e-2 if TENSOR_CORES else 1e-4, atol=1e-2 if TENSOR_CORES else 1e-5)
