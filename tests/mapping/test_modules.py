"""The path of the nn.Module whose forward runs."""
import copy
import gc
import threading
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 8)
        self.mlp = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        return self.mlp(self.fc1(x)) @ self.weight


class Model(nn.Module):
    def __init__(self, checkpointed=False):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(4, 3, bias=False)
        self.checkpointed = checkpointed

    def forward(self, x):
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x)
        return F.linear(self.head(x), torch.eye(3))


BLOCK = ["fc1 (Linear)", "mlp.0 (Linear)", "mlp.2 (Linear)"]
PATHS = [f"blocks.{i}{rest}" for i in range(2) for rest in [f".{p}" for p in BLOCK] + [" (Block)"]]
PATHS += ["head (Linear)", "(Model)"]


def modules(answers):
    return list(dict.fromkeys(o.module for o in answers))


def test_forward_and_backward(probe):
    model = Model()
    with probe:
        result = model(torch.randn(2, 4))
        forward = probe.read()
        result.sum().backward()
    assert modules(forward) == PATHS
    # The product with the constant eye(3) has one gradient, that of head's output; it is the module's own call.
    assert modules(probe.answers) == PATHS[::-1]


def test_a_part_called_alone_is_its_own_root(probe):
    model = Model()
    with probe:
        model(torch.randn(2, 4))
        probe.read()
        model.blocks[1](torch.randn(2, 4))
    assert modules(probe.answers) == BLOCK + ["(Block)"]


def test_outside_any_module(probe):
    with probe:
        F.linear(torch.randn(2, 4), torch.randn(4, 4))
    assert modules(probe.answers) == [""]


def test_recomputed_modules_keep_their_paths(probe):
    model = Model(checkpointed=True)
    with probe:
        result = model(torch.randn(2, 4, requires_grad=True))
        probe.read()
        result.sum().backward()
    again = [o for o in probe.answers if o.phase == "forward"]
    # torch stops the second forward once it has all it needs: before the last product of each block.
    assert sorted(modules(again)) == sorted(path for path in PATHS[:8] if "(Linear)" in path)
    assert set(modules(probe.answers)) == set(PATHS)


def test_a_replaced_module_is_named_anew(probe):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    with probe:
        model(torch.randn(2, 4))
        model[1] = nn.Sequential(nn.Linear(4, 4))
        probe.read()
        model(torch.randn(2, 4))
    assert modules(probe.answers) == ["0 (Linear)", "1.0 (Linear)"]


def test_a_module_that_is_not_registered(probe):
    class Loose(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = [nn.Linear(4, 4)]

        def forward(self, x):
            return self.parts[0](x)

    with probe:
        nn.Sequential(Loose())(torch.randn(2, 4))
    assert modules(probe.answers) == ["0.(Linear)"]


def test_an_exception_in_forward_leaves_nothing_behind(probe):
    class Failing(nn.Module):
        def forward(self, x):
            raise ValueError("from forward")

    with probe:
        for _ in range(3):
            with pytest.raises(ValueError):
                nn.Sequential(nn.Linear(4, 4), Failing())(torch.randn(2, 4))
        probe.read()
        F.linear(torch.randn(2, 4), torch.randn(4, 4))
    assert modules(probe.answers) == [""]


def test_functional_call_and_hooks_of_the_program(probe):
    model = Model()
    calls = []
    model.head.register_forward_hook(lambda *_: calls.append("hook"))
    with probe:
        torch.func.functional_call(model, dict(model.named_parameters()), (torch.randn(2, 4),))
    assert modules(probe.answers) == PATHS
    assert calls == ["hook"]


def test_threads_have_their_own_modules(probe):
    model, results = Model(), []
    with probe:
        threads = [threading.Thread(target=lambda: results.append(model(torch.randn(2, 4)))) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert set(modules(probe.answers)) == set(PATHS) and len(results) == 4


def test_compiled_with_the_eager_backend(probe):
    model = Model()
    x = torch.randn(2, 4)
    expected = model(x)
    compiled = torch.compile(model, backend="eager")
    with probe:
        result = compiled(x)
        first = probe.read()
        result = compiled(x)
        result.sum().backward()
    assert torch.equal(result, expected)
    assert torch._dynamo.utils.counters["graph_break"] == {}
    assert {o.api for o in first} == {"torch.nn.functional.linear", "torch.matmul"}
    assert all(o.location.startswith(__file__) for o in first + probe.answers)
    assert {o.phase for o in probe.answers} == {"forward", "backward"}


def test_scripted_and_traced(probe):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    x = torch.randn(2, 4)
    expected = model(x)
    for made in (torch.jit.script(model), torch.jit.trace(model, x)):
        with probe:
            result = made(x)
        assert torch.equal(result, expected)
        assert {o.api for o in probe.answers} == {"torch.nn.functional.linear"}


def test_models_are_not_kept_alive(probe):
    gone = []
    with probe:
        for _ in range(5):
            model = Model()
            model(torch.randn(2, 4)).sum().backward()
            gone.append(weakref.ref(model.blocks[0].fc1))
            del model
    gc.collect()
    assert [reference() for reference in gone] == [None] * 5
    assert set(modules(probe.answers)) == set(PATHS)


def test_models_are_copied_and_pickled_as_before(probe):
    import pickle

    model = Model()
    with probe:
        model(torch.randn(2, 4))
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with probe:
            twin(torch.randn(2, 4))
        assert modules(probe.answers) == PATHS


def test_attention_and_recurrent_layers(probe):
    model = nn.ModuleDict({"attention": nn.MultiheadAttention(8, 2), "cell": nn.GRUCell(8, 8), "rnn": nn.LSTM(8, 8)})

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = model

        def forward(self, x):
            x, _ = self.parts["attention"](x, x, x)
            return self.parts["cell"](x[0]), self.parts["rnn"](x)

    with probe:
        Whole()(torch.randn(3, 2, 8))
    found = modules(probe.answers)
    assert "parts.attention (MultiheadAttention)" in found
    assert "parts.cell (GRUCell)" in found
    assert {o.api for o in probe.answers} >= {"torch.gru_cell", "torch.nn.functional.linear"}
    assert all(o.api for o in probe.answers)
