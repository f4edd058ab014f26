"""The first call whose output is not finite is named, and whether its inputs had NaN or infinity already."""
import pytest

from support import DEVICE, PROGRAMS, Session, run


def blow_up(tmp_path, kind, mode="trace,improve_precision,checksum", **env):
    config = tmp_path / "config.yaml"
    config.write_text("profile: always_on\nlimits: {overhead: 0%}\n")  # no call is left out
    result = run(tmp_path / "s.fumi", PROGRAMS / "blow_up.py", kind, mode=mode, options=("--config", config), **env)
    session = Session(tmp_path / "s.fumi")
    return session.rows("select * from nonfinite"), session, result.stdout + result.stderr


def test_a_loss_that_blows_up_outside_of_the_libraries(tmp_path):
    rows, session, text = blow_up(tmp_path, "log_of_zero")
    assert rows[0]["inputs"] == "not finite" and rows[0]["phase"] == "backward"
    assert session.failing_calls() == []
    assert f"first in call {rows[0]['call_id']}, torch.nn.functional.linear backward" in text
    assert "its inputs already had NaN or infinity" in text


@pytest.mark.parametrize("kind, api", [("product", "torch.nn.functional.linear"), ("convolution", "torch.nn.functional.conv2d")])
def test_a_sum_that_leaves_the_range(tmp_path, kind, api):
    rows, session, text = blow_up(tmp_path, kind)
    assert (rows[0]["api"], rows[0]["phase"], rows[0]["inputs"]) == (api, "forward", "finite")
    assert rows[1]["inputs"] == "not finite", "what comes after has it from there"
    assert session.failing_calls() == []
    assert f"first in call {rows[0]['call_id']}, {api} forward" in text and "its sums leave the range of their type" in text


@pytest.mark.skipif(DEVICE != "soft", reason="only the software device plants faults")
def test_a_kernel_that_makes_a_nan(tmp_path):
    faults = tmp_path / "faults.yaml"
    faults.write_text("faults:\n  - {function: 'cublas*', kind: nan, nth: 8, seed: 1}\n")
    rows, session, text = blow_up(tmp_path, "none", SOFTCUDA_FAULTS=faults)
    assert rows[0]["inputs"] == "finite" and session.failing_calls() == [rows[0]["call_id"]]
    assert "the kernel made it" in text
