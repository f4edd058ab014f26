"""torch's operations on CPU tensors, seen and rerun in fp64: the program's numbers stay, the outermost operation answers."""
import ctypes
import fractions
import os
import re

import pytest
import torch
import torch.nn.functional as F
from operations import Watch

watch = Watch()
fault = ctypes.CDLL(os.environ["FUMI_OPERATION_FAULT"])
fault.fault_plant.argtypes = [ctypes.c_char_p, ctypes.c_double]


@pytest.fixture(autouse=True)
def nothing_left_entered():
    yield
    fault.fault_clear()
    assert watch.entered == watch.opened == 0


def program():
    """In-place and out= operations, views, aliases, random numbers, and their gradients; every number that comes of it."""
    torch.manual_seed(2)
    x = torch.randn(6, 8, requires_grad=True)
    y = F.dropout(F.gelu(F.layer_norm(x, (8,))), 0.5)
    z = y.detach().clone()
    z[:, ::2].mul_(z[:, 1::2])
    z.add_(z)
    out = torch.empty(0)
    torch.add(z, z, alpha=0.5, out=out)
    torch.mul(out, z, out=z)
    z.T.exp_()
    mean, variance = torch.zeros(8), torch.ones(8)
    normed = F.batch_norm(y, mean, variance, training=True)
    (normed.tanh().sum() + y.logsumexp(1).mean()).backward()
    return [x.grad, y.detach(), z, out, mean, variance, torch.rand(5), torch.randn(5)]


def test_the_program_gets_the_same_numbers():
    expected = program()
    with watch:
        numbers = program()
    assert all(torch.equal(a, b) for a, b in zip(numbers, expected, strict=True))
    verdicts = [told.verdict for told in watch.seen if told.not_checked == ""]
    assert "fail" not in verdicts and len(verdicts) > 15, watch.seen
    functions = {told.function for told in watch.seen}
    assert {"aten::mul_.Tensor", "aten::add.out", "aten::exp_", "aten::batch_norm"} <= functions


@pytest.mark.parametrize("sample", [0, 256])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_sum_that_is_rounded_before_its_bias_passes(dtype, sample):
    torch.manual_seed(1)
    rows = torch.randn(6, 7, 40).to(dtype)
    weight, bias = torch.randn(30, 40).to(dtype), torch.full((30,), 20.0).to(dtype)
    watch.recorder.sample_elements = sample
    try:
        with watch:
            F.linear(rows.transpose(0, 1), weight, bias)
        assert [told.verdict for told in watch.seen] == ["pass"], watch.seen
        fault.fault_plant(b"aten::linear", 1.02)  # what torch flattens is rounded once
        fault.fault_everywhere()
        with watch:
            F.linear(rows, weight, bias)
        assert [told.verdict for told in watch.seen] == ["fail"], watch.seen
    finally:
        watch.recorder.sample_elements = 0


