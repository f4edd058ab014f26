"""Two functions on the same inputs (fumi.compare, fumi.decorate_function): verdicts, and that the program is left alone."""
import math
import pathlib
import sys

import pytest
import torch
import torch.nn.functional as F

import fumi
from fumi import decorate_function

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "examples"))
from llama_attention import flash_attention  # noqa: E402

torch.set_num_threads(1)
SDPA = "torch.nn.functional.scaled_dot_product_attention"


def textbook(query, key, value, attn_mask=None, is_causal=False, scale=None, enable_gqa=False):
    if enable_gqa:
        key, value = (t.repeat_interleave(query.size(1) // t.size(1), 1) for t in (key, value))
    scores = query @ key.transpose(-2, -1) * (scale or 1 / math.sqrt(query.size(-1)))
    if is_causal:
        scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -math.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    return torch.softmax(scores, -1) @ value


def operands(dtype=torch.float32, size=1.0, heads=2):
    torch.manual_seed(0)
    return (torch.randn(1, 4, 70, 16) * size).to(dtype), *((torch.randn(1, heads, 70, 16) * size).to(dtype) for _ in range(2))


def by_row(comparison):
    return {m.what.removesuffix(" against fp64"): m.verdict for m in comparison.measures}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("options", [
    {}, {"is_causal": True}, {"scale": 0.5}, {"attn_mask": torch.randn(70, 70) > -1}, {"attn_mask": torch.randn(70, 70)}],
    ids=str)
def test_attention_has_a_bound_that_correct_ones_keep(dtype, size, options):
    options = {k: v.to(dtype) if k == "attn_mask" and v.dtype != torch.bool else v for k, v in options.items()}
    q, k, v = operands(dtype, size, heads=4)
    comparison = fumi.compare(F.scaled_dot_product_attention, textbook, (q, k, v), options)
    rows = by_row(comparison)
    assert rows["first"] == "pass" and len(rows) == 3, comparison
    # The textbook's scores are rounded to the type of the operands: said, and no fault.
    assert rows["second"] in (("pass",) if dtype == torch.float32 else ("pass", "warn")), comparison


def test_flash_attention_and_its_faults():
    q, k, v = operands(torch.bfloat16)
    given = {"is_causal": True, "enable_gqa": True}
    right = fumi.compare(textbook, flash_attention, (q, k, v), given, name=SDPA)
    assert by_row(right)["second"] == "pass" and right.eta > 0 and "explained" not in right.reason, right
    for fault in (lambda q, k, v, **o: flash_attention(q, k, v, **{**o, "is_causal": False}),
                  lambda q, k, v, **o: flash_attention(q, k, v, tile=60, **o).roll(1, 2),
                  lambda q, k, v, **o: flash_attention(q, k, v.roll(1, 2), **o),
                  lambda q, k, v, **o: flash_attention(q * 1.1, k, v, **o)):
        wrong = fumi.compare(textbook, fault, (q, k, v), given, name=SDPA)
        assert by_row(wrong)["second"] == "fail" and wrong.verdict == "fail", wrong


def test_rows_of_the_tables_give_the_bound():
    x = torch.randn(6, 20)
    right = fumi.compare(F.softmax, lambda x, dim: torch.exp(x) / torch.exp(x).sum(dim, keepdim=True), (x,), {"dim": -1})
    assert by_row(right) == {"first against second": "pass", "first": "pass", "second": "pass"}, right
    wrong = fumi.compare(F.gelu, lambda x: F.gelu(x, approximate="tanh"), (x,))
    assert by_row(wrong) == {"first against second": "fail", "first": "pass", "second": "fail"}, wrong
    assert by_row(fumi.compare(torch.abs, lambda x: x, (x,)))["second"] == "fail"  # which rounds nothing
    own = fumi.compare(lambda x: x * 2, lambda x: x + x * 1.0001, (x,))
    assert own.verdict == "" and 4e-5 < own.max_rel_err < 6e-5 and "no bound" in own.reason, own
    both = fumi.compare(lambda x: x / 3, lambda x: x * (1 / 3), (x,), reference="fp64")
    assert [m.what for m in both.measures] == ["first against second", "first against itself in fp64", "second against itself in "
                                               "fp64", "first against second, both in fp64"]
    assert both.measures[3].max_rel_err < 1e-15 < 1e-9 < both.measures[1].max_rel_err, both


def test_fp64_functions_have_a_reference_in_more_bits():
    x, w = (torch.randn(20, 50, dtype=torch.float64) for _ in range(2))
    for factor, verdict in ((1, "pass"), (1 + 1e-12, "fail")):
        found = fumi.compare(F.linear, lambda x, w: (w @ x.T).T * factor, (x, w))
        assert by_row(found) == {"first against second": verdict, "first": "pass", "second": verdict}, found
    found = fumi.compare(torch.exp, lambda x: x.float().exp().double(), (x,))
    assert found.verdict == "" and "no wider type" in found.reason, found


def test_the_call_is_the_callers():
    here = fumi.compare(torch.exp, torch.exp, (torch.randn(3),))
    line = sys._getframe().f_lineno - 1
    assert here.location == f"{__file__}:{line}" and here.name == "torch.exp" and here.shape == "[3] -> [3]", here
    layer = torch.nn.Sequential(torch.nn.Linear(3, 3))
    with decorate_function("linear", F.linear) as pair:
        layer(torch.randn(2, 3))
    assert pair.comparisons[0].module == "0 (Linear)", pair.comparisons


def test_results_of_many_kinds():
    x = torch.randn(4, 5)
    for f in (lambda x: (x, [x + 1, None]), lambda x: {"a": x, "b": {"c": x.int()}}, lambda x: x.max(1)):
        result = fumi.compare(f, f, (x,))
        assert not result.not_checked and result.max_abs_err == 0, result
    assert fumi.compare(lambda x: x, lambda x: x[1:], (x,)).reason == "the results have shapes [4, 5] and [3, 5]"
    assert fumi.compare(lambda x: x, lambda x: (x, x), (x,)).verdict == "fail"
    assert fumi.compare(torch.argmax, torch.argmin, (x,)).verdict == "fail"
    turned = fumi.compare(lambda x: x * 1j, lambda x: x * 1.5j, (x,))
    assert turned.verdict == "" and 0.3 < turned.max_rel_err < 0.4, turned
    assert "no tensor" in fumi.compare(lambda: 3, lambda: 3).not_checked


def test_gradients_numbers_and_generators_are_those_of_the_first_alone():
    def steps(f):
        torch.manual_seed(4)
        x = torch.randn(6, 6, requires_grad=True)
        y = f(F.dropout(x, 0.5))
        y.square().sum().backward()
        return [x.grad, y.detach(), torch.rand(3), torch.randn(3)]

    def noisy(x):
        assert not torch.is_grad_enabled() and not x.requires_grad
        x.zero_()
        torch.manual_seed(9)
        return F.dropout(torch.ones_like(x), 0.5)

    first = decorate_function("mine", noisy)
    dropped = decorate_function("dropout", lambda x: F.dropout(x, 0.5))
    plain, watched = steps(lambda x: F.dropout(x.exp(), 0.5)), steps(first(lambda x: F.dropout(x.exp(), 0.5)))
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True)) and first.counts
    dropped(lambda x: F.dropout(x, 0.5))(torch.ones(1000))
    assert dropped.comparisons[0].max_abs_err == 0  # both drew the same numbers


