"""torch's operations in a program without CUDA: started by torch's own entry point, rerun, in the session."""
import sys

import pytest
from support import PROGRAMS, ROOT, Session, execute, fumi

PROGRAM = PROGRAMS / "cpu_operations.py"


@pytest.fixture
def package(tmp_path):
    """The Python package from the source tree, with its entry point, as an installation has it."""
    metadata = tmp_path / "package" / "fumi_source-0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: fumi-source\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text('[torch.backends]\nfumi = fumi:start_with_torch\n')
    return {"PYTHONPATH": f"{ROOT / 'tools' / 'python'}:{metadata.parent}"}


def test_operations_of_a_cpu_program(tmp_path, package):
    plain = execute([sys.executable, PROGRAM], **package)
    apis = tmp_path / "apis.txt"
    apis.write_text("torch.nn.functional.*  # but not torch.sum\n")
    session = tmp_path / "cpu.fumi"
    run = fumi("run", "--device", "cuda", "--operations", "on", "--apis", apis, "--mode", "trace,improve_precision", "-o",
               session, "--", sys.executable, PROGRAM, **package)
    assert run.stdout == plain.stdout
    file = Session(session)
    rows = file.rows("select api, count(*) as calls from calls where phase = 'forward' group by api order by api")
    assert {row["api"].rsplit(".")[-1]: row["calls"] for row in rows} == {
        "cross_entropy": 3, "gelu": 3, "layer_norm": 3, "linear": 6}
    assert file.one("select count(*) from calls c join checks k using (call_id) where k.verdict = 'pass' and "
                    "c.library = 'torch' and k.mode = 'improve_precision'") == file.one("select count(*) from calls")
    linear = file.rows("select * from calls where api = 'torch.nn.functional.linear' limit 1")[0]
    assert linear["function"] == "aten::linear" and linear["module"] == "0 (Linear)"
    assert linear["location"].startswith(f"{PROGRAM}:") and linear["shape"] == "[8, 16] [32, 16] [32] -> [8, 32]"
    # Off is the default: then nothing starts in a program without CUDA.
    silent = tmp_path / "off.fumi"
    fumi("run", "--device", "cuda", "-o", silent, "--", sys.executable, "-c", "import torch", **package)
    assert not silent.exists()
