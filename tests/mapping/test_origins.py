"""Forward and backward of each product op: api, op, line, phase."""
import pytest
import torch
from torch.nn import functional as F

R = lambda *shape: torch.randn(*shape, requires_grad=True)

CASES = {
    "torch.nn.functional.linear": lambda: F.linear(R(2, 3), R(4, 3), R(4)),
    "torch.mm": lambda: R(2, 3).mm(R(3, 4)),
    "torch.matmul": lambda: R(5, 2, 3) @ R(5, 3, 4),
    "torch.bmm": lambda: torch.bmm(R(5, 2, 3), R(5, 3, 4)),
    "torch.addmm": lambda: torch.addmm(R(4), R(2, 3), R(3, 4)),
    "torch.baddbmm": lambda: torch.baddbmm(R(5, 2, 4), R(5, 2, 3), R(5, 3, 4)),
    "torch.addbmm": lambda: torch.addbmm(R(2, 4), R(5, 2, 3), R(5, 3, 4)),
    "torch.einsum": lambda: torch.einsum("bij,bjk->bik", R(5, 2, 3), R(5, 3, 4)),
    "torch.tensordot": lambda: torch.tensordot(R(2, 3), R(3, 4), dims=1),
    "torch.nn.functional.bilinear": lambda: F.bilinear(R(2, 3), R(2, 4), R(5, 3, 4)),
    "torch.chain_matmul": lambda: torch.chain_matmul(R(2, 3), R(3, 4), R(4, 5)),
    "torch.linalg.multi_dot": lambda: torch.linalg.multi_dot([R(2, 3), R(3, 4), R(4, 5)]),
    "torch.matrix_power": lambda: torch.matrix_power(R(3, 3), 3),
    "torch.lstm_cell": lambda: torch.lstm_cell(R(2, 3), (R(2, 4), R(2, 4)), R(16, 3), R(16, 4), R(16), R(16))[0],
}


@pytest.mark.parametrize("api", CASES)
def test_api_line_and_phase(probe, here, api):
    function = CASES[api]
    with probe:
        result = function()
        forward = probe.read()
        result.sum().backward()
    location = f"{function.__code__.co_filename}:{function.__code__.co_firstlineno}"
    assert forward and {(o.api, o.location, o.phase) for o in forward} == {(api, location, "forward")}
    assert probe.answers and {(o.api, o.location, o.phase) for o in probe.answers} == {(api, location, "backward")}
    assert all(o.op.startswith("aten::") for o in forward + probe.answers)


def test_the_op_is_the_innermost(probe):
    with probe:
        F.linear(R(2, 3), R(4, 3), R(4))
    assert [o.op for o in probe.answers] == ["aten::addmm"]


def test_vectors(probe, here):
    with probe:
        torch.mv(R(2, 3), R(3)), torch.dot(R(3), R(3))
    assert [(o.api, o.op, o.location) for o in probe.answers] == [
        ("torch.mv", "aten::addmv_", here(-2)),
        ("torch.dot", "aten::dot", here(-3)),
    ]


def test_without_gradients_too(probe, here):
    with probe, torch.no_grad():
        R(2, 3).mm(R(3, 4))
    assert [(o.api, o.location, o.phase) for o in probe.answers] == [("torch.mm", here(-1), "forward")]
    with probe, torch.inference_mode():
        R(2, 3).mm(R(3, 4))
    assert [(o.api, o.location, o.phase) for o in probe.answers] == [("torch.mm", here(-1), "forward")]


def test_an_op_nobody_mapped_shows_what_it_calls(probe):
    library = torch.library.Library("fumi_test", "DEF")
    library.define("twice(Tensor a, Tensor b) -> Tensor")
    library.impl("twice", lambda a, b: torch.mm(a, b) + torch.mm(a, b), "CompositeImplicitAutograd")
    with probe:
        result = torch.ops.fumi_test.twice(R(2, 3), R(3, 4))
        forward = probe.read()
        result.sum().backward()
    assert [(o.api, o.op) for o in forward] == [("torch.mm", "aten::mm")] * 2
    assert [(o.api, o.phase) for o in probe.answers] == [("torch.mm", "backward")] * 4


def test_a_line_reached_by_two_calls(probe, here):
    def inner():
        return R(2, 3).mm(R(3, 4))

    with probe:
        inner(), inner()
    assert {o.location for o in probe.answers} == {here(-4)}


def test_generators_and_coroutines(probe, here):
    import asyncio

    def generator():
        for _ in range(2):
            yield R(2, 3).mm(R(3, 4))

    async def coroutine():
        await asyncio.sleep(0)
        return R(2, 3).mm(R(3, 4))

    with probe:
        list(generator())
        asyncio.run(coroutine())
    assert [o.location for o in probe.answers] == [here(-9)] * 2 + [here(-5)]


def test_a_relative_script_gets_its_absolute_path(probe, tmp_path, monkeypatch):
    # The script's name is relative to where the process started, not to where it has gone since.
    import os

    code = compile("import torch\ntorch.ones(2, 2).mm(torch.ones(2, 2))\n", os.path.relpath(__file__), "exec")
    monkeypatch.chdir(tmp_path)
    with probe:
        exec(code, {})
    assert [o.location for o in probe.answers] == [f"{__file__}:2"]
