"""The redirected ops of the software device: results, in-place and out= forms, views, random numbers, errors, graphs."""
import subprocess
import sys

import pytest
import torch
import torch.ao.nn.quantized.functional
import torch.nn.functional as F
from torch import nn


def compare(program, tolerance=1e-5):
    """Runs program('cpu') and program('cuda'), compares what they return."""
    cpu, cuda = program("cpu"), program("cuda")
    for x, y in zip(cpu, cuda, strict=True):
        assert y is not None
        torch.testing.assert_close(y.cpu(), x, rtol=tolerance, atol=tolerance)


def images(device):
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)).to(device).detach().requires_grad_()


def module(make, device):
    torch.manual_seed(0)
    return make().to(device)


@pytest.mark.parametrize("make", [
    lambda: nn.Conv2d(3, 5, 3, padding=1),
    lambda: nn.ConvTranspose2d(3, 4, 3, stride=2),
    lambda: nn.Conv2d(3, 3, 3, groups=3),
    lambda: nn.BatchNorm2d(3),
    lambda: nn.GroupNorm(1, 3),
    lambda: nn.LayerNorm(8),
    lambda: nn.RMSNorm(8),
    lambda: nn.MaxPool2d(2),
    lambda: nn.AdaptiveAvgPool2d(4),
    lambda: nn.Softmax(-1),
    lambda: nn.GELU(),
], ids=lambda make: type(make()).__name__)
def test_module_forward_and_backward(make):
    def program(device):
        net, x = module(make, device), images(device)
        y = net(x)
        (y * y * y).sum().backward()
        return [y.detach(), x.grad] + [p.grad for p in net.parameters()] + [b for b in net.buffers()]
    compare(program, 1e-3)


@pytest.mark.parametrize("make", [lambda: nn.LSTM(6, 5, 2, bidirectional=True), lambda: nn.GRU(6, 5, 2), lambda: nn.RNN(6, 5)],
                         ids=lambda make: type(make()).__name__)
def test_recurrent_nets(make):
    def program(device):
        net = module(make, device).double()
        x = torch.randn(7, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(device)
        y, _ = net(x)
        y.square().sum().backward()
        return [y.detach()] + [p.grad for p in net.parameters()]
    compare(program, 1e-10)


@pytest.mark.parametrize("make", [
    lambda p: torch.optim.AdamW(p, fused=True), lambda p: torch.optim.AdamW(p, foreach=True),
    lambda p: torch.optim.Adam(p, capturable=True), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=True), lambda p: torch.optim.RMSprop(p),
    lambda p: torch.optim.Adagrad(p), lambda p: torch.optim.NAdam(p),
], ids=["AdamW-fused", "AdamW-foreach", "Adam-capturable", "SGD", "SGD-fused", "RMSprop", "Adagrad", "NAdam"])
def test_optimizers(make):
    def program(device):
        generator = torch.Generator().manual_seed(0)
        parameters = [torch.randn(3, 4, generator=generator).to(device).requires_grad_() for _ in range(3)]
        try:
            optimizer = make(parameters)
            for _ in range(4):
                optimizer.zero_grad()
                sum((p**2).sum() for p in parameters).backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
        except AssertionError:  # capturable=True on the CPU
            optimizer = torch.optim.Adam(parameters)
            for _ in range(4):
                optimizer.zero_grad()
                sum((p**2).sum() for p in parameters).backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
        return [p.detach() for p in parameters]
    compare(program)


def test_gradient_scaler_skips_steps_with_infinities():
    def program(device):
        p = torch.ones(3, device=device).requires_grad_()
        optimizer = torch.optim.SGD([p], lr=0.1)
        scaler = torch.amp.GradScaler(device, init_scale=8.0)
        for step in range(3):
            optimizer.zero_grad()
            loss = (p * 2).sum() * (float("inf") if step == 1 else 1.0)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        return [p.detach(), torch.tensor(scaler.get_scale())]
    compare(program)


def test_random_numbers_follow_the_generator():
    torch.manual_seed(5)
    first = torch.randn(100, device="cuda")
    state = torch.cuda.get_rng_state()
    second = torch.rand(10, device="cuda")
    torch.cuda.set_rng_state(state)
    assert torch.equal(second, torch.rand(10, device="cuda"))
    torch.manual_seed(5)
    assert torch.equal(first, torch.randn(100, device="cuda"))
    assert not torch.equal(first, torch.randn(100, device="cuda"))
    own = torch.Generator("cuda").manual_seed(7)
    third = torch.randperm(50, device="cuda", generator=own)
    assert torch.equal(third, torch.randperm(50, device="cuda", generator=own.manual_seed(7)))
    torch.manual_seed(5)
    cpu = torch.rand(3)
    torch.manual_seed(5)
    torch.rand(3, device="cuda")
    F.dropout(torch.ones(8, device="cuda"))
    assert torch.equal(cpu, torch.rand(3)), "the CPU generator was touched"
    with pytest.raises(RuntimeError, match="device type"):
        torch.rand(3, device="cuda", generator=torch.Generator())


