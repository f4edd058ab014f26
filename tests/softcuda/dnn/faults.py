"""Planted faults in what cudnnBackendExecute runs: each kind in the one call that is due, nowhere else, and logged."""
import json
import os
import subprocess
import sys

import pytest

KINDS = ["round_inputs_bf16", "round_inputs_tf32", "fp16_accumulate", "one_element", "bit_flip", "drop_k", "zero_tile", "nan",
         "negate_row", "drop_bias_row", "stale_output", "swap_columns", "nondeterministic"]
CONVOLUTIONS = ["convolution_forward", "convolution_backward_data", "convolution_backward_filter"]
ATTENTIONS = ["attention_forward", "attention_backward"]

# Prints, for each round, which results differ from those of a round without faults.
CONVOLVE = """
import json, sys, torch
import torch.nn.functional as F
torch.manual_seed(0)
x, w = torch.randn(2, 4, 9, 9).cuda().requires_grad_(), torch.randn(6, 2, 3, 3).cuda().requires_grad_()
def step():
    x.grad = w.grad = None
    stale = [torch.full((2, 6, 5, 5), 7.0, device="cuda"), torch.full_like(x, 7), torch.full_like(w, 7)]
    del stale  # what a result that is never written shows
    y = F.conv2d(x, w, stride=2, padding=1, groups=2)
    y.backward(torch.ones_like(y) * 0.5)
    return [t.detach().cpu().double().nan_to_num(123.0) for t in (y, x.grad, w.grad)]
rounds = [step() for _ in range(int(sys.argv[1]))]
print(json.dumps([[not torch.equal(a, b) for a, b in zip(r, rounds[-1])] for r in rounds]))
"""
ATTEND = """
import json, sys, torch
import torch.nn.functional as F
torch.manual_seed(0)
q, k, v = (torch.randn(2, 2, 64, 32, dtype=torch.float16).cuda().requires_grad_() for _ in range(3))
def spoil():
    stale = [torch.full_like(q, 7) for _ in range(8)]  # what a result that is never written shows
def forward():
    spoil()
    return [F.scaled_dot_product_attention(q, k, v).detach().cpu().double().nan_to_num(123.0)]
def backward():
    q.grad = k.grad = v.grad = None
    y = F.scaled_dot_product_attention(q, k, v)
    g = torch.ones_like(y).cumsum(-1)
    spoil()
    y.backward(g)
    return [y.detach().cpu().double()] + [t.grad.cpu().double().nan_to_num(123.0) for t in (q, k, v)]
n = int(sys.argv[1])
first, second = [forward() for _ in range(n)], [backward() for _ in range(n)]
differ = lambda rounds: [[not torch.equal(a, b) for a, b in zip(r, rounds[-1])] for r in rounds]
print(json.dumps([[any(a), b[0], any(b[1:])] for a, b in zip(differ(first), differ(second))]))
"""
FUSED = """
import json, sys, torch
torch.manual_seed(0)
x, w, b = torch.randn(2, 4, 9, 9).cuda(), torch.randn(6, 4, 3, 3).cuda(), torch.randn(6).cuda() + 2
rounds = [torch.cudnn_convolution_relu(x, w, b, [1, 1], [1, 1], [1, 1], 1).cpu() for _ in range(int(sys.argv[1]))]
print(json.dumps([[c for c in range(6) if not torch.equal(r[:, c], rounds[-1][:, c])] for r in rounds]))
"""


def run(tmp_path, program, rounds, faults):
    """What the program prints, and the fault log."""
    file, log = tmp_path / "faults.yaml", tmp_path / "log.jsonl"
    file.write_text(json.dumps({"faults": faults}))  # JSON is YAML
    environment = dict(os.environ, SOFTCUDA_FAULTS=str(file), SOFTCUDA_FAULT_LOG=str(log))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(rounds)], env=environment, check=True,
                          capture_output=True, text=True)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return json.loads(done.stdout.splitlines()[-1]), lines


def rules(operations):
    return [{"function": "cudnnBackend*", "operation": operation, "kind": kind, "nth": i + 1, "seed": 3}
            for operation in operations for i, kind in enumerate(KINDS)]


def planted(lines, operation, kind):
    """Whether the one line about it says that it was planted."""
    mine = [line for line in lines if line["operation"] == operation and line["kind"] == kind]
    assert len(mine) == 1 and mine[0]["function"] == "cudnnBackendExecute"
    assert mine[0]["matching_ordinal"] == KINDS.index(kind) + 1
    return "skipped" not in mine[0]


def test_convolutions(tmp_path):
    differ, lines = run(tmp_path, CONVOLVE, len(KINDS) + 1, rules(CONVOLUTIONS))
    for i, kind in enumerate(KINDS):
        # A bias is added by another kernel; TF32 has no fewer bits than itself.
        expected = kind != "drop_bias_row" and not (
            kind == "round_inputs_tf32" and os.environ.get("SOFTCUDA_NUMERICS") == "tensorcore")
        for j, operation in enumerate(CONVOLUTIONS):
            if operation == "convolution_backward_data" and kind.startswith("round_inputs") and expected:
                assert planted(lines, operation, kind) == differ[i][j]  # the gradient is 0.5, exact in any type
                continue
            assert planted(lines, operation, kind) == expected, (operation, kind)
            assert differ[i][j] == expected, (operation, kind)
    assert differ[-1] == [False] * 3


def test_attention(tmp_path):
    differ, lines = run(tmp_path, ATTEND, len(KINDS) + 1,
                        rules(ATTENTIONS))
    for i, kind in enumerate(KINDS):
        expected = kind not in ("drop_bias_row", "round_inputs_tf32")
        for j, operation in ((0, "attention_forward"), (2, "attention_backward")):
            assert planted(lines, operation, kind) == expected, (operation, kind)
            assert differ[i][j] == expected, (operation, kind)
        assert not differ[i][1]
    assert differ[-1] == [False] * 3


def test_bias_of_a_fused_convolution(tmp_path):
    rule = {"function": "cudnnBackendExecute", "operation": "convolution_forward", "kind": "drop_bias_row", "nth": 2}
    differ, lines = run(tmp_path, FUSED, 3, [rule])
    assert len(lines) == 1
    assert differ == [[], [lines[0]["row"]], []]


@pytest.mark.parametrize("key, value", [("operation", "attention_*"), ("shape", "m=7,n=*,k=*")])
def test_what_is_not_selected_stays(tmp_path, key, value):
    rule = {"function": "cudnnBackendExecute", "kind": "zero_tile", "every": 1, key: value}
    file, log = tmp_path / "faults.yaml", tmp_path / "log.jsonl"
    file.write_text(json.dumps({"faults": [rule]}))
    environment = dict(os.environ, SOFTCUDA_FAULTS=str(file), SOFTCUDA_FAULT_LOG=str(log))
    subprocess.run([sys.executable, "-W", "ignore", "-c", CONVOLVE, "2"], env=environment, check=True, capture_output=True)
    assert not log.exists()
