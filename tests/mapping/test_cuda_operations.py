"""torch's operations on CUDA tensors (of the software device), rerun in fp64 on the device: right, seen wherever torch runs
them, and without a trace in the program."""
import ctypes
import os

import pytest
import torch
import torch.nn.functional as F
from operations import Watch

import fumi

watch = Watch()
fault = ctypes.CDLL(os.environ["FUMI_OPERATION_FAULT"])
fault.fault_plant.argtypes = [ctypes.c_char_p, ctypes.c_double]
cuda = torch.device("cuda")


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    fault.fault_clear()
    watch.capturing = False
    assert watch.entered == watch.opened == 0


def planted(operation, call, factor=1.001):
    """What is told of `call` with the operation's result spoilt."""
    fault.fault_plant(operation.encode(), factor)
    with watch:
        call()
    fault.fault_clear()
    return [told for told in watch.seen if told.function.split(".")[0] == operation]


@pytest.mark.parametrize("operation", ["cumsum", "cumprod", "logcumsumexp"])
def test_running_sums_of_narrow_types_may_round_at_every_step(operation):
    """As CUDA's scans do on a GPU; those of fp32 may not."""
    function = getattr(torch, operation)
    for dtype, verdict in ((torch.float16, "pass"), (torch.float32, "fail")):
        x = torch.rand(4, 64, device=cuda).add(0.5).to(dtype)
        assert {told.verdict for told in planted(f"aten::{operation}", lambda: function(x, 1), 1.004)} == {verdict}, dtype
    assert {told.verdict for told in planted(f"aten::{operation}", lambda: function(x.half(), 1), 1.5)} == {"fail"}


def training():
    """A few steps with everything that leaves a trace; all its numbers."""
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.LayerNorm(32), torch.nn.GELU(), torch.nn.Dropout(0.3),
                                torch.nn.RReLU(), torch.nn.Linear(32, 4)).to(cuda)
    convolution = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU()).to(cuda)
    numbers = []
    for _ in range(2):
        x = torch.randn(8, 16, device=cuda)
        image = convolution(torch.randn(2, 3, 6, 6, device=cuda))
        loss = F.cross_entropy(model(x), torch.randint(0, 4, (8,), device=cuda)) + image.mul(2.5).mean()
        loss.backward()
        with torch.no_grad():
            for parameter in (*model.parameters(), *convolution.parameters()):
                parameter.sub_(parameter.grad, alpha=0.1)
                parameter.grad = None
        numbers.append(loss.detach())
    return [*numbers, *model.parameters(), *convolution.state_dict().values(), torch.rand(4, device=cuda), torch.rand(4),
            torch.cuda.get_rng_state(), torch.get_rng_state()]


def test_a_training_gets_the_same_numbers_and_passes():
    expected = training()
    with watch:
        numbers = training()
    assert all(torch.equal(a.cpu(), b.cpu()) for a, b in zip(numbers, expected, strict=True))
    assert [told for told in watch.seen if told.verdict == "fail"] == []
    assert [told.not_checked for told in watch.seen if told.not_checked] == []
    apis = {told.api.rsplit(".")[-1] for told in watch.seen if told.verdict == "pass"}
    assert {"linear", "layer_norm", "gelu", "dropout", "rrelu", "conv2d", "batch_norm", "relu", "cross_entropy"} <= apis, apis
    backward = [told for told in watch.seen if told.phase == "backward"]  # on the autograd engine's own thread
    assert backward and {told.verdict for told in backward} == {"pass"}


@pytest.mark.parametrize("api, call", [
    ("aten::linear", lambda: F.linear(torch.randn(8, 33, device=cuda), torch.randn(16, 33, device=cuda))),
    ("aten::matmul", lambda: torch.randn(8, 9, device=cuda, dtype=torch.complex64) @ torch.randn(9, 5, device=cuda).cfloat()),
    ("aten::softmax", lambda: F.softmax(torch.randn(10, 40, device=cuda), 1)),
    ("aten::exp_", lambda: torch.randn(100, device=cuda).exp_()),
    ("aten::layer_norm", lambda: F.layer_norm(torch.randn(8, 40, device=cuda), (40,))),
    ("aten::add", lambda: torch.randn(5, device=cuda) + torch.tensor(2.5)),  # a number that lies on the CPU
    ("aten::dropout", lambda: F.dropout(torch.randn(50, device=cuda), 0.4)),
    ("aten::rrelu", lambda: F.rrelu(torch.randn(50, device=cuda), training=True)),
])
def test_planted_error_fails(api, call):
    with watch:
        call()
    own = [told for told in watch.seen if told.function.split(".")[0] == api]
    assert [told.verdict for told in own] == ["pass"], watch.seen
    assert [told.verdict for told in planted(api, call)] == ["fail"], watch.seen