def test_dropout_keeps_its_share_and_scales_it():
    x = torch.ones(20000, device="cuda", requires_grad=True)
    y = F.dropout(x, 0.3)
    y.sum().backward()
    assert 0.28 < (y == 0).double().mean().item() < 0.32
    assert torch.equal(x.grad, y.detach())
    assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.7], rel=1e-6)


def test_tensors_of_two_devices_do_not_mix():
    cpu, cuda = torch.ones(3), torch.ones(3, device="cuda")
    for call in (lambda: cuda + cpu, lambda: cpu + cuda, lambda: torch.cat([cuda, cpu]), lambda: torch.add(cuda, 1, out=cpu),
                 lambda: torch.embedding(torch.ones(3, 4, device="cuda"), torch.tensor([0]))):
        with pytest.raises(RuntimeError, match="same device|on device|out"):
            call()
    assert torch.equal((cuda + torch.tensor(2.0)).cpu(), torch.full((3,), 3.0))
    assert torch.equal(torch.arange(5, device="cuda")[torch.tensor([1, 2])].cpu(), torch.tensor([1, 2]))


def test_views_share_memory():
    x = torch.randn(4, dtype=torch.complex64, device="cuda")
    pairs = torch.view_as_real(x)
    pairs.zero_()
    x.real.add_(1)
    assert torch.equal(x.cpu(), torch.ones(4, dtype=torch.complex64))
    assert torch.view_as_complex(pairs).data_ptr() == x.data_ptr()
    grid = torch.zeros(3, 4, device="cuda")
    grid.t()[1].fill_(2)
    grid.diagonal().copy_(torch.arange(3.0))
    assert grid.tolist() == [[0, 2, 0, 0], [0, 1, 0, 0], [0, 2, 2, 0]]


def test_out_arguments_of_every_shape():
    for _ in range(3):  # the first call waits, later ones are enqueued
        x = torch.arange(12.0, device="cuda").view(3, 4)
        empty = torch.empty(0, device="cuda")
        assert torch.sum(x, 1, out=empty) is empty and empty.tolist() == [6, 22, 38]
        transposed = torch.empty(4, 3, device="cuda").t()
        torch.mul(x, 2, out=transposed)
        assert transposed.stride() == (1, 3) and torch.equal(transposed.cpu(), x.cpu() * 2)
        values, indices = torch.empty(0, device="cuda"), torch.empty(0, dtype=torch.long, device="cuda")
        torch.sort(x, 1, True, out=(values, indices))
        assert values.tolist()[0] == [3, 2, 1, 0] and indices.tolist()[1] == [3, 2, 1, 0]
        torch.add(x, x, out=x)
        assert x[0].tolist() == [0, 2, 4, 6]


def test_copies_between_layouts_and_types():
    x = torch.randn(3, 4, 5)
    assert torch.equal(x.permute(2, 0, 1).cuda().cpu(), x.permute(2, 0, 1))
    assert torch.equal(x.cuda().double().cpu(), x.double())
    assert torch.equal(x.cuda().permute(2, 0, 1).contiguous().cpu(), x.permute(2, 0, 1).contiguous())
    assert torch.equal(x.cuda().to(torch.bfloat16).cpu(), x.to(torch.bfloat16))
    target = torch.zeros(4, 3, 5, device="cuda").transpose(0, 1)
    target.copy_(x)
    assert torch.equal(target.cpu(), x)
    z = torch.randn(3, dtype=torch.complex64)
    assert torch.equal(z.cuda().conj().cpu(), z.conj()) and torch.equal(z.cuda().conj().clone().cpu(), z.conj())
    pinned = x.pin_memory()
    assert torch.equal(pinned.cuda(non_blocking=True).cpu(), x)
    assert torch.equal(torch.zeros(3, 4, 5, device="cuda").copy_(x[:, :1]).cpu(), x[:, :1].expand(3, 4, 5))


