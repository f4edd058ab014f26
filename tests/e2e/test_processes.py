"""Jobs of several processes under one `fumi run`: every process keeps its session."""
import sys

from support import DEVICE, Session, fumi

PROGRAM = """
import sys, torch
for _ in range(int(sys.argv[1])):
    torch.mm(torch.ones(8, 8).cuda(), torch.ones(8, 8).cuda())
torch.cuda.synchronize()
"""


def test_processes_one_after_another_and_at_once(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    python = f"{sys.executable} {program}"
    result = fumi("run", "-o", tmp_path / "job.fumi", "--device", DEVICE, "--mode", "trace,improve_precision", "--", "sh", "-c",
                  f"{python} 1; {python} 2 & {python} 4; wait")
    sessions = sorted(tmp_path.glob("job*.fumi"))
    assert len(sessions) == 3 and tmp_path / "job.fumi" in sessions
    counts = sorted(Session(path).one("select count(*) from calls where not_checked = ''") for path in sessions)
    assert counts == [1, 2, 4]
    for path in sessions:
        assert path.name in result.stderr
