"""Runs programs under FuMi on the software device (or, with FUMI_TEST_DEVICE=cuda, on a GPU) and reads their sessions."""
import os
import pathlib
import sqlite3
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("FUMI_BUILD", ROOT / "build" / "release"))
DEVICE = os.environ.get("FUMI_TEST_DEVICE", "soft")
FUMI = BUILD / "bin" / "fumi"
HOOK = BUILD / "lib" / "libfumi_cupti.so"
SOFTCUDA = BUILD / "lib" / "libsoftcuda.so"
PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"
TRAIN_GPT = ROOT / "tools" / "examples" / "train_gpt.py"
TIMEOUT = 900
EVERY_MODE = "trace,improve_precision,checksum,repeat,add_noise"


def environment(**extra):
    """The environment of a program under test: the Python package from the source tree, nothing of FuMi's set."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FUMI_", "SOFTCUDA_", "CUDA_INJECTION"))}
    for name in ("SOFTCUDA_SCHEDULE", "SOFTCUDA_SEED"):  # the whole suite can be run under an adversarial schedule
        if name in os.environ:
            env[name] = os.environ[name]
    env.update({k: str(v) for k, v in extra.items()})
    return env


def execute(command, check=True, cwd=None, **env):
    result = subprocess.run([str(c) for c in command], env=environment(**env), cwd=cwd, text=True, capture_output=True,
                            timeout=TIMEOUT)
    if check and result.returncode != 0:
        raise AssertionError(f"{command} exited {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def fumi(*arguments, **options):
    return execute([FUMI, *arguments], **options)


def run(session, program, *arguments, mode="trace,improve_precision", options=(), **rest):
    """A Python program under `fumi run`; returns the finished process. session is None with mode="off"."""
    where = [] if session is None else ["-o", session]
    return fumi("run", *where, "--device", DEVICE, "--mode", mode, *options, "--", sys.executable, program, *arguments, **rest)


def sanitizer_preload():
    """A sanitizer build needs its runtime first in LD_PRELOAD; `fumi run` does that, bare runs need it done here."""
    return os.environ.get("FUMI_SANITIZER_RUNTIME", "")


def plain(program, *arguments, inject=None, **rest):
    """The same program on the same device without the fumi command; inject names a library for CUDA_INJECTION64_PATH."""
    env = dict(rest.pop("env", {}))
    preload = [p for p in (sanitizer_preload(), str(SOFTCUDA) if DEVICE == "soft" else "") if p]
    if preload:
        env["LD_PRELOAD"] = ":".join(preload)
    if inject:
        env["CUDA_INJECTION64_PATH"] = inject
    return execute([sys.executable, program, *arguments], **rest, **env)


def plain_binary(program, *arguments, inject=None, check=False, **env):
    """A compiled program on the device under test."""
    preload = [p for p in (sanitizer_preload(), str(SOFTCUDA) if DEVICE == "soft" else "") if p]
    if preload:
        env["LD_PRELOAD"] = ":".join(preload)
    if inject:
        env["CUDA_INJECTION64_PATH"] = inject
    return execute([program, *arguments], check=check, **env)


def installed_package(directory):
    """The Python package from the source tree with its entry point, as an installation has it: an environment for it."""
    metadata = pathlib.Path(directory) / "package" / "fumi_source-0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: fumi-source\nVersion: 0\n")
    (metadata / "entry_points.txt").write_text("[torch.backends]\nfumi = fumi:start_with_torch\n")
    return {"PYTHONPATH": f"{ROOT / 'tools' / 'python'}:{metadata.parent}"}


class Session:
    def __init__(self, path):
        self.database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self.database.row_factory = sqlite3.Row

    def rows(self, query, *values):
        return self.database.execute(query, values).fetchall()

    def one(self, query, *values):
        (row,) = self.rows(query, *values)
        return row[0]

    def failing_calls(self):
        return [r["call_id"] for r in self.rows("select distinct call_id from checks where verdict = 'fail' order by 1")]

    def not_clean(self):
        """Calls with another verdict than pass, and why. On a GPU libraries may sum in the output type where torch allows
        it, which is a warning and no false alarm."""
        rows = self.rows("select function, shape, dtypes, verdict, reason from calls join checks using (call_id) "
                         "where verdict <> 'pass'")
        allowed = "reduced-precision reduction is allowed for this call"
        return [tuple(row) for row in rows if DEVICE == "soft" or row["verdict"] != "warn" or allowed not in row["reason"]]

    def unexplained(self):
        """Calls that are neither checked nor say why not."""
        return self.rows("select * from calls where coalesce(not_checked, '') = '' "
                         "and call_id not in (select call_id from checks)")
