"""What goes wrong around FuMi: one clear message each, and the program runs to its own exit status."""
import sys

import pytest

from support import DEVICE, HOOK, TRAIN_GPT, Session, fumi, plain, run

PROGRAM = """
import sys, torch
torch.mm(torch.ones(8, 8).cuda(), torch.ones(8, 8).cuda())
torch.cuda.synchronize()
print("ran")
sys.exit(7)
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def messages(result):
    return [line for line in result.stderr.splitlines() if "fumi" in line.lower()]


def test_a_bad_config_names_its_line_and_the_nearest_key(tmp_path, program):
    config = tmp_path / "bad.yaml"
    config.write_text("modes: [trace]\nlimits:\n  scrach: 1MiB\n")
    result = run(tmp_path / "s.fumi", program, options=["-c", config], check=False)
    assert result.returncode == 7 and "ran" in result.stdout
    (line,) = [m for m in messages(result) if "bad.yaml:3:3" in m]
    assert "scrach" in line and "scratch" in line


def test_a_bad_config_named_to_the_hook_alone(tmp_path, program):
    config = tmp_path / "bad.yaml"
    config.write_text("modes: [trase]\n")
    result = plain(program, inject=HOOK, check=False, cwd=tmp_path, env={"FUMI_CONFIG": str(config)})
    assert result.returncode == 7 and "ran" in result.stdout
    assert len([m for m in messages(result) if "bad.yaml:1" in m and "trace" in m]) == 1


def test_an_unwritable_output_directory(tmp_path, program):
    blocker = tmp_path / "file"
    blocker.write_text("not a directory")
    result = run(blocker / "s.fumi", program, check=False)
    assert result.returncode == 7 and "ran" in result.stdout
    assert len([m for m in messages(result) if str(blocker) in m]) >= 1


@pytest.mark.skipif(DEVICE != "soft", reason="the software device plays the other subscriber")
def test_a_taken_cupti_slot_costs_kernel_names_only(tmp_path, program):
    result = run(tmp_path / "s.fumi", program, check=False, SOFTCUDA_CUPTI_TAKEN="nsys")
    assert result.returncode == 7 and "ran" in result.stdout
    assert len([m for m in messages(result) if "CUPTI" in m and "nsys" in m]) == 1
    session = Session(tmp_path / "s.fumi")
    assert session.one("select verdict from checks") == "pass" and session.one("select kernel from calls") == ""


def test_a_python_without_torch(tmp_path):
    program = tmp_path / "no_torch.py"
    program.write_text("import sys\nsys.modules['torch'] = None\ntry:\n    import torch\nexcept ImportError as e:\n"
                       "    print(e); sys.exit(9)\n")
    result = fumi("run", "-o", tmp_path / "s.fumi", "--device", DEVICE, "--", sys.executable, "-S", program, check=False)
    assert result.returncode == 9
    assert len([m for m in messages(result) if "no CUDA" in m or "no calls" in m or "no session" in m]) == 1


def test_the_programs_own_exit_status_and_fail_on(tmp_path):
    assert run(tmp_path / "a.fumi", TRAIN_GPT, "--steps", 1, options=["--fail-on", "fail"]).returncode == 0
    if DEVICE != "soft":
        return
    faults = tmp_path / "faults.yaml"
    faults.write_text("faults:\n  - function: cublas*\n    kind: nan\n    nth: 5\n")
    result = run(tmp_path / "b.fumi", TRAIN_GPT, "--steps", 1, options=["--fail-on", "fail"], check=False, SOFTCUDA_FAULTS=faults)
    assert result.returncode == 3