def test_what_either_writes():
    def add_one(x):
        return x.add_(1)

    x = torch.zeros(3)
    assert fumi.compare(add_one, lambda x: x + 1, (x,)).max_abs_err == 0
    assert torch.equal(x, torch.ones(3))
    assert fumi.compare(lambda x: x + 1, add_one, (x,)).max_abs_err == 0
    assert torch.equal(x, torch.ones(3))
    # torch's own function cannot be the reference where the arguments have been written.
    assert [m.what for m in fumi.compare(torch.exp, torch.exp_, (x,)).measures] == ["first against second"]


def test_what_the_second_raises_is_a_reason_and_what_the_first_raises_is_the_programs():
    def broken(x):
        raise SystemExit("broken\nbadly")

    x = torch.randn(3)
    comparison = fumi.compare(torch.exp, broken, (x,))
    assert comparison.not_checked == "the second function: SystemExit: broken" and torch.equal(comparison.result, x.exp())
    pair = decorate_function("exp", torch.exp)
    with pytest.raises(SystemExit):
        pair(broken)(x)
    assert not pair.comparisons and fumi.compare(torch.exp, torch.exp, (x,)).verdict == "pass"  # and the next one goes on


def test_autocast_is_the_same_for_both():
    linear = torch.nn.Linear(8, 8)
    seen = []

    def second(x):
        seen.append(F.linear(x, linear.weight).dtype)
        return F.linear(x, linear.weight)

    first = decorate_function("mine", second)(lambda x: x.bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        first(torch.randn(2, 8))
        linear(torch.randn(2, 8)).sum().backward()
    assert seen == [torch.bfloat16] and linear.weight.grad is not None
    with torch.autocast("cpu", dtype=torch.bfloat16):
        comparison = fumi.compare(F.linear, lambda x, w: x.bfloat16() @ w.bfloat16().T, (torch.randn(9, 64), torch.randn(8, 64)))
    assert by_row(comparison) == {"first against second": "pass", "first": "pass", "second": "pass"}, comparison


def test_a_block_replaces_torchs_function_and_puts_it_back():
    before = F.scaled_dot_product_attention, torch.Tensor.matmul, vars(torch.Tensor).get("matmul")
    q, k, v = operands(heads=4)
    with decorate_function(SDPA, textbook) as pair, decorate_function("torch.Tensor.matmul", torch.matmul) as product:
        assert F.scaled_dot_product_attention(q, k, v).equal(before[0](q, k, v))
        q.matmul(k.transpose(-2, -1))
    assert [len(p.comparisons) for p in (pair, product)] == [1, 1] and pair.worst.verdict == "pass"
    with pytest.raises(ZeroDivisionError), decorate_function("scaled_dot_product_attention", textbook):
        1 / 0  # noqa: B018
    assert before == (F.scaled_dot_product_attention, torch.Tensor.matmul, vars(torch.Tensor).get("matmul"))
    with pytest.raises(AttributeError, match="did you mean scaled_dot_product_attention"), decorate_function("scaled_dot_prod_attention", textbook):
        pass


def test_comparisons_do_not_nest_and_can_be_thinned():
    with decorate_function("exp", lambda x: torch.exp(x)) as pair:  # the replaced one again
        torch.exp(torch.randn(3))
    assert len(pair.comparisons) == 1
    thinned = decorate_function("exp", torch.exp, every=3)
    f = thinned(torch.exp)
    for _ in range(7):
        f(torch.randn(2))
    assert len(thinned.comparisons) == 3 and "3 compared   3 pass" in thinned.summary()
    assert fumi.decorate_functuion is decorate_function  # the Python FuMi's spelling
    with pytest.raises(ValueError, match="'fp64'"):
        fumi.compare(torch.exp, torch.exp, (torch.randn(2),), reference="fp32")