def test_products_with_an_added_matrix():
    def program(device):
        generator = torch.Generator().manual_seed(0)
        a, b, c = (torch.randn(4, 4, dtype=torch.float64, generator=generator).to(device) for _ in range(3))
        v = a[0].clone()
        batch = a.expand(2, 4, 4)
        return [torch.addmm(v, a, b), torch.addmm(c, a, b, beta=0.5, alpha=2), torch.addmm(c.t(), a.t(), b.t()),
                torch.addmv(v, a, b[0], beta=3), torch.baddbmm(c, batch, batch, beta=2), a @ b.t(), a.clone().addmm_(a, b),
                F.linear(a, b, v), a @ v, torch.dot(v, b[1]), torch.einsum("ij,kj->ik", a, b), batch @ b,
                torch.addmm(v, a, b, out=torch.empty(0, dtype=torch.float64, device=device))]
    compare(program, 1e-12)
    half = torch.randn(8, 8).half()
    torch.testing.assert_close((half.cuda() @ half.cuda() + half.cuda()).cpu(), half @ half + half, rtol=1e-2, atol=1e-2)


def test_errors_come_at_once_where_shapes_are_wrong():
    with pytest.raises(RuntimeError, match="must match"):
        torch.ones(3, device="cuda") + torch.ones(4, device="cuda")
    with pytest.raises(RuntimeError):
        torch.cat([torch.ones(2, 3, device="cuda"), torch.ones(3, 4, device="cuda")])


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_an_index_out_of_range_is_reported():
    done = run_python("""
import torch
x = torch.arange(10.0, device="cuda")
x[torch.tensor([3], device="cuda")]
torch.cuda.synchronize()
x[torch.tensor([30], device="cuda")]
torch.cuda.synchronize()
""")
    assert done.returncode == 1 and "Error" in done.stderr


def test_a_kernel_that_nobody_handles_is_named():
    done = run_python("""
import torch
x = torch.ones(8, 1, 8, 64, device="cuda", dtype=torch.half)
torch.ops.aten._flash_attention_forward(x, x, x, None, None, 1, 1, 0.0, False, False)
torch.cuda.synchronize()
""")
    assert done.returncode != 0 and "flash" in done.stderr, done.stderr


def test_streams_are_ordered_by_events():
    for _ in range(5):
        side = torch.cuda.Stream()
        x = torch.zeros(1000, device="cuda")
        x += 1
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            y = x * 2
            x.record_stream(side)
        torch.cuda.current_stream().wait_stream(side)
        assert (y + 1).sum().item() == 3000


def test_graph_replays_on_new_data():
    net = module(lambda: nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.LayerNorm(16), nn.Linear(16, 4)), "cuda")
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, capturable=True)
    x, target = torch.zeros(5, 8, device="cuda"), torch.zeros(5, 4, device="cuda")

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = F.mse_loss(net(x), target)
        loss.backward()
        optimizer.step()
        return loss

    state = {k: v.clone() for k, v in net.state_dict().items()}
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def run(advance):
        net.load_state_dict(state)
        for group in optimizer.state.values():
            for value in group.values():
                value.zero_()
        generator, losses = torch.Generator().manual_seed(3), []
        for _ in range(4):
            x.copy_(torch.randn(5, 8, generator=generator))
            target.copy_(torch.randn(5, 4, generator=generator))
            losses.append(advance())
        return losses

    def replay():
        graph.replay()
        return loss.item()

    eager = run(lambda: step().item())
    assert run(replay) == eager and len(set(eager)) == 4


