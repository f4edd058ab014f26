"""torch's operations on CUDA tensors beside their library calls: rerun, counted once, and not changed by a bit."""
import json

import pytest
from support import DEVICE, PROGRAMS, Session, fumi, plain, run

PROGRAM = PROGRAMS / "cuda_operations.py"
OPERATIONS = ("--operations", "on")


def test_training_is_the_same_and_calls_are_counted_once(tmp_path):
    path = tmp_path / "cuda.fumi"
    bare = plain(PROGRAM)
    watched = run(path, PROGRAM, options=OPERATIONS)
    assert watched.stdout == bare.stdout
    session = Session(path)
    assert session.rows("select function, reason from checks join calls using (call_id) where verdict not in ('pass', '')") == []
    # While torch.compile traces, its tensors are a subclass.
    assert session.rows("select function, not_checked from calls where library = 'torch' and not_checked not in "
                        "('', 'a tensor subclass or a transform of torch.func')") == []
    for phase in ("forward", "backward"):
        assert session.one("select count(*) from calls where library = 'torch' and phase = ? and dtypes like '%bf16%'", phase)
    # FuMi's own library calls, in fp64, are nobody's.
    assert session.one("select count(*) from calls where library <> 'torch' and dtypes like '%fp64%'") == 0
    children = session.rows("select c.*, p.function as of from calls c join calls p on p.call_id = c.parent")
    assert {row["of"] for row in children} >= {"aten::linear", "aten::mm"}
    assert all(row["library"] != "torch" and row["api"] for row in children)
    roots = session.one("select count(*) from calls where parent = 0")
    groups = json.loads(fumi("stats", path, "--by", "api", "--format", "json").stdout)
    assert sum(group["calls"] for group in groups) == roots
    assert f" {roots} seen" in watched.stdout + watched.stderr


@pytest.mark.skipif(DEVICE != "soft", reason="only the software device plants faults")
def test_a_fault_of_the_library_fails_its_operation_too(tmp_path):
    faults = tmp_path / "faults.yaml"  # the 2nd is FuMi's own: a part of the first one's absolute products
    faults.write_text("faults:\n  - {function: cublasSgemm*, kind: negate_row, nth: 3, seed: 1}\n")
    run(tmp_path / "s.fumi", PROGRAM, options=OPERATIONS, SOFTCUDA_FAULTS=faults)
    rows = Session(tmp_path / "s.fumi").rows("select distinct c.call_id, c.library, c.parent from calls c join checks using "
                                             "(call_id) where verdict = 'fail' order by c.library")
    assert [row["library"] for row in rows] == ["cublas", "torch"] and rows[0]["parent"] == rows[1]["call_id"]
