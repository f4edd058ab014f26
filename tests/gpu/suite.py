"""The suite for a real GPU. Runs from a bundle that tools/gpu-bundle makes; needs the NVIDIA driver and a Python with
torch 2.11.0+cu130 and pytest, installs nothing. Prints one line a step and writes all results as JSON.

    run [--out results.json] [--device cuda|soft] [--steps 40] [--pairs 5]

With --device soft it runs on the software device: the rehearsal that CI does.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

BUNDLE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(BUNDLE / "tests" / "e2e"))


def device_facts(device):
    if device == "soft":
        return {"name": "software device"}
    query = "name,driver_version,compute_cap,memory.total"
    smi = subprocess.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"], text=True, capture_output=True)
    return dict(zip(query.split(","), [v.strip() for v in smi.stdout.splitlines()[0].split(",")])) if smi.returncode == 0 else {}


def step_kernels(support, work, _):
    """Every check kernel on the device against its host body, on the same data."""
    result = support.plain_binary(BUNDLE / "bin" / "gpu_kernels")
    return result.returncode == 0, {"output": (result.stdout + result.stderr)[-4000:]}


def step_end_to_end(support, work, _):
    """The end-to-end tests: training bit for bit, every operation, effective bits, CUDA graphs, messages."""
    junit = work / "e2e.xml"
    run = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={junit}",
                          str(BUNDLE / "tests" / "e2e")], text=True, capture_output=True)
    failures, count = [], 0
    for case in xml.etree.ElementTree.parse(junit).getroot().iter("testcase"):
        count += 1
        for problem in [*case.findall("failure"), *case.findall("error")]:
            failures.append({"test": case.get("name"), "message": (problem.get("message") or "")[:2000]})
    return run.returncode == 0, {"tests": count, "failures": failures, "tail": run.stdout[-3000:]}


def step_kernel_names(support, work, args):
    """CUPTI's kernel names for the library calls of a training run."""
    support.run(work / "names.fumi", support.TRAIN_GPT, "--steps", 2)
    session = support.Session(work / "names.fumi")
    named = session.one("select count(*) from calls where kernel <> ''")
    total = session.one("select count(*) from calls")
    names = [row[0] for row in session.rows("select distinct kernel from calls limit 40")]
    facts = {row["key"]: row["value"] for row in session.rows("select key, value from session")}
    return named == total and total > 0, {"calls": total, "named": named, "kernels": names, "session": facts}


def step_measures(support, work, args):
    """What the checks measured, by data type and contract: to be held against the constants of docs/numerics.md."""
    session = support.Session(work / "names.fumi")
    rows = session.rows("select function, dtypes, compute_type, max(backward_error) as eta, max(bound) as bound, "
                        "max(backward_error / bound) as ratio, min(effective_bits) as bits, count(*) as checks "
                        "from calls join checks using (call_id) group by 1, 2, 3")
    table = [dict(row) for row in rows]
    return all(row["ratio"] is None or row["ratio"] <= 1 for row in table), {"table": table}


def train_seconds(support, args, session, mode):
    """Seconds of a run's training loop as the program under test itself sees them, and its printed losses."""
    started = time.monotonic()
    result = support.run(session, support.TRAIN_GPT, "--steps", args.steps, mode=mode)
    return time.monotonic() - started, [line for line in result.stdout.splitlines() if line.startswith("step")]


def step_overhead(support, work, args):
    """Whole runs, alternating: without interception, traced, and checked; ratios of each pair."""
    ratios = {"trace": [], "trace,improve_precision": []}
    same = True
    for _ in range(args.pairs):
        off, losses = train_seconds(support, args, None, "off")
        for mode, values in ratios.items():
            seconds, checked = train_seconds(support, args, work / "overhead.fumi", mode)
            values.append(seconds / off)
            same = same and checked == losses
    return same, {mode: {"median": statistics.median(v), "min": min(v), "max": max(v)} for mode, v in ratios.items()}


STEPS = [step_kernels, step_end_to_end, step_kernel_names, step_measures, step_overhead]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="gpu-results.json", help="where the results go (JSON)")
    parser.add_argument("--device", default="cuda", choices=["cuda", "soft"])
    parser.add_argument("--steps", type=int, default=40, help="training steps of each overhead run")
    parser.add_argument("--pairs", type=int, default=5, help="overhead pairs")
    parser.add_argument("--only", help="run the steps whose name matches this expression")
    args = parser.parse_args()
    os.environ.update(FUMI_BUILD=str(BUNDLE), FUMI_TEST_DEVICE=args.device)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(BUNDLE / "python"), *filter(None, [os.environ.get("PYTHONPATH")])])
    import support

    results = {"device": device_facts(args.device), "started": time.strftime("%FT%TZ", time.gmtime()), "steps": {}}
    with tempfile.TemporaryDirectory() as folder:
        for step in STEPS:
            name = step.__name__.removeprefix("step_")
            if args.only and not re.search(args.only, name):
                continue
            started = time.monotonic()
            try:
                passed, details = step(support, pathlib.Path(folder), args)
            except Exception as error:  # one broken step must not cost the others: device time is rare
                passed, details = False, {"error": f"{type(error).__name__}: {error}"[-4000:]}
            seconds = round(time.monotonic() - started, 1)
            results["steps"][name] = {"passed": passed, "seconds": seconds, **details}
            print(f"{'passed' if passed else 'FAILED'}  {name}  ({seconds}s)", flush=True)
            if not passed:
                print(json.dumps(details, indent=1)[:3000], flush=True)
            pathlib.Path(args.out).write_text(json.dumps(results, indent=1))
    ok = sum(step["passed"] for step in results["steps"].values())
    print(f"{ok} passed, {len(results['steps']) - ok} failed; results in {args.out}")
    return 0 if ok == len(results["steps"]) else 1


if __name__ == "__main__":
    sys.exit(main())
