#!/usr/bin/env python3
"""What `operations: on` costs: the trainings of tests/e2e/programs/train_on_cpu.py with and without FuMi, in turns.

    .venv/bin/python tests/bench/operations_overhead.py [--models mlp,resnet18,gpt] [--pairs 5] [--steps 20] [--threads N]

Each round runs a program plain, then once in every way of `--ways`. Prints medians (and ranges) of the ratios to the plain
run of the same round: wall and CPU time of the training loop, and of the whole run, with the start of torch in it; and what
was found. Losses and parameters must be the same to the last bit.
"""
import argparse
import os
import pathlib
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from support import FUMI, PROGRAMS, environment, installed_package  # noqa: E402

PROGRAM = PROGRAMS / "train_on_cpu.py"
EVERY_CALL = ("--mode", "trace,improve_precision")
# What of these programs the Python FuMi replaces (of its list; operators such as @ it does not see), and matmul.
FUNCTIONS = "torch.nn.functional.*\ntorch.Tensor.matmul\n"
WAYS = {  # how operations are looked at
    "default": ("--operations", "on"),
    "functions": ("--operations", "forward", "--apis", "{functions}", *EVERY_CALL),
    "all": ("--operations", "on", *EVERY_CALL),
}


def timed(command, variables):
    """Output, and wall and CPU seconds: of the loop, then of the whole run."""
    before, start = os.times(), time.perf_counter()
    result = subprocess.run(command, env=variables, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, os.times()
    if result.returncode != 0:
        sys.exit(f"{command} ended with {result.returncode}:\n{result.stderr}")
    loop = re.search(r"loop: (\S+) s, (\S+) s of CPU", result.stderr)
    whole_cpu = sum(after[i] - before[i] for i in (2, 3))
    return result.stdout, (float(loop[1]), float(loop[2]), wall, whole_cpu)


def found(session):
    rows = sqlite3.connect(f"file:{session}?mode=ro", uri=True).execute(
        "select coalesce(k.verdict, 'not checked'), count(*) from calls c left join checks k using (call_id) group by 1 order by 1")
    return ", ".join(f"{count} {verdict or 'no bound'}" for verdict, count in rows)


def summary(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def measure(model, args, variables, directory):
    program = [sys.executable, PROGRAM, model, "--steps", str(args.steps)]
    ratios, seconds, counts = {way: [] for way in args.ways}, [], {}
    for _ in range(args.pairs):
        expected, plain = timed(program, variables)
        seconds.append(plain[0])
        for way in args.ways:
            session = pathlib.Path(directory) / f"{model}-{way}.fumi"
            session.unlink(missing_ok=True)
            options = [word.format(functions=pathlib.Path(directory) / "functions.txt") for word in WAYS[way]]
            output, watched = timed([FUMI, "run", "--device", "cuda", *options, "-o", session, "--", *program], variables)
            # After the program's lines come those of the summary.
            if not output.startswith(expected):
                sys.exit(f"{model}, {way}: other losses or parameters under FuMi")
            ratios[way].append([a / b for a, b in zip(watched, plain)])
            counts[way] = found(session)
    print(f"{model}: {args.steps} steps take {statistics.median(seconds):.2f} s without FuMi")
    for way in args.ways:
        loop, loop_cpu, whole, whole_cpu = (summary(column) for column in zip(*ratios[way]))
        print(f"  {way:9}  loop: wall {loop}, CPU {loop_cpu};  whole run: wall {whole}, CPU {whole_cpu};  {counts[way]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--models", type=words, default=["mlp", "resnet18", "gpt"])
    parser.add_argument("--ways", type=words, default=list(WAYS), help=f"of {', '.join(WAYS)}")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, help="OMP_NUM_THREADS; torch's own choice where it is not given")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        (pathlib.Path(directory) / "functions.txt").write_text(FUNCTIONS)
        threads = {"OMP_NUM_THREADS": args.threads} if args.threads else {}
        variables = environment(**installed_package(directory), **threads)
        for model in args.models:
            measure(model, args, variables, directory)


if __name__ == "__main__":
    main()