def test_dropout_is_judged_by_the_elements_that_its_result_keeps():
    # One element fewer is kept than in fp64: as where a kernel draws other numbers in fp64.
    x = torch.randn(60, device=cuda)
    assert [told.verdict for told in planted("aten::dropout", lambda: F.dropout(x, 0.4), factor=0)] == ["pass"]


def test_planted_error_in_a_gradient_fails():
    x, w = torch.randn(4, 5, device=cuda, requires_grad=True), torch.randn(3, 5, device=cuda, requires_grad=True)
    loss = F.linear(x, w).sum()
    found = planted("aten::mm", loss.backward)
    assert found and {(told.verdict, told.phase) for told in found} == {("fail", "backward")}


def test_under_autocast_the_narrow_call_is_checked():
    x, w = torch.randn(4, 64, device=cuda), torch.randn(3, 64, device=cuda)
    with watch, torch.autocast("cuda", dtype=torch.bfloat16):
        F.linear(x, w)
    assert [(told.dtypes, told.verdict) for told in watch.seen] == [("bf16,bf16,bf16", "pass")]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_inside_compiled_code(backend):
    x, w = torch.randn(4, 8, device=cuda), torch.randn(8, 8, device=cuda)
    function = torch.compile(lambda: torch.softmax(x @ w, 1).exp(), backend=backend)
    function()
    with watch:
        function()
    assert [(told.function.split("::")[1].lstrip("_").split(".")[0], told.verdict) for told in watch.seen][-1] == ("exp", "pass")
    assert "fail" in {told.verdict for told in planted("aten::exp", function)}


def test_tf32_and_split_k_are_granted_where_torch_allows_them():
    x, w = torch.randn(4, 64, device=cuda), torch.randn(64, 5, device=cuda)
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        found = planted("aten::matmul", lambda: x @ w, 1.0002)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
    assert [told.verdict for told in found] == ["pass"] and "TF32" in found[0].reason, watch.seen
    assert [told.verdict for told in planted("aten::matmul", lambda: x @ w, 1.0002)] == ["fail"], watch.seen


@pytest.mark.parametrize("function, shapes, allows", [
    (F.linear, [(4, 64), (5, 64)], torch.backends.cuda.matmul),
    (F.conv2d, [(1, 8, 6, 6), (4, 8, 3, 3)], torch.backends.cudnn),
    (F.scaled_dot_product_attention, [(1, 2, 9, 16)] * 3, torch.backends.cuda.matmul),
], ids=["linear", "conv2d", "attention"])
def test_comparisons_grant_tf32_where_torch_allows_it(function, shapes, allows):
    operands = [torch.randn(*shape, device=cuda) for shape in shapes]
    before = allows.allow_tf32
    for allowed, verdict in ((True, "pass"), (False, "fail")):
        allows.allow_tf32 = allowed
        found = fumi.compare(function, lambda *given: function(*given) * 1.0002, operands)
        allows.allow_tf32 = before
        assert [m.verdict for m in found.measures] == [verdict, "pass", verdict], found
        assert ("TF32" in found.measures[2].reason) == allowed, found


def test_reduced_precision_reduction_is_a_warning():
    x, w = torch.rand(4, 64, device=cuda, dtype=torch.bfloat16), torch.rand(64, 5, device=cuda, dtype=torch.bfloat16)
    found = planted("aten::matmul", lambda: x @ w, 1.012)
    assert [told.verdict for told in found] == ["warn"], watch.seen
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    try:
        assert [told.verdict for told in planted("aten::matmul", lambda: x @ w, 1.012)] == ["fail"], watch.seen
    finally:
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True


def test_a_capture_is_left_alone():
    watch.capturing = True
    with watch:
        torch.exp(torch.randn(5, device=cuda))
    assert [told.not_checked.split(":")[0] for told in watch.seen] == ["captured into a CUDA graph"]


def test_without_memory_for_the_rerun_the_program_goes_on():
    x = torch.randn(1 << 20, device=cuda)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + (12 << 20)) / total)
    try:
        with watch:
            y = torch.exp(x)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.equal(y, torch.exp(x))
    assert [told.not_checked for told in watch.seen] == ["no memory on the device for the rerun"]
