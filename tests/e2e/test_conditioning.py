"""Ill-conditioned data is told apart from a wrong kernel, and one wrong element that does not come again is found."""
import json

import pytest

from support import DEVICE, EVERY_MODE, Session, run

pytestmark = pytest.mark.skipif(DEVICE != "soft", reason="plants faults in the software device")

PROGRAM = """
import torch
torch.manual_seed(5)
a, b = torch.randn(48, 128), torch.randn(128, 40)
# The second half of K takes away what the first half adds, but for a part in 2^18.
a, b = torch.cat([a, -a * (1 + 2.0**-18)], 1).cuda(), torch.cat([b, b]).cuda()
kept = [torch.mm(a, b), torch.mm(a, b)]
x, y = torch.randn(64, 1024).cuda(), torch.randn(1024, 64).cuda()
kept += [torch.mm(x, y) for _ in range(6)]
torch.cuda.synchronize()
"""
CALLS = 7  # of the library for one of the program: its own, its repetition and 5 on noisy inputs


def session_of(tmp_path, *faults):
    program, planted, log = tmp_path / "products.py", tmp_path / "faults.yaml", tmp_path / "faults.log"
    program.write_text(PROGRAM)
    planted.write_text("faults:\n" + "".join(f"  - {fault}\n" for fault in faults))
    checked = run(tmp_path / "s.fumi", program, mode=EVERY_MODE, options=("--profile", "thorough"),
                  SOFTCUDA_FAULTS=planted, SOFTCUDA_FAULT_LOG=log)
    return Session(tmp_path / "s.fumi"), [json.loads(line) for line in log.read_text().splitlines()], checked.stderr


def test_cancelling_data_pass_and_a_dropped_product_fails(tmp_path):
    session, log, summary = session_of(tmp_path, f"{{function: 'cublas*', kind: drop_k, nth: {CALLS + 1}, args: {{k: 5}}}}")
    assert len(log) == 1
    first, second = [row[0] for row in session.rows("select call_id from calls where shape like '%256%' order by 1")]
    checks = "select verdict, amplification, reason from checks where call_id = ? and mode = 'improve_precision'"
    (clean,), (dropped,) = session.rows(checks, first), session.rows(checks, second)
    assert clean["verdict"] == "pass" and "come from the data" in clean["reason"]
    assert clean["amplification"] > 1e4
    assert dropped["verdict"] == "fail" and "not of the data" in dropped["reason"]
    assert session.failing_calls() == [second]
    # What noise says of the data is the same for both, and a warning for no other call.
    noise = session.rows("select call_id, amplification from checks where verdict = 'warn' and mode = 'add_noise'")
    assert [row[0] for row in noise] == [first, second]
    assert noise[0][1] > 1e4 and abs(noise[1][1] / noise[0][1] - 1) < 0.2
    assert session.one("select count(*) from checks where verdict = 'warn'") == 2
    assert "cause: the data, not the kernel: eta" in summary and "cause: the kernel, on data that are ill-conditioned" in summary


def test_one_element_off_by_a_thousandth_is_found_once_whatever_its_size(tmp_path):
    session, log, _ = session_of(tmp_path, *(f"{{function: 'cublas*', kind: one_element, nth: {CALLS * call + 1}, "
                                             f"args: {{size: 1.0e-3}}, seed: {call}}}" for call in (2, 4, 6)))
    assert len(log) == 3
    assert len(session.failing_calls()) == 3
    found = session.rows("select mismatches from checks where mode = 'repeat' and verdict = 'fail'")
    assert [row[0] for row in found] == [1, 1, 1]