SAMPLED = {
    "add of a column": lambda x, w: x + w[:64, :1],
    "add_": lambda x, w: x.clone().add_(w[:64], alpha=0.5),
    "mul_ of a view": lambda x, w: x.clone()[:, ::2].mul_(w[:64, 1::2]),
    "gelu": lambda x, w: F.gelu(x),
    "relu": lambda x, w: F.relu(x.T),
    "linear": lambda x, w: F.linear(x.reshape(4, 16, 64), w, w[:, 0]),
    "mm": lambda x, w: x @ w.T,
    "conv2d": lambda x, w: F.conv2d(x.reshape(8, 8, 8, 8), w[:64].reshape(8, 8, 8, 8)[:, :, :3, :3], padding=1),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_a_sample_is_right_and_names_its_elements(name):
    torch.manual_seed(3)
    x, w = torch.randn(64, 64), torch.randn(128, 64)
    watch.recorder.sample_elements = 256
    try:
        with watch:
            right = SAMPLED[name](x, w)
        told = watch.seen[-1]
        assert (told.verdict, told.sampled) == ("pass", 1) and told.elements <= 512, told
        fault.fault_plant(told.function.split(".")[0].encode(), 1.001)
        fault.fault_everywhere()
        with watch:
            wrong = SAMPLED[name](x, w)
        told = watch.seen[-1]
        assert told.verdict == "fail", told
        place, value = re.match(r"element (\d+) is (\S+) where", told.reason).groups()
        assert wrong.flatten()[int(place)].item() == pytest.approx(float(value), rel=1e-6) != right.flatten()[int(place)].item()
    finally:
        watch.recorder.sample_elements = 0


def test_outermost_operation_answers_and_gradients_have_their_forward():
    x, w = torch.randn(4, 5, requires_grad=True), torch.randn(3, 5, requires_grad=True)
    with watch:
        F.linear(x, w).sum().backward()
    seen = [(told.api, told.function, told.phase, told.verdict) for told in watch.seen]
    linear = "torch.nn.functional.linear"
    assert seen[:2] == [(linear, "aten::linear", "forward", "pass"), ("torch.sum", "aten::sum", "forward", "pass")]
    assert seen[2:] and {row[0] for row in seen if row[1] == "aten::mm"} == {linear}
    assert {row[2] for row in seen[2:]} == {"backward"}


def test_under_autocast_the_narrow_call_is_checked():
    x, w = torch.randn(4, 64), torch.randn(3, 64)
    with watch, torch.autocast("cpu", dtype=torch.bfloat16):
        F.linear(x, w)
    assert [(told.dtypes, told.verdict) for told in watch.seen] == [("bf16,bf16,bf16", "pass")]


# Of two tensors of 40 x 30; a: 1-D, c: 3-D.
LINEAR = {
    "linear": lambda x, w: F.linear(x, w, w[:, 0]),
    "matmul": lambda x, w: torch.stack([x, w]) @ w.T,
    "mm": lambda x, w: x.T.mm(w),
    "bmm": lambda x, w: torch.stack([x, w]).bmm(torch.stack([w.T, x.T])),
    "mv": lambda x, w: x.mv(w[0]),
    "dot": lambda x, w: x[0].dot(w[1]),
    "vdot": lambda x, w: x[0].vdot(w[1]),
    "inner": lambda x, w: x.inner(w),
    "addmm": lambda x, w: torch.addmm(x[:, :1], x, w.T, alpha=0.3, beta=0.7),
    "addmm_": lambda x, w: (x @ x.T).addmm_(x, w.T, alpha=-2, beta=0.1),
    "baddbmm": lambda x, w: torch.baddbmm(w[0, 0], x[None], w.T[None]),
    "addmv": lambda x, w: torch.addmv(w[:, 0], x, w[0], alpha=0.3),
    "conv1d": lambda x, w: F.conv1d(x.view(2, 20, 30), w.view(12, 20, 5), w[0, :12], padding=2),
    "conv2d": lambda x, w: F.conv2d(x.view(2, 4, 15, 10), w.view(30, 4, 2, 5), stride=2),
    "conv_transpose2d": lambda x, w: F.conv_transpose2d(x.view(2, 4, 15, 10), w.view(4, 30, 2, 5), w[0], stride=2),
    "sum": lambda x, w: x.sum(0),
    "mean": lambda x, w: x.mean((0, 1)),
    "cumsum": lambda x, w: x.cumsum(1),
    "avg_pool2d": lambda x, w: F.avg_pool2d(x.view(1, 4, 15, 20), 3),
}


@pytest.mark.parametrize("name", LINEAR)
def test_fp64_is_rerun_in_parts(name):
    torch.manual_seed(7)
    complex_too = not name.startswith(("conv", "cumsum", "avg"))
    for dtype in (torch.float64, torch.complex128)[:1 + complex_too]:
        for spread in (0, 40):  # sizes from 1 to 1e-12 and less: only what is large has more bits then
            x, w = (torch.randn(40, 30, dtype=dtype) * 2 ** (-spread * torch.rand(40, 1).double()) for _ in range(2))
            with watch:
                LINEAR[name](x, w)
            own = [told for told in watch.seen if told.function.split(".")[0] == f"aten::{name}"]
            assert [told.verdict for told in own] == ["pass"] and 0 < own[0].bound < 90, watch.seen
            fault.fault_plant(f"aten::{name}".encode(), 1 + 1e-12)
            fault.fault_doubles()
            with watch:
                LINEAR[name](x, w)
            fault.fault_clear()
            assert "fail" in {told.verdict for told in watch.seen}, watch.seen


def test_fp64_errors_are_what_rational_numbers_say():
    torch.manual_seed(8)
    x, w = (torch.randn(300, dtype=torch.float64) for _ in range(2))
    x, w = torch.cat([x, x]), torch.cat([w, -w * (1 + 1e-12)])  # cancels, so that nothing but the sums rounds
    with watch:
        dot = x.dot(w).item()
    products = [fractions.Fraction(a) * fractions.Fraction(b) for a, b in zip(x.tolist(), w.tolist())]
    eta = abs(fractions.Fraction(dot) - sum(products)) / sum(map(abs, products)) * 2 ** 53
    assert watch.seen[0].backward_error == pytest.approx(float(eta), rel=1e-3) and eta > 1e-3, (watch.seen, float(eta))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_that_repeat_themselves_may_err_alike(dtype):
    x, w = torch.full((1, 4038), 1 / 3, dtype=dtype), torch.full((4038, 40), 1 / 3, dtype=dtype)
    large = 2e-5 if dtype == torch.float32 else 4e-14  # as all errors in one direction, more than those of distinct products
    for a, verdict in ((x, "pass"), (torch.rand_like(x), "fail")):
        fault.fault_plant(b"aten::matmul", 1 + large)
        if dtype == torch.float64:
            fault.fault_doubles()
        with watch:
            a @ w
        fault.fault_clear()
        assert [told.verdict for told in watch.seen] == [verdict], watch.seen
        assert ("repeat themselves" in watch.seen[0].reason) == (verdict == "pass"), watch.seen


def test_a_wrong_transposed_convolution_of_bf16_is_not_taken_for_one_of_repeats():
    """Its bound is in u of bf16, and so is what repeats may add."""
    x, w = torch.rand(2, 4, 15, 10).bfloat16(), torch.rand(4, 30, 2, 5).bfloat16()
    for factor, verdict in ((1, "pass"), (1.5, "fail")):
        fault.fault_plant(b"aten::conv_transpose2d", factor)
        with watch:
            F.conv_transpose2d(x, w)
        fault.fault_clear()
        assert [told.verdict for told in watch.seen if told.function.startswith("aten::conv_transpose2d")] == [verdict], watch.seen


def test_fp64_that_is_not_finite():
    x = torch.randn(6, 8, dtype=torch.float64)
    for value in (float("nan"), float("inf"), 1e308, 5e-324):
        x[2, 3] = value
        with watch:
            x @ x.T
        assert [told.verdict for told in watch.seen] == ["pass"], watch.seen
    with watch:
        x.exp()
    assert [told.not_checked.split(":")[0] for told in watch.seen] == ["fp64 operands"]


def test_attention_in_16_bits_rounds_its_scores_where_the_program_allows_it():
    torch.manual_seed(6)
    q, k, v = (3 * torch.randn(1, 2, 40, 16).bfloat16() for _ in range(3))
    fused, composed = (F.scaled_dot_product_attention(q, k, v), torch.softmax(q @ k.mT / 4, -1) @ v)
    allow = torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp
    fault.fault_plant(b"aten::scaled_dot_product_attention", 1.02)
    for allowed, verdict in ((False, "fail"), (True, "pass")):
        allow(allowed)
        with watch:
            F.scaled_dot_product_attention(q, k, v)
        allow(False)
        assert [told.verdict for told in watch.seen] == [verdict] and ("(allowed)" in watch.seen[0].reason) == allowed, watch.seen
    assert (fused - composed).abs().max() > 0.02 * fused.abs().max()  # as much as such scores lose


@pytest.mark.parametrize("operation, call", [
    ("dropout", lambda x: F.dropout(x, 0.4)),
    ("dropout_", lambda x: F.dropout(x, 0.4, inplace=True)),
    ("feature_dropout", lambda x: F.dropout2d(x, 0.4)),
    ("alpha_dropout", lambda x: F.alpha_dropout(x, 0.4, training=True)),
    ("feature_alpha_dropout", lambda x: F.feature_alpha_dropout(x, 0.4, training=True)),
    ("rrelu", lambda x: F.rrelu(x, training=True)),
    ("rrelu_", lambda x: F.rrelu(x, training=True, inplace=True)),
    ("scaled_dot_product_attention", lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.3)),
])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_random_operations_are_rerun_from_the_same_state(operation, call, dtype):
    def results():
        torch.manual_seed(4)
        return call(torch.randn(2, 6, 5, 8).to(dtype)), torch.rand(3)

    expected = results()
    with watch:
        found = results()
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    own = [told for told in watch.seen if told.function == f"aten::{operation}"]
    assert [told.not_checked for told in own] == [""], watch.seen
    assert own[0].verdict == "pass", own
    fault.fault_plant(f"aten::{operation}".encode(), 1.05)
    with watch:
        results()
    fault.fault_clear()
    assert "fail" in {told.verdict for told in watch.seen}, watch.seen


