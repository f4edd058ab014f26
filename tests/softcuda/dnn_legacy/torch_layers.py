"""PyTorch's layers that cuDNN serves by its functions from before the graph API, against CPU torch in float64."""
import json
import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore:RNN module weights")  # torch never flattens bf16 weights

# Of the largest value: rounding of inputs, of results and in between.
TOLERANCE = {torch.float64: 1e-14, torch.float32: 3e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}
TYPES = list(TOLERANCE)
TENSOR_CORES = os.environ.get("SOFTCUDA_NUMERICS") == "tensorcore"
WIDE = [torch.float64, torch.float32]


def assert_close(device, reference, dtype, more=1):
    for i, (x, y) in enumerate(zip(device, reference, strict=True)):
        error = (x.detach().cpu().double() - y.detach()).abs().max()
        assert error <= more * TOLERANCE[dtype] * y.abs().max().clamp_min(1e-3), (i, error)


def values(*shape, dtype, seed=0):
    """Numbers of `dtype`, held in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype).double()


def both(program, dtype, more=1):
    """Runs program(device, its type): the device in `dtype`, the CPU in float64 on the same numbers."""
    assert_close(program("cuda", dtype), program("cpu", torch.float64), dtype, more)


def weighted(*tensors):
    """A loss in which every element has a weight of its own."""
    return sum((t.double() * torch.arange(1, t.numel() + 1, device=t.device).cos().reshape(t.shape)).sum()
               for t in tensors)


# ---------------------------------------------------------------------------------------- batch normalization
NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def norm(shape, dtype, last=False, train=True, steps=1, affine=True):
    def program(device, kind):
        layer = NORMS[len(shape)](shape[1], affine=affine).double()
        for i, p in enumerate(t for t in (layer.weight, layer.bias, layer.running_mean) if t is not None):
            p.data.copy_(values(shape[1], dtype=torch.float32, seed=i))
        layer.to(device, torch.float64 if kind == torch.float64 else torch.float32).train(train)
        results = []
        for step in range(steps):
            x = (values(*shape, dtype=dtype, seed=step) + 1).to(device, kind)
            if last:
                x = x.contiguous(memory_format=torch.channels_last if x.dim() == 4 else torch.channels_last_3d)
            x.requires_grad_()
            y = layer(x)
            y.backward(values(*shape, dtype=dtype, seed=9).to(device, kind))
            results += [y, x.grad]
        return results + [p.grad for p in layer.parameters()] + [layer.running_mean, layer.running_var]

    both(program, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("shape", [(8, 5), (4, 5, 7), (4, 6, 5, 3), (2, 3, 4, 5, 6)], ids=str)
def test_batch_norm(shape, train, dtype):
    norm(shape, dtype, train=train)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(4, 6, 5, 3), (2, 3, 4, 5, 6)], ids=str)
def test_batch_norm_channels_last(shape, dtype):
    norm(shape, dtype, last=True)


def test_batch_norm_without_scale_and_over_steps():
    norm((4, 6, 5, 3), torch.float64, affine=False)
    norm((4, 6, 5, 3), torch.float64, steps=3)


def test_batch_norm_of_many_elements():
    norm((16, 2, 40, 40), torch.float32)


# -------------------------------------------------------------------------------------------- recurrent nets
def recurrent(kind, dtype, layers=1, both_ways=False, projection=0, lengths=None, bias=True, batch_first=False,
              train=True, state=True):
    options = {"nonlinearity": kind.lower()} if kind in ("tanh", "relu") else {}
    if projection:
        options["proj_size"] = projection
    make = getattr(nn, "RNN" if options.get("nonlinearity") else kind)
    directions, output = 2 if both_ways else 1, projection or 7

    def program(device, type_):
        layer = make(5, 7, layers, bias=bias, batch_first=batch_first, bidirectional=both_ways, **options).double()
        for i, p in enumerate(layer.parameters()):
            p.data.copy_(0.4 * values(*p.shape, dtype=torch.float32, seed=i)).copy_(p.data.to(dtype))
        layer.to(device, type_).train(train)
        x = values(4, 3, 5, dtype=dtype, seed=20).to(device, type_).requires_grad_()
        batch = 4 if batch_first else 3
        h = values(layers * directions, batch, output, dtype=dtype, seed=21).to(device, type_).requires_grad_()
        c = values(layers * directions, batch, 7, dtype=dtype, seed=22).to(device, type_).requires_grad_()
        given = x if lengths is None else nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first, False)
        states = ((h, c) if kind == "LSTM" else h,) if state else ()
        y, last = layer(given, *states)
        if lengths is not None:
            y = nn.utils.rnn.pad_packed_sequence(y, batch_first)[0]
        results = [y, *(last if kind == "LSTM" else [last])]
        if train:
            weighted(*results).backward()
            leaves = [x, *layer.parameters()] + ([h] if state else []) + ([c] if state and kind == "LSTM" else [])
            if kind != "relu" or (dtype in WIDE and not TENSOR_CORES):  # rounding may move a unit over relu's bend, and its gradient jumps
                results += [leaf.grad for leaf in leaves]
        return results

    both(program, dtype, more=3000 if TENSOR_CORES and dtype == torch.float32 else 1)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "tanh", "relu"])
@pytest.mark.parametrize("options", [
    {},
    {"layers": 2, "both_ways": True},
    {"layers": 2, "both_ways": True, "lengths": [4, 1, 2]},
    {"bias": False, "batch_first": True, "state": False, "lengths": [3, 1, 2, 3]},
    {"layers": 3, "train": False},
], ids=["plain", "deep", "packed", "batch_first", "eval"])
def test_recurrent(kind, options, dtype):
    recurrent(kind, dtype, **options)


@pytest.mark.skipif(not TENSOR_CORES, reason="tensor cores only")
def test_recurrent_products_are_tf32_where_allowed():
    def error(allowed):
        layer = nn.LSTM(64, 64).double()
        for i, p in enumerate(layer.parameters()):
            p.data.copy_(0.2 * values(*p.shape, dtype=torch.float32, seed=i))
        x = values(5, 4, 64, dtype=torch.float32)
        exact = layer(x)[0]
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=allowed):
            return (layer.float().cuda()(x.float().cuda())[0].cpu().double() - exact).abs().max()

    assert error(False) < 3e-6
    assert 3e-5 < error(True) < 1e-2


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("lengths", [None, [2, 4, 1]])
def test_projected_lstm(lengths, dtype):
    recurrent("LSTM", dtype, layers=2, both_ways=True, projection=3, lengths=lengths)


@pytest.mark.parametrize("both_ways", [False, True])
def test_dropout_of_backward_is_that_of_forward(both_ways):
    """Without biases and below no bend, a net of one step is homogeneous of degree 1: sum(dx x) = sum(dy y)."""
    layer = nn.RNN(6, 50, 3, nonlinearity="relu", dropout=0.5, bias=False, bidirectional=both_ways).double().cuda()
    for p in layer.parameters():
        p.data.abs_()
    x = values(1, 4, 6, dtype=torch.float64).abs().cuda().requires_grad_()
    first, again = layer(x)[0], layer(x)[0]
    assert not torch.equal(first, again)
    dy = values(*again.shape, dtype=torch.float64, seed=1).cuda()
    again.backward(dy)
    torch.testing.assert_close((x.grad * x).sum(), (dy * again).sum(), rtol=1e-12, atol=0)
    for p in list(layer.parameters())[:1]:  # homogeneous in the first layer's weights too
        torch.testing.assert_close((p.grad * p).sum() if not both_ways else (x.grad * x).sum(), (dy * again).sum(),
                                   rtol=1e-12, atol=0)
    inner = nn.RNN(1, 4000, 2, nonlinearity="relu", dropout=0.25, bias=False).double().cuda()
    inner.weight_ih_l0.data.fill_(1)
    inner.weight_ih_l1.data.copy_(torch.eye(4000, dtype=torch.float64))
    kept = inner(torch.ones(1, 1, 1, dtype=torch.float64, device="cuda"))[0].flatten()
    assert {round(v, 9) for v in kept.tolist()} == {0.0, round(1 / 0.75, 9)}
    assert 0.7 < (kept != 0).double().mean() < 0.8
    layer.eval()
    assert torch.equal(layer(x)[0], layer(x)[0])


# ----------------------------------------------------------------------------------------- CTC, grid sampling
@pytest.mark.parametrize("where, reduction", [("cpu", "none"), ("cuda", "none"), ("cuda", "mean"), ("cuda", "sum")])
def test_ctc_loss(where, reduction):
    lengths = torch.tensor([3, 5, 1, 0, 4], dtype=torch.int32)
    targets = torch.tensor([1, 4, 2, 3, 3, 6, 5, 1, 2, 2, 2, 6, 1], dtype=torch.int32)
    steps = torch.full((5,), 12, dtype=torch.int32)

    def program(device, kind):
        x = values(12, 5, 7, dtype=torch.float32).to(device, kind).requires_grad_()
        labels = (t if device == "cpu" else t.to(where) for t in (targets, steps, lengths))
        loss = F.ctc_loss(x.log_softmax(2), *labels, reduction=reduction)
        weighted(loss).backward()
        return [loss, x.grad]

    both(program, torch.float32, more=10)  # exp of sums of 24 logarithms of up to 40


def test_ctc_loss_of_labels_that_do_not_fit():
    """Two equal labels need a blank between them. cuDNN calls that cost 0; torch looks for it where zero_infinity."""
    x = values(2, 1, 4, dtype=torch.float32).float().cuda().requires_grad_()
    target, two = torch.tensor([1, 1], dtype=torch.int32).cuda(), torch.tensor([2], dtype=torch.int32).cuda()
    loss = F.ctc_loss(x.log_softmax(2), target, two, two, reduction="none", zero_infinity=True)
    loss.sum().backward()
    assert loss.item() == 0 and x.grad.abs().max() == 0


@pytest.mark.parametrize("aligned, dtype", [(True, t) for t in TYPES] + [(False, t) for t in WIDE])
def test_grid_sample(aligned, dtype):
    def program(device, kind):
        x = values(2, 3, 5, 6, dtype=dtype).to(device, kind).requires_grad_()
        grid = (values(2, 4, 3, 2, dtype=dtype, seed=1) * 0.7).to(dtype).to(device, kind).requires_grad_()
        y = F.grid_sample(x, grid, align_corners=aligned)
        y.backward(values(2, 3, 4, 3, dtype=dtype, seed=2).to(device, kind))
        return [y, x.grad, grid.grad]

    both(program, dtype)


@pytest.mark.parametrize("dtype", WIDE)
def test_grid_generator(dtype):
    def program(device, kind):
        theta = values(2, 2, 3, dtype=dtype).to(device, kind).requires_grad_()
        make = (lambda: torch.cudnn_affine_grid_generator(theta, 2, 3, 4, 5)) if device == "cuda" else (
            lambda: F.affine_grid(theta, [2, 3, 4, 5], align_corners=True))
        grid = make()
        weighted(grid).backward()
        return [grid, theta.grad]

    both(program, dtype)


class LanguageModel(nn.Module):
    def __init__(self, words=29, width=24):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(words, width), nn.LSTM(width, 32, 2)
        self.head = nn.Linear(32, words)

    def forward(self, ids):
        return self.head(self.rnn(self.embed(ids))[0])


def losses(device, nudge=0.0, steps=12):
    torch.manual_seed(0)
    model = LanguageModel().double()
    model.embed.weight.data[0, 0] *= 1 + nudge
    model.to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    generator = torch.Generator().manual_seed(1)
    result = []
    for _ in range(steps):
        text = torch.randint(0, 29, (13, 8), generator=generator).cumsum(0).remainder(29).to(device)
        loss = F.cross_entropy(model(text[:-1]).flatten(0, 1), text[1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        result.append(loss.item())
    return torch.tensor(result, dtype=torch.float64)


def test_language_model_trains_as_on_the_cpu():
    """As close as two runs on the CPU come whose first weight differs by a unit in the last place."""
    cpu, device, nudged = losses("cpu"), losses("cuda"), losses("cpu", nudge=2.3e-16)
    assert cpu[-1] < cpu[0]
    assert (cpu - device).abs().max() <= max(1e-13, 20 * (cpu - nudged).abs().max().item())


def test_captured_graph_trains_and_draws_anew():
    layer = nn.LSTM(4, 8, 2, dropout=0.5).cuda()
    norm_ = nn.BatchNorm1d(8).cuda()
    x = torch.randn(3, 5, 4, device="cuda")

    def step():
        y = norm_(layer(x)[0].flatten(0, 1))
        y.square().sum().backward()
        return y

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    layer.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = step()
    seen = []
    for _ in range(2):
        graph.replay()
        seen.append((y.clone(), norm_.running_mean.clone(), layer.weight_hh_l0.grad.clone()))
    for first, second in zip(*seen, strict=True):
        assert first.isfinite().all() and not torch.equal(first, second)


# ------------------------------------------------------------------------------- which calls reach the library
def reached(code, tmp_path):
    """The cuDNN functions that a program calls: each call gets a fault, and each fault is logged."""
    faults, log = tmp_path / "faults.yaml", tmp_path / "log"
    faults.write_text("faults:\n  - {function: 'cudnn*', kind: bit_flip, args: {bit: 0}, every: 1}\n", encoding="utf-8")
    env = dict(os.environ, SOFTCUDA_FAULTS=str(faults), SOFTCUDA_FAULT_LOG=str(log))
    subprocess.run([sys.executable, "-c", "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n" + code],
                   env=env, check=True, timeout=200)
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return {json.loads(line)["function"] for line in lines}


def test_reaches_the_library(tmp_path):
    assert reached("""
