"""Every kind of fault, planted in one call each of what cuDNN computes, is found in that call and in no other."""
import json

import pytest
import yaml

from support import DEVICE, PROGRAMS, Session, run

pytestmark = pytest.mark.skipif(DEVICE != "soft", reason="only the software device plants faults")

KINDS = ["round_inputs_bf16", "round_inputs_tf32", "fp16_accumulate", "one_element", "bit_flip", "drop_k", "zero_tile", "nan",
         "negate_row", "drop_bias_row", "stale_output", "swap_columns", "nondeterministic"]
GRAPH = "cudnnBackendExecute"
TARGETS = {
    "convolution": [{"function": GRAPH, "operation": f"convolution_{direction}"}
                    for direction in ("forward", "backward_data", "backward_filter")],
    "batch_norm": [{"function": f"cudnnBatchNormalization{direction}Ex"} for direction in ("ForwardTraining", "Backward")],
    "lstm": [{"function": "cudnnRNNForward"}, {"function": "cudnnRNNBackwardData_v8"}, {"function": "cudnnRNNBackwardWeights_v8"}],
    "attention": [{"function": GRAPH, "operation": f"attention_{direction}"} for direction in ("forward", "backward")],
}
# A thousandth of fp16, the default, is two units in its last place: attention may be off by that.
ARGUMENTS = {("attention", "one_element"): {"size": 0.02}}
# The gradients of a recurrent network stand on what its forward call kept: where that is at fault they are not judged, so
# the faults of the two lie in different networks. Those of both gradients lie in the same ones: the gradient of the weights
# stands on what the other call kept.
LATER = {"cudnnRNNBackwardData_v8", "cudnnRNNBackwardWeights_v8"}
CASES = [("convolution", "float32"), ("convolution", "bfloat16"), ("batch_norm", "float32"), ("lstm", "float32"),
         ("attention", "float16")]


@pytest.mark.parametrize("layer, dtype", CASES)
def test_faults_are_found_in_their_calls_only(tmp_path, layer, dtype):
    first = {target["function"]: 2 + len(KINDS) * (target["function"] in LATER) for target in TARGETS[layer]}
    rules = [{**target, "kind": kind, "nth": first[target["function"]] + i, "seed": 1, "args": ARGUMENTS.get((layer, kind), {})}
             for target in TARGETS[layer] for i, kind in enumerate(KINDS)]
    (tmp_path / "faults.yaml").write_text(yaml.safe_dump({"faults": rules}))
    run(tmp_path / "s.fumi", PROGRAMS / "many_layers.py", layer, dtype, max(first.values()) + len(KINDS) + 1,
        SOFTCUDA_FAULTS=tmp_path / "faults.yaml", SOFTCUDA_FAULT_LOG=tmp_path / "log")
    session = Session(tmp_path / "s.fumi")
    planted = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    planted_in = tuple({target["function"] for target in TARGETS[layer]})
    unchecked = session.rows("select function, shape, not_checked from calls where not_checked <> ''")
    assert [tuple(row) for row in unchecked if row["function"] in planted_in] == []
    calls = {function: [row[0] for row in session.rows("select call_id from calls where function = ? order by call_id", function)]
             for function in {line["function"] for line in planted}}
    guilty = {calls[line["function"]][line["function_ordinal"] - 1]: line["kind"] for line in planted if "skipped" not in line}
    assert len(guilty) >= 9 * len(TARGETS[layer])
    failing = set(session.failing_calls())
    shapes = dict(session.rows("select call_id, shape from calls"))
    assert [(guilty[call], shapes[call]) for call in sorted(set(guilty) - failing)] == [], "not found"
    assert [shapes[call] for call in sorted(failing - set(guilty))] == [], "false alarms"