def test_graph_capture_of_ops_never_seen_before():
    x = torch.arange(7.0, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = torch.cumsum(torch.roll(x, 2), 0).clamp_(max=12) - 0.125
    x.add_(1)
    graph.replay()
    assert torch.equal(y.cpu(), torch.cumsum(torch.roll(torch.arange(7.0) + 1, 2), 0).clamp(max=12) - 0.125)


def test_captured_random_numbers_are_new_at_each_replay():
    torch.cuda.manual_seed(11)
    x = torch.zeros(64, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = torch.rand_like(x)
    torch.cuda.synchronize()  # the capture began with a fill of the generator's offset on its own stream, awaited by nobody
    graph.replay()
    first = y.clone()
    graph.replay()
    assert not torch.equal(first, y)
    torch.cuda.manual_seed(11)
    graph.replay()
    assert 0 <= y.min().item() and y.max().item() < 1


def test_waiting_for_data_in_a_capture_fails_as_on_a_gpu():
    done = run_python("""
import torch
x = torch.ones(3, device="cuda")
with torch.cuda.graph(torch.cuda.CUDAGraph()):
    x.nonzero()
""")
    assert done.returncode == 1 and "captur" in done.stderr


def test_autocast():
    a = torch.randn(8, 8, device="cuda")
    with torch.autocast("cuda", dtype=torch.bfloat16):
        y = F.linear(a, a)
        z = F.softmax(y, -1)
    assert y.dtype == torch.bfloat16 and z.dtype == torch.float32


def test_compile_eager_and_data_loader():
    compiled = torch.compile(lambda x: (x * 2).relu().sum(), backend="eager")
    assert compiled(torch.ones(3, device="cuda")).item() == 6
    data = torch.utils.data.TensorDataset(torch.arange(10.0))
    loader = torch.utils.data.DataLoader(data, batch_size=4, pin_memory=True)
    assert sum(x.cuda(non_blocking=True).sum().item() for (x,) in loader) == 45


def test_losses_and_indexing():
    def program(device):
        x = images(device)
        logits = x[:, :, 0, 0]
        loss = F.cross_entropy(logits, torch.tensor([1, 2, 0, 1], device=device))
        loss.backward()
        weights = nn.Embedding.from_pretrained(torch.arange(15.0).view(5, 3), freeze=False).to(device)
        weights(torch.tensor([1, 2, 2], device=device)).sum().backward()
        mask = x.detach() > 0
        return [loss.detach(), x.grad, weights.weight.grad, x.detach()[mask], mask.nonzero(), x.detach().sort(-1)[1]]
    compare(program)


def test_connectionist_temporal_classification():
    def program(device):
        x = torch.randn(20, 2, 5, generator=torch.Generator().manual_seed(0)).log_softmax(-1).to(device).requires_grad_()
        targets = torch.randint(1, 5, (2, 6), generator=torch.Generator().manual_seed(1)).to(device)
        loss = F.ctc_loss(x, targets, torch.tensor([20, 18]), torch.tensor([6, 5]))
        loss.backward()
        return [loss.detach(), x.grad]
    compare(program)


def test_attention():
    def program(device):
        generator = torch.Generator().manual_seed(0)
        q, k, v = (torch.randn(2, 3, 5, 8, dtype=torch.float64, generator=generator).to(device).requires_grad_() for _ in range(3))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y.square().sum().backward()
        return [y.detach(), q.grad, k.grad, v.grad]
    compare(program, 1e-12)


# cuDNN's product of int8 matrices: torch's CPU kernel takes unsigned activations, so that fp64 is the reference.
@pytest.mark.parametrize("with_bias", [False, True])
def test_quantized_tensors(with_bias):
    generator = torch.Generator().manual_seed(0)
    x, w, b = (torch.randn(*size, generator=generator) for size in ((8, 2000), (16, 2000), (16,)))
    qx, qw = torch.quantize_per_tensor(x.cuda(), 0.03, 0, torch.qint8), torch.quantize_per_tensor(w.cuda(), 0.04, 0, torch.qint8)
    assert qx.is_cuda and qx.cpu().is_cpu and qx.view(4, 2, -1).is_quantized
    assert torch.equal(qx.int_repr().cpu(), torch.quantize_per_tensor(x, 0.03, 0, torch.qint8).int_repr())
    assert torch.equal(qx.dequantize().cpu(), qx.cpu().dequantize()) and torch.equal(qx.cpu().cuda().int_repr(), qx.int_repr())
    y = torch.ao.nn.quantized.functional.linear(qx, qw, b.cuda() if with_bias else None, scale=2.0, zero_point=0)
    exact = qx.cpu().int_repr().double() @ qw.cpu().int_repr().double().T * 0.03 * 0.04 + (b.double() if with_bias else 0)
    off = y.int_repr().cpu().double() - (exact / 2).clamp(-128, 127)
    assert off.abs().max() < 0.5 + 1e-4 and y.int_repr().abs().max() > 40


# A GPU's kernel keeps its statistics in fp32; the CPU's rounds them to the type of a narrow input.
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_batch_norm_of_narrow_types_has_fp32_statistics(dtype):
    x = torch.randn(8, 5, 6, generator=torch.Generator().manual_seed(0)).mul(2).add(3).to(dtype).cuda().requires_grad_()
    parameters = [torch.tensor([0.5, 1.25, 2.0, -1.0, 0.75], dtype=dtype, device="cuda", requires_grad=True) for _ in range(2)]
    running = torch.zeros(5, dtype=dtype, device="cuda"), torch.ones(5, dtype=dtype, device="cuda")
    y, mean, _ = torch.native_batch_norm(x, *parameters, *running, True, 0.5, 1e-5)
    assert y.dtype == dtype and mean.dtype == torch.float32
    wide = x.detach().double()
    torch.testing.assert_close(mean.double(), wide.mean((0, 2)), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(running[0], (wide.mean((0, 2)) / 2).to(dtype), rtol=0, atol=0)
    y.sum().backward()
    assert x.grad.dtype == dtype and all(p.grad.dtype == dtype for p in parameters)
    assert torch.equal(parameters[1].grad.cpu(), torch.full((5,), 48, dtype=dtype))
