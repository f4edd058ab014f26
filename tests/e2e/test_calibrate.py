"""fumi calibrate recovers the constants that the software device's arithmetic has, and a run uses them."""
import pytest

from support import DEVICE, Session, execute, FUMI, run

PROGRAM = """
import torch
torch.mm(torch.randn(64, 64, dtype=torch.bfloat16).cuda(), torch.randn(64, 64, dtype=torch.bfloat16).cuda())
torch.cuda.synchronize()
"""
CHAIN = {"fused_products: 1,", "sums: rounded"}
WANTED = {
    "ieee": {"fp32": CHAIN | {"accumulator_bits: 24"}, "tf32": CHAIN, "bf16": CHAIN, "fp16": CHAIN,
             "fp64": CHAIN | {"accumulator_bits: 53"}},
    "tensorcore": {"fp32": CHAIN, "tf32": {"fraction_bits: 25, fused_products: 8, accumulator_bits: 24, sums: truncated"},
                   "bf16": {"fraction_bits: 25, fused_products: 16, accumulator_bits: 24, sums: truncated"},
                   "fp16": {"fraction_bits: 25, fused_products: 16, accumulator_bits: 24, sums: truncated"},
                   "fp16_sums": {"fused_products: 16, accumulator_bits: 11, sums: rounded"}},
}


@pytest.mark.skipif(DEVICE != "soft", reason="what is right is known of the software device alone")
@pytest.mark.parametrize("numerics", WANTED)
def test_constants_are_recovered_and_used(tmp_path, numerics):
    file = tmp_path / "calibration.yaml"
    execute([FUMI, "calibrate", "--device", "soft", "-o", file], SOFTCUDA_NUMERICS=numerics)
    text = file.read_text()
    units = dict(line.strip().split(": ", 1) for line in text.splitlines() if "{" in line)
    for unit, parts in WANTED[numerics].items():
        assert all(part in units[unit] for part in parts), (unit, text)
    assert f"tf32_inputs: {'kept' if numerics == 'ieee' else 'truncated'}" in text
    if numerics == "ieee":
        return
    program = tmp_path / "product.py"
    program.write_text(PROGRAM)
    run(tmp_path / "s.fumi", program, options=["--calibration", file], SOFTCUDA_NUMERICS=numerics)
    session = Session(tmp_path / "s.fumi")
    assert session.rows("select value from session where key = 'calibration'")[0][0] == text
    assert "calibrated" in session.rows("select reason from checks")[0][0]
