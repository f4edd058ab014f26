"""torch's operations in a program without CUDA: started by torch's own entry point, rerun, in the session."""
import sys

import pytest
from support import PROGRAMS, Session, execute, fumi, installed_package

PROGRAM = PROGRAMS / "cpu_operations.py"


@pytest.fixture
def package(tmp_path):
    return installed_package(tmp_path)


def test_operations_of_a_cpu_program(tmp_path, package):
    plain = execute([sys.executable, PROGRAM], **package)
    apis = tmp_path / "apis.txt"
    apis.write_text("torch.nn.functional.*  # but not torch.sum\n")
    session = tmp_path / "cpu.fumi"
    run = fumi("run", "--device", "cuda", "--operations", "forward", "--apis", apis, "--mode", "trace,improve_precision", "-o",
               session, "--", sys.executable, PROGRAM, **package)
    assert run.stdout == plain.stdout
    file = Session(session)
    rows = file.rows("select api, count(*) as calls from calls where phase = 'forward' group by api order by api")
    assert {row["api"].rsplit(".")[-1]: row["calls"] for row in rows} == {
        "cross_entropy": 3, "dropout": 3, "gelu": 3, "layer_norm": 3, "linear": 6}
    assert file.one("select count(*) from calls c join checks k using (call_id) where k.verdict = 'pass' and "
                    "c.library = 'torch' and k.mode = 'improve_precision'") == file.one("select count(*) from calls")
    assert file.one("select count(*) from calls where phase = 'backward'") == 0
    linear = file.rows("select * from calls where api = 'torch.nn.functional.linear' limit 1")[0]
    assert linear["function"] == "aten::linear" and linear["module"] == "0 (Linear)"
    assert linear["location"].startswith(f"{PROGRAM}:") and linear["shape"] == "[8, 16] [32, 16] [32] -> [8, 32]"
    # Off is the default: then nothing starts in a program without CUDA.
    silent = tmp_path / "off.fumi"
    fumi("run", "--device", "cuda", "-o", silent, "--", sys.executable, "-c", "import torch", **package)
    assert not silent.exists()


# Of each training, what its forward pass is made of.
TRAININGS = {"mlp": {"linear", "relu", "cross_entropy"},
             "resnet18": {"conv2d", "batch_norm", "relu", "adaptive_avg_pool2d", "linear", "cross_entropy"},
             "gpt": {"embedding", "linear", "layer_norm", "gelu", "softmax", "matmul", "cross_entropy"}}


def test_trainings_are_the_same_and_right(tmp_path, package):
    program = [sys.executable, PROGRAMS / "train_on_cpu.py", *TRAININGS, "--steps", "3", "--batch", "4", "--narrow", "8"]
    plain = execute(program, **package).stdout
    expected = {f"torch.nn.functional.{name}" if name != "matmul" else "torch.matmul" for names in TRAININGS.values() for name in names}

    def watched(name, *options):
        run = fumi("run", "--device", "cuda", "-q", "-o", tmp_path / name, *options, "--", *program, **package)
        assert run.stdout == plain
        file = Session(tmp_path / name)
        verdicts = {row["verdict"]: row["n"] for row in file.rows("select verdict, count(*) as n from checks group by 1")}
        assert set(verdicts) == {"pass"}, verdicts
        apis = {row["api"] for row in file.rows("select distinct api from calls join checks using (call_id) where phase = 'forward'")}
        assert expected <= apis, expected - apis
        return file, verdicts["pass"]

    every, all_checks = watched("every.fumi", "--operations", "on", "--mode", "trace,improve_precision")
    sites = "select distinct op, function, location, shape, dtypes, phase from calls order by 1, 2, 3, 4, 5, 6"
    assert every.one("select count(*) from calls where not_checked <> ''") < all_checks / 20
    # By default each line, operation and size is looked at once, and again where there is time.
    sampled, some = watched("sampled.fumi", "--operations", "on")
    assert [tuple(row) for row in sampled.rows(sites)] == [tuple(row) for row in every.rows(sites)]
    assert some < all_checks / 2
    left_out = int(sampled.one("select value from session where key = 'operations_left_out'"))
    assert left_out + sampled.one("select count(*) from calls") == every.one("select count(*) from calls")
