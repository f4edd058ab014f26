"""Every kind of fault, each planted in one call of 200, is found in that call and in no other.

The kinds share a run, each in a call of its own (the products are independent of one another).
FUMI_FAULTS_ALONE=1 gives each kind a run of its own instead: 26 runs, some minutes.
"""
import json
import os

import pytest

from support import DEVICE, PROGRAMS, Session, run

pytestmark = pytest.mark.skipif(DEVICE != "soft", reason="only the software device plants faults")

KINDS = ["round_inputs_bf16", "round_inputs_tf32", "fp16_accumulate", "one_element", "bit_flip", "drop_k", "zero_tile", "nan",
         "negate_row", "drop_bias_row", "stale_output", "swap_columns", "nondeterministic"]
# Rounding bf16 or TF32 data (of bf16 operands) to bf16 or TF32 changes nothing: no fault to find.
NOTHING_TO_ROUND = {("bfloat16", "round_inputs_bf16"), ("bfloat16", "round_inputs_tf32")}
# Not the first calls of their kinds, and no call twice: the 25th cublasLtMatmul, one with a bias, is the 98th call.
RULES = {kind: ("cublasLtMatmul", 25) if kind == "drop_bias_row" else ("cublas*", 98 + 3 * at) for at, kind in enumerate(KINDS, 1)}


def planted(tmp_path, dtype, kinds):
    faults, log = tmp_path / "faults.yaml", tmp_path / "faults.log"
    faults.write_text("faults:\n" + "".join(f"  - {{function: {RULES[kind][0]}, kind: {kind}, nth: {RULES[kind][1]}, seed: 1}}\n"
                                            for kind in kinds))
    run(tmp_path / "s.fumi", PROGRAMS / "many_products.py", dtype, SOFTCUDA_FAULTS=faults, SOFTCUDA_FAULT_LOG=log)
    return Session(tmp_path / "s.fumi"), [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kinds", [[kind] for kind in KINDS] if os.environ.get("FUMI_FAULTS_ALONE") else [KINDS],
                         ids=lambda kinds: kinds[0] if len(kinds) == 1 else "together")
def test_fault_is_found_in_its_call_only(tmp_path, dtype, kinds):
    session, log = planted(tmp_path, dtype, kinds)
    assert sorted(entry["kind"] for entry in log) == sorted(kinds)
    assert session.one("select count(*) from calls") == 200
    skipped = {entry["kind"] for entry in log if "skipped" in entry}
    assert skipped == {kind for kind in kinds if (dtype, kind) in NOTHING_TO_ROUND}
    guilty = set()
    for call in session.failing_calls():
        function = session.one("select function from calls where call_id = ?", call)
        guilty.add((function, session.one("select count(*) from calls where function = ? and call_id <= ?", function, call)))
    assert guilty == {(entry["function"], entry["function_ordinal"]) for entry in log if "skipped" not in entry}
    assert len(guilty) == len(kinds) - len(skipped)
