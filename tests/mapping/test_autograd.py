"""The link from an autograd node back to the forward call that made it."""
import threading

import pytest
import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

R = lambda *shape: torch.randn(*shape, requires_grad=True)


def facts(answers):
    return [(o.api, o.location, o.phase) for o in answers]


def test_each_gradient_goes_to_its_own_line(probe, here):
    with probe:
        a = R(2, 3).mm(R(3, 3))
        b = F.linear(a, R(3, 3), R(3))
        c = F.relu(b) @ R(3, 4)
        probe.read()
        c.sum().backward()
    assert facts(probe.answers) == [
        *[("torch.matmul", here(-4), "backward")] * 2,
        *[("torch.nn.functional.linear", here(-6), "backward")] * 2,
        *[("torch.mm", here(-8), "backward")] * 2,
    ]


def test_retain_graph(probe, here):
    with probe:
        loss = R(2, 3).mm(R(3, 3)).sum()
        probe.read()
        loss.backward(retain_graph=True)
        first = probe.read()
        loss.backward()
    assert facts(first) == facts(probe.answers) == [("torch.mm", here(-5), "backward")] * 2


def test_double_backward(probe, here):
    a, b = R(2, 3), R(3, 3)
    with probe:
        loss = a.mm(b).pow(2).sum()
        probe.read()
        (gradient,) = torch.autograd.grad(loss, a, create_graph=True)
        first = probe.read()
        gradient.pow(2).sum().backward()
    expected = ("torch.mm", here(-5), "backward")
    assert set(facts(first)) == set(facts(probe.answers)) == {expected}
    assert len(probe.answers) >= 3


def test_torch_autograd_grad_in_a_loop(probe, here):
    with probe:
        for _ in range(3):
            a, b = R(2, 3), R(3, 3)
            loss = a.mm(b).sum()
            probe.read()
            torch.autograd.grad(loss, [a, b])
            assert facts(probe.read()) == [("torch.mm", here(-3), "backward")] * 2


def test_forward_and_backward_on_other_threads(probe, here):
    def work():
        losses.append(R(2, 3).mm(R(3, 3)).sum())

    losses, lines = [], [here(-2)]
    with probe:
        for _ in range(3):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        probe.read()
        for loss in losses:
            thread = threading.Thread(target=loss.backward)
            thread.start()
            thread.join()
    assert facts(probe.answers) == [("torch.mm", lines[0], "backward")] * 6


def test_threads_at_the_same_time(probe):
    def one():
        return R(2, 3).mm(R(3, 3)).sum()

    def two():
        return F.linear(R(2, 3), R(3, 3)).sum()

    def work(function):
        for _ in range(200):
            function().backward()

    with probe:
        threads = [threading.Thread(target=work, args=(f,)) for f in (one, two) for _ in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    lines = {f: f"{f.__code__.co_filename}:{f.__code__.co_firstlineno + 1}" for f in (one, two)}
    # The weight of `one` and of `two` alike: two gradients each.
    counts = {fact: facts(probe.answers).count(fact) for fact in set(facts(probe.answers))}
    assert counts == {
        ("torch.mm", lines[one], "forward"): 400,
        ("torch.mm", lines[one], "backward"): 800,
        ("torch.nn.functional.linear", lines[two], "forward"): 400,
        ("torch.nn.functional.linear", lines[two], "backward"): 800,
    }


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        return a.mm(b)

    @staticmethod
    def backward(ctx, gradient):
        a, b = ctx.saved_tensors
        return gradient.mm(b.t()), a.t().mm(gradient)


def test_a_custom_function_goes_to_where_it_was_applied(probe, here):
    def model(a, b):
        return Product.apply(a, b)

    with probe:
        loss = model(R(2, 3), R(3, 3)).sum()
        forward = probe.read()
        loss.backward()
    source = Product.forward.__code__
    assert facts(forward) == [("torch.mm", f"{source.co_filename}:{source.co_firstlineno + 3}", "forward")]
    assert facts(probe.answers) == [("torch.mm", here(-8), "backward")] * 2


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint_runs_forward_again(probe, here, reentrant):
    a, b = R(2, 3), R(3, 3)

    def block(x):
        return F.linear(x, b).relu()

    with probe:
        loss = checkpoint(block, a, use_reentrant=reentrant).sum()
        forward = probe.read()
        loss.backward()
    line = here(-6)
    assert facts(forward) == [("torch.nn.functional.linear", line, "forward")]
    assert facts(probe.answers) == [
        ("torch.nn.functional.linear", line, "forward"),
        *[("torch.nn.functional.linear", line, "backward")] * 2,
    ]


def test_checkpoint_in_a_backward_that_is_differentiated(probe):
    a, b = R(2, 3), R(3, 3)
    with probe:
        loss = checkpoint(lambda x: F.linear(x, b).sigmoid(), a, use_reentrant=False).sum()
        probe.read()
        torch.autograd.grad(loss, a, create_graph=True)
    assert [o.phase for o in probe.answers] == ["forward", "backward"]


def test_hooks_of_tensors_run_their_own_ops(probe):
    a, b = R(2, 3), R(3, 3)
    product = a.mm(b)
    product.register_hook(lambda gradient: gradient @ torch.eye(3))
    with probe:
        product.sum().backward()
    assert [(o.api, o.phase) for o in probe.answers][-2:] == [("torch.mm", "backward")] * 2


def test_functorch(probe, here):
    b = torch.randn(3, 3)
    with probe:
        torch.func.grad(lambda x: F.linear(x, b).sum())(torch.randn(2, 3))
    assert facts(probe.answers) == [
        ("torch.nn.functional.linear", here(-2), "forward"),
        ("torch.nn.functional.linear", here(-3), "backward"),
    ]


def test_a_failing_op_leaves_nothing_behind(probe, here):
    for _ in range(300):
        with pytest.raises(RuntimeError):
            F.linear(R(2, 3), R(4, 5))
    with probe:
        loss = R(2, 3).mm(R(3, 3)).sum()
        loss.backward()
    assert facts(probe.answers) == [("torch.mm", here(-2), "forward"), *[("torch.mm", here(-2), "backward")] * 2]


def test_an_exception_is_still_raised_and_backward_failing_recovers(probe):
    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise ValueError("from backward")

    for _ in range(5):
        with pytest.raises(ValueError, match="from backward"):
            Failing.apply(R(2, 3).mm(R(3, 3))).sum().backward()
    with probe:
        R(2, 3).mm(R(3, 3))
    assert [o.phase for o in probe.answers] == ["forward"]
