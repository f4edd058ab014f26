"""Every kind of fault planted in one call of 200 is found in that call and in no other."""
import json

import pytest

from support import DEVICE, PROGRAMS, Session, run

pytestmark = pytest.mark.skipif(DEVICE != "soft", reason="only the software device plants faults")

KINDS = ["round_inputs_bf16", "round_inputs_tf32", "fp16_accumulate", "one_element", "bit_flip", "drop_k", "zero_tile", "nan",
         "negate_row", "drop_bias_row", "stale_output", "swap_columns", "nondeterministic"]
# Rounding bf16 or TF32 data (of bf16 operands) to bf16 or TF32 changes nothing: no fault to find.
NOTHING_TO_ROUND = {("bfloat16", "round_inputs_bf16"), ("bfloat16", "round_inputs_tf32")}
NTH = 98  # not the first call of its kind, and one with a bias among cublasLtMatmul's


def planted(tmp_path, dtype, kind):
    function, nth = ("cublasLtMatmul", 25) if kind == "drop_bias_row" else ("cublas*", NTH)
    faults, log = tmp_path / "faults.yaml", tmp_path / "faults.log"
    faults.write_text(f"faults:\n  - function: {function}\n    kind: {kind}\n    nth: {nth}\n    seed: 1\n")
    run(tmp_path / "s.fumi", PROGRAMS / "many_products.py", dtype, SOFTCUDA_FAULTS=faults, SOFTCUDA_FAULT_LOG=log)
    return Session(tmp_path / "s.fumi"), [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_fault_is_found_in_its_call_only(tmp_path, dtype, kind):
    session, log = planted(tmp_path, dtype, kind)
    assert len(log) == 1 and log[0]["kind"] == kind
    assert session.one("select count(*) from calls") == 200
    if (dtype, kind) in NOTHING_TO_ROUND:
        assert "skipped" in log[0] and session.failing_calls() == []
        return
    (guilty,) = session.failing_calls()
    function = session.one("select function from calls where call_id = ?", guilty)
    ordinal = session.one("select count(*) from calls where function = ? and call_id <= ?", function, guilty)
    assert (function, ordinal) == (log[0]["function"], log[0]["function_ordinal"])
