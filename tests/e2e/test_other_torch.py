"""A torch other than the one that FuMi was built for: nothing of it is touched, the messages say what to do."""
import shutil
import sys

import pytest
from support import BUILD, DEVICE, FUMI, ROOT, Session, execute

pytestmark = pytest.mark.skipif(DEVICE != "soft", reason="the bundle for a GPU has no such libraries")
REMEDY = "build FuMi with -DFUMI_PYTHON="

PROGRAM = """
import sys, torch, fumi
a = torch.ones(8, 8)
torch.mm(a.cuda(), a.cuda())
try:
    print("compared:", fumi.compare(torch.mm, lambda x, y: x @ y, (a, a)).not_checked)
except OSError as error:
    print("cannot load:", error)
sys.exit(7)
"""


def run(fumi, session, directory, **env):
    program = directory / "program.py"
    program.write_text(PROGRAM)
    result = execute([fumi, "run", "-o", session, "--device", "soft", "--operations", "on", "--mode",
                      "trace,improve_precision,custom_function", "--", sys.executable, program], check=False,
                     PYTHONPATH=ROOT / "tools" / "python", **env)
    assert result.returncode == 7, result.stderr
    return result


def library_calls_alone(session):
    calls = Session(session).rows("select library, api, location from calls")
    assert calls and {(call["library"], call["api"], call["location"]) for call in calls} == {("cublas", "", "")}


def test_of_another_version(tmp_path):
    session = tmp_path / "s.fumi"
    result = run(FUMI, session, tmp_path, LD_PRELOAD=BUILD / "lib" / "libother_torch.so")
    (line,) = [line for line in result.stderr.splitlines() if REMEDY in line]
    assert "program has torch 2.1.0" in line and "recorded without their torch API" in line
    assert REMEDY in result.stdout.split("compared:")[1]
    library_calls_alone(session)


def test_that_cannot_be_loaded(tmp_path):
    """Its symbols are not there: the hook names the program's torch by its files."""
    import torch
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    shutil.copy(FUMI, tmp_path / "bin")
    for name in ("libfumi_cupti.so", "libsoftcuda.so"):
        shutil.copy(BUILD / "lib" / name, tmp_path / "lib")
    shutil.copy(BUILD / "lib" / "libunresolved.so", tmp_path / "lib" / "libfumi_torch.so")
    session = tmp_path / "s.fumi"
    result = run(tmp_path / "bin" / "fumi", session, tmp_path)
    assert len([m for m in result.stderr.splitlines() if REMEDY in m and torch.__version__ in m]) == 1, result.stderr
    assert "-DFUMI_PYTHON=" in result.stdout.split("cannot load:")[1]
    library_calls_alone(session)
