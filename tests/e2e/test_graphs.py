"""CUDA graphs: captured checks are recorded once and count every launch."""
from support import Session, run

PROGRAM = """
import torch
a, b = torch.randn(64, 48).cuda(), torch.randn(48, 32).cuda()
stream = torch.cuda.Stream()
with torch.cuda.stream(stream):
    torch.mm(a, b)
torch.cuda.synchronize()
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph, stream=stream):
    c = torch.mm(a, b)
for i in range(5):
    a.fill_(i + 1.0)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.allclose(c, a @ b, atol=1e-3), i
print("replayed")
"""


def test_replays_are_counted_and_checked(tmp_path):
    program = tmp_path / "graph.py"
    program.write_text(PROGRAM)
    result = run(tmp_path / "s.fumi", program)
    assert "replayed" in result.stdout
    session = Session(tmp_path / "s.fumi")
    assert session.one("select count(*) from calls") == 7  # one warm-up, one captured, five comparisons
    assert session.rows("select reason from checks where verdict <> 'pass'") == []
    assert session.one("select max(elements) from checks") == 5 * 64 * 32
