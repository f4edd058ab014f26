"""What precision was really used: TF32 tensor cores against fp32, as the report says it."""
import re

import pytest

from support import DEVICE, Session, execute, FUMI, run

PROGRAM = """
import sys, torch
torch.backends.cuda.matmul.allow_tf32 = sys.argv[1] == "on"
torch.manual_seed(3)
for n in (256, 384):
    torch.mm(torch.randn(n, 512).cuda(), torch.randn(512, n).cuda())
    torch.nn.functional.linear(torch.randn(n, 512).cuda(), torch.randn(n, 512).cuda(), torch.randn(n).cuda())
torch.cuda.synchronize()
"""


@pytest.mark.parametrize("allow, low, high", [("on", 10.6, 11.6), ("off", 20.0, 30.0)])
def test_effective_bits(tmp_path, allow, low, high):
    program = tmp_path / "products.py"
    program.write_text(PROGRAM)
    extra = {"SOFTCUDA_NUMERICS": "tensorcore"} if DEVICE == "soft" else {}
    run(tmp_path / "s.fumi", program, allow, **extra)
    session = Session(tmp_path / "s.fumi")
    bits = [row[0] for row in session.rows("select effective_bits from checks")]
    assert len(bits) == 4 and all(low <= b <= high for b in bits), bits
    reasons = [row[0] for row in session.rows("select reason from checks where verdict = 'pass'")]
    # Rounded to nearest, as an H200 does, fp16 has the same bits.
    named = [re.search(r"inputs as TF32( or fp16)? \(11 bits", reason) is not None for reason in reasons]
    assert named == [allow == "on"] * 4, reasons
    report = tmp_path / "report.html"
    execute([FUMI, "report", tmp_path / "s.fumi", "-o", report])
    assert f"{min(bits):.1f}" in report.read_text()


@pytest.mark.skipif(DEVICE != "soft", reason="plants a fault in the software device")
def test_tf32_passed_off_as_fp32_is_named(tmp_path):
    program = tmp_path / "products.py"
    program.write_text(PROGRAM)
    faults = tmp_path / "faults.yaml"
    faults.write_text('faults:\n  - {function: "*", kind: round_inputs_tf32, every: 1, seed: 1}\n')
    run(tmp_path / "s.fumi", program, "off", SOFTCUDA_FAULTS=faults)
    reasons = [row[0] for row in Session(tmp_path / "s.fumi").rows("select reason from checks where verdict = 'fail'")]
    wanted = "reduced precision: promised fp32 FMA, found inputs as TF32"
    assert len(reasons) == 4 and all(wanted in r for r in reasons), reasons