x = torch.randn(2, 3, 4, 4, device='cuda', requires_grad=True)
layer = nn.BatchNorm2d(3).cuda()
layer(x).sum().backward()
layer.eval()(x)
y = torch.randn(3, 2, 4, device='cuda', requires_grad=True)
nn.GRU(4, 4).cuda()(y)[0].sum().backward()
two = torch.tensor([2, 2], dtype=torch.int32, device='cuda')
F.ctc_loss(y.log_softmax(2), torch.ones(4, dtype=torch.int32, device='cuda'), two + 1, two - 1).backward()
grid = torch.rand(2, 4, 4, 2, device='cuda', requires_grad=True)
F.grid_sample(x, grid, align_corners=True).sum().backward()
torch.cuda.synchronize()
""", tmp_path) == {
        "cudnnBatchNormalizationForwardTrainingEx", "cudnnBatchNormalizationBackwardEx",
        "cudnnBatchNormalizationForwardInference", "cudnnRNNForward", "cudnnRNNBackwardData_v8",
        "cudnnRNNBackwardWeights_v8", "cudnnCTCLoss_v8", "cudnnSpatialTfSamplerForward",
        "cudnnSpatialTfSamplerBackward"}


def test_reaches_no_library_where_torch_has_kernels(tmp_path):
    assert not reached("""
x = torch.randn(2, 3, 4, 4, device='cuda').bfloat16().to(memory_format=torch.channels_last).requires_grad_()
nn.BatchNorm2d(3).cuda()(x).sum().backward()
y = torch.randn(2, 3, 4, 4, device='cuda', requires_grad=True)
eval_ = nn.BatchNorm2d(3).cuda().eval()
with torch.backends.cudnn.flags(enabled=False):
    nn.BatchNorm2d(3).cuda()(y).sum().backward()
    nn.GRU(4, 4).cuda()(torch.randn(3, 2, 4, device='cuda'))
nn.LSTMCell(4, 4).cuda()(torch.randn(2, 4, device='cuda'))
two = torch.tensor([2, 2])
F.ctc_loss(torch.randn(3, 2, 4, device='cuda').log_softmax(2), torch.ones(4, dtype=torch.long), two + 1, two)
F.grid_sample(y, torch.rand(2, 4, 4, 2, device='cuda'), align_corners=False)
torch.cuda.synchronize()
""", tmp_path)
