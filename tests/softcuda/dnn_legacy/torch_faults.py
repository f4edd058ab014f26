"""Faults planted in cuDNN's legacy functions: each kind shows in the results of its call alone, or is logged as skipped."""
import json
import os
import subprocess
import sys

import pytest

KINDS = ["round_inputs_bf16", "round_inputs_tf32", "fp16_accumulate", "one_element", "bit_flip", "drop_k", "zero_tile",
         "nan", "negate_row", "drop_bias_row", "stale_output", "swap_columns", "nondeterministic"]
IN_RESULTS = {"one_element", "bit_flip", "zero_tile", "nan", "negate_row", "swap_columns", "stale_output"}
ROUNDED = {"round_inputs_bf16", "round_inputs_tf32"}
SUMS = {"fp16_accumulate", "drop_k", "nondeterministic"}

# Phases of one process: function, what runs, whether backward too, which of the function's calls is the phase's first
# (backward runs come when no fault is left for forward), and the kinds that can be planted there beside those in any
# results.
RUNS = len(KINDS) + 1  # one for each kind, and one without a fault
PHASES = {
    "cudnnBatchNormalizationForwardTrainingEx": ("batch_norm", False, 0, ROUNDED | SUMS | {"drop_bias_row"}),
    "cudnnBatchNormalizationForwardInference": ("inference", False, 0, ROUNDED | {"drop_bias_row"}),
    "cudnnRNNForward": ("run_lstm", False, 0, ROUNDED | SUMS | {"drop_bias_row"}),
    "cudnnCTCLoss_v8": ("ctc", True, 0, ROUNDED | {"fp16_accumulate"}),
    "cudnnSpatialTfSamplerForward": ("sample", False, 0, ROUNDED | {"drop_k"}),
    "cudnnBatchNormalizationBackwardEx": ("batch_norm", True, 0, ROUNDED | SUMS),
    "cudnnRNNBackwardData_v8": ("run_lstm", True, 0, ROUNDED | SUMS),
    "cudnnRNNBackwardWeights_v8": ("run_lstm", True, RUNS, ROUNDED | SUMS),
    "cudnnSpatialTfSamplerBackward": ("sample", True, 0, ROUNDED),
}

# Every run is on the same numbers; printed is, for each phase, which of its runs gave other results than the last.
PROGRAM = """
import json, sys, torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
norm, lstm = nn.BatchNorm2d(5, momentum=0).cuda(), nn.LSTM(6, 7, 2, bidirectional=True).cuda()
nn.init.normal_(norm.bias)
x = torch.randn(3, 5, 4, 4, device="cuda", requires_grad=True)
grid = (torch.rand(3, 4, 4, 2, device="cuda") * 2 - 1).requires_grad_()
sequence = torch.randn(4, 3, 6, device="cuda", requires_grad=True)
states = [torch.randn(4, 3, 7, device="cuda", requires_grad=True) for _ in range(2)]
lengths = torch.tensor([2, 1, 2], dtype=torch.int32, device="cuda")
labels = torch.tensor([1, 2, 3, 4, 5], dtype=torch.int32, device="cuda")

def gradients(y, *leaves):
    if not backward:
        return []
    torch.manual_seed(1)
    return torch.autograd.grad(y, leaves, torch.randn_like(y))

def batch_norm():
    y = norm.train()(x)
    return [y, *gradients(y, x, *norm.parameters())]

def inference():
    with torch.no_grad():
        return [norm.eval()(x)]

def run_lstm():
    y, (h, c) = lstm(sequence, tuple(states))
    return [y, h, c, *gradients(y, sequence, *states, *lstm.parameters())]

def ctc():
    steps = torch.full((3,), 4, dtype=torch.int32, device="cuda")
    loss = F.ctc_loss(sequence.log_softmax(2), labels, steps, lengths, reduction="none")
    return [loss, *gradients(loss, sequence)]

def sample():
    y = F.grid_sample(x, grid, align_corners=True)
    return [y, *gradients(y, x, grid)]

def spoil_free_memory():  # what is never written must not hold the results of the run before
    for size in (4, 16, 64, 256, 1024) * 40:
        spoilt.append(torch.full((size,), 7.0, device="cuda"))
    spoilt.clear()

spoilt, held, answer = [], [], []
for program, backward in json.loads(sys.argv[1]):
    runs = []
    for _ in range(int(sys.argv[2])):
        spoil_free_memory()
        held.append([t.detach() for t in globals()[program]()])  # alive, or the next run's would lie where they were
        runs.append([t.cpu().view(torch.int32) for t in held[-1]])
    answer.append([any(not torch.equal(a, b) for a, b in zip(run, runs[-1])) for run in runs])
print(json.dumps(answer))
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """For each function: which of its runs changed, and the log of each kind."""
    folder = tmp_path_factory.mktemp("faults")
    faults, log = folder / "faults.yaml", folder / "log"
    faults.write_text("faults:\n" + "".join(
        f"  - {{function: {function}, kind: {kind}, nth: {first + i}, seed: 3}}\n"
        for function, (_, _, first, _) in PHASES.items() for i, kind in enumerate(KINDS, 1)), encoding="utf-8")
    phases = json.dumps([phase[:2] for phase in PHASES.values()])
    done = subprocess.run([sys.executable, "-c", PROGRAM, phases, str(RUNS)], check=True, timeout=200, text=True,
                          env=dict(os.environ, SOFTCUDA_FAULTS=str(faults), SOFTCUDA_FAULT_LOG=str(log)),
                          stdout=subprocess.PIPE)
    entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return {function: (changed, {entry["kind"]: entry for entry in entries if entry["function"] == function})
            for function, changed in zip(PHASES, json.loads(done.stdout), strict=True)}


@pytest.mark.parametrize("function", PHASES)
def test_each_kind_shows_or_is_skipped(function, outcome):
    changed, logged = outcome[function]
    planted = {kind for kind, entry in logged.items() if "skipped" not in entry}
    assert set(logged) == set(KINDS)
    assert planted == IN_RESULTS | PHASES[function][-1]
    assert {kind for kind, differs in zip(KINDS, changed) if differs} == planted