@pytest.mark.parametrize("call, operation", [
    (lambda z, w: z + w, "add"), (lambda z, w: torch.sub(z, w, alpha=2 - 1j), "sub"), (lambda z, w: z * w, "mul"),
    (lambda z, w: z @ w.conj(), "matmul"), (lambda z, w: torch.addmm(z, w, z, beta=0.5j), "addmm"), (lambda z, w: z.abs(), "abs"),
    (lambda z, w: torch.vdot(z[0], w[1]), "vdot"), (lambda z, w: z.sum(0), "sum"), (lambda z, w: -z.conj(), "neg"),
    (lambda z, w: z.exp(), "exp")])
def test_complex_operands(call, operation):
    torch.manual_seed(5)
    z, w = torch.randn(30, 30, dtype=torch.complex64), torch.randn(30, 30, dtype=torch.complex64)
    with watch:
        call(z, w)
    own = [told for told in watch.seen if told.function.split(".")[0] == f"aten::{operation}"]
    assert [(told.verdict, told.not_checked) for told in own] == [("none" if operation == "exp" else "pass", "")], watch.seen
    assert own[0].max_rel_err < 1e-2
    fault.fault_plant(f"aten::{operation}".encode(), 1.01)
    with watch:
        call(z, w)
    fault.fault_clear()
    assert operation == "exp" or "fail" in {told.verdict for told in watch.seen}, watch.seen


def test_what_cannot_be_rerun_says_why():
    with watch:
        torch.exp(torch.randn(10, dtype=torch.float64))
        torch.exp(torch.randn(10, dtype=torch.complex128))
        torch.func.vmap(torch.exp)(torch.randn(3, 4))
        with pytest.raises(RuntimeError):
            torch.mm(torch.randn(3, 4), torch.randn(3, 4))
    reasons = [told.not_checked for told in watch.seen if told.api == "torch.exp"]
    assert [reason.split()[0] for reason in reasons[:2]] == ["fp64", "fp64"], watch.seen
    assert not [told for told in watch.seen if told.verdict == "fail" or told.api == "torch.mm"]
