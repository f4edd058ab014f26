"""The suite for a real GPU. Runs from a bundle that tools/gpu-bundle makes; needs the NVIDIA driver and a Python with
torch 2.11.0+cu130 and pytest, installs nothing. Prints one line a step and writes all results as JSON.

    run [--out results.json] [--device cuda|soft] [--steps 100] [--pairs 3] [--only REGEX]

With --device soft it runs on the software device: the rehearsal that CI does.
"""
import argparse
import concurrent.futures
import importlib.util
import json
import os
import pathlib
import re
import signal
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
    result = support.plain_binary(BUNDLE / "bin" / "gpu_kernels", *(["--time"] if support.DEVICE == "cuda" else []))
    try:
        report = json.loads(result.stdout)
    except ValueError:
        return False, {"output": (result.stdout + result.stderr)[-4000:]}
    wrong = [case for case in report["results"] if not case["ok"]]
    return result.returncode == 0, {"cases": len(report["results"]), "wrong": wrong, "times": report.get("times")}


def run_pytest(work, name, limit, *arguments, **environment):
    """Passed, and what failed with its whole message. What takes too long is interrupted, and what it has found until then told."""
    junit = work / f"{name}.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={junit}", *map(str, arguments)]
    run = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment})
    try:
        output, errors = run.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        run.send_signal(signal.SIGINT)
        output, errors = run.communicate()
    failures, count, skipped = [], 0, 0
    cases = xml.etree.ElementTree.parse(junit).getroot().iter("testcase") if junit.exists() else ()
    for case in cases:
        count += 1
        skipped += case.find("skipped") is not None
        for problem in [*case.findall("failure"), *case.findall("error")]:
            failures.append({"test": f"{case.get('classname')}.{case.get('name')}", "text": (problem.text or "")[-6000:]})
    print(f"        {name}: {count - skipped - len(failures)} passed, {len(failures)} failed, {skipped} skipped", flush=True)
    return run.returncode == 0, {"tests": count, "skipped": skipped, "failures": failures, "tail": output[-3000:], "stderr": errors[-1000:]}


def step_end_to_end(support, work, args):
    """The end-to-end tests: training bit for bit, every operation, effective bits, CUDA graphs, messages."""
    workers = ("-n", min(15, os.cpu_count())) if importlib.util.find_spec("xdist") and support.DEVICE == "cuda" else ()
    return run_pytest(work, "e2e", args.limit, BUNDLE / "tests" / "e2e", *workers,
                      f"--ignore={BUNDLE / 'tests/e2e/test_cpu_operations.py'}")


def step_apis(support, work, args):
    """Each of the 167 APIs on CUDA tensors: seen, rerun in fp64, right, and wrong where its result is spoilt; and trainings."""
    library = BUNDLE / "lib"
    names = {"FUMI_FRAMES_SHIM": "mapping_frames", "FUMI_TORCH": "torch", "FUMI_MAPPING_PROBE": "mapping_probe",
             "FUMI_OPERATION_FAULT": "operation_fault"}
    environment = {key: str(library / f"libfumi_{name}.so") for key, name in names.items()}
    environment |= {"FUMI_API_NAMES": str(BUNDLE / "fumi_api_names.h"), "FUMI_LIB_DIR": str(library), "FUMI_APIS_DEVICE": "cuda"}
    if support.DEVICE == "soft":
        environment["LD_PRELOAD"] = str(support.SOFTCUDA)
    else:
        environment["FUMI_APIS_ON_GPU"] = "1"
    passed, details = run_pytest(work, "apis", args.limit, "-s", BUNDLE / "tests/mapping/test_apis.py", **environment)
    others, more = run_pytest(work, "cuda_operations", args.limit, BUNDLE / "tests/mapping/test_cuda_operations.py", **environment)
    return passed and others, {"apis": details, "operations": more}


def step_calibrate(support, work, _):
    """How the device adds up products, by designed GEMMs: to be held against the table of docs/numerics.md."""
    wheel = importlib.util.find_spec("nvidia.cu13")
    found = [p for place in wheel.submodule_search_locations for p in pathlib.Path(place).glob("lib/libcublas.so.*")] if wheel else []
    where = ("--cublas", found[0]) if found else ()
    result = support.fumi("calibrate", "--device", support.DEVICE, "-o", work / "calibration.yaml", *where, check=False)
    text = (work / "calibration.yaml").read_text() if result.returncode == 0 else ""
    return result.returncode == 0, {"calibration": text, "output": (result.stdout + result.stderr)[-4000:]}


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


MODELS = ("resnet50", "vit", "gpt2", "llama", "bert", "compiled", "speech")
NEEDS = {"resnet50": "torchvision", "vit": "torchvision", "speech": "torch"}


def train_zoo(support, work, model):
    """One model of train_zoo.py without and with FuMi: its numbers must be the same, and nothing may fail."""
    if importlib.util.find_spec(NEEDS.get(model, "transformers")) is None:
        return True, {"skipped": f"{NEEDS.get(model, 'transformers')} is not installed"}
    program, session = BUNDLE / "tests/gpu/train_zoo.py", work / f"{model}.fumi"
    plain = support.run(None, program, model, 3, mode="off").stdout
    result = support.run(session, program, model, 3)
    same = result.stdout == plain
    repeats = same or support.run(None, program, model, 3, mode="off").stdout == plain
    file = support.Session(session)
    verdicts = file.rows("select function, dtypes, verdict, count(*), max(backward_error / bound) from calls join checks "
                         "using (call_id) where mode = 'improve_precision' group by 1, 2, 3")
    missing = file.rows("select function, not_checked, count(*) from calls where not_checked <> '' group by 1, 2")
    bad = file.rows("select * from calls join checks using (call_id) where verdict in ('fail', 'warn') limit 12")
    details = {"same_numbers": same, "plain_runs_agree": repeats, "losses": result.stdout,
               "verdicts": [tuple(row) for row in verdicts], "not_checked": [tuple(row) for row in missing],
               "bad": [dict(row) for row in bad], "summary": result.stderr[-6000:]}
    counts = {verdict: sum(row[3] for row in verdicts if row[2] == verdict) for verdict in ("pass", "warn", "fail")}
    print(f"        {model}: {counts}, same numbers: {same}", flush=True)
    return (same or not repeats) and not file.failing_calls() and bool(verdicts), details


def step_models(support, work, args):
    """Models of torchvision and transformers as people train them: no false alarm, and the same numbers."""
    def train(model):
        try:
            return train_zoo(support, work, model)
        except Exception as error:
            print(f"        {model}: {str(error)[-600:]}", flush=True)
            return False, {"error": str(error)[-8000:]}

    with concurrent.futures.ThreadPoolExecutor(len(MODELS) if support.DEVICE == "cuda" else 1) as pool:
        models = [model for model in MODELS if re.search(args.models or "", model)]
        results = dict(zip(models, pool.map(train, models)))
    return all(passed for passed, _ in results.values()), {model: details for model, (_, details) in results.items()}


EVERY_CALL = ("--mode", "trace,improve_precision", "--coverage")
WAYS = {  # what fumi run is told, and the part of the steps that is enough
    "trace": (1, "--mode", "trace"),
    "trace without kernel names": (1, "--mode", "trace", "--config", "kernel_names: false\n"),
    "always_on": (1,),  # the default profile, within 3%
    "always_on without a budget": (1, "--config", "profile: always_on\nlimits: {overhead: 0%}\n"),
    "off again": (1, "--mode", "off"),
    "improve_precision, sampled": (5, *EVERY_CALL, "sampled"),
    "improve_precision, full": (10, *EVERY_CALL, "full"),
}
SIZES = {"cuda": ("small", "gpt2"), "soft": ("small",)}  # of step_times.py


def step_times(support, work, session, steps, options):
    """What tests/gpu/step_times.py printed."""
    if "--config" in options:
        (work / "config.yaml").write_text(options[-1])
        options = (*options[:-1], work / "config.yaml")
    where = ("--mode", "off") if session is None else ("-o", session, *options)
    started = time.monotonic()
    result = support.fumi("run", "--device", support.DEVICE, *where, "--", sys.executable, BUNDLE / "tests/gpu/step_times.py", steps,
                          *SIZES[support.DEVICE])
    return {**json.loads(result.stdout), "whole_run_s": time.monotonic() - started}


def step_overhead(support, work, args):
    """One program in turns without interception and in each way. Every number is kept, and shown as a ratio to the plain run before."""
    runs, same = [], True
    for _ in range(args.pairs):
        plain = step_times(support, work, None, args.steps, ())
        runs.append({"way": "off", **plain})
        print(f"        off: {json.dumps(plain)}", flush=True)
        for way, (part, *options) in WAYS.items():
            if args.ways and not re.search(args.ways, way):
                continue
            steps = max(args.steps // part, 5)
            times = step_times(support, work, work / "overhead.fumi", steps, options)
            # Of the large one torch's own numbers differ from run to run.
            same = same and (steps != args.steps or times["small"]["loss"] == plain["small"]["loss"])
            runs.append({"way": way, **times})
            ratios = {size: times[size]["mean_ms"] / plain[size]["mean_ms"] for size in SIZES[support.DEVICE]}
            print(f"        {way}: " + ", ".join(f"{size} {ratio:.3f}" for size, ratio in ratios.items()) +
                  f", mm {times['mm_us']:.1f} us, launch {times['launch_us']:.1f} us, start {times['cuda_and_first_call_s']:.1f} s", flush=True)
    return same, {"runs": runs}


STEPS = [step_kernels, step_kernel_names, step_measures, step_calibrate, step_models, step_end_to_end, step_apis, step_overhead]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="gpu-results.json", help="where the results go (JSON)")
    parser.add_argument("--device", default="cuda", choices=["cuda", "soft"])
    parser.add_argument("--steps", type=int, default=100, help="training steps of each overhead run")
    parser.add_argument("--pairs", type=int, default=3, help="overhead pairs")
    parser.add_argument("--limit", type=float, default=900, help="seconds that pytest may take in one step")
    parser.add_argument("--models", help="models whose name matches this expression")
    parser.add_argument("--ways", help="overhead in the ways whose name matches this expression")
    parser.add_argument("--only", help="run the steps whose name matches this expression")
    args = parser.parse_args()
    os.environ.update(FUMI_BUILD=str(BUNDLE), FUMI_TEST_DEVICE=args.device)
    places = [str(BUNDLE / "tools" / "python"), str(BUNDLE / "python")]
    os.environ["PYTHONPATH"] = os.pathsep.join([*places, *filter(None, [os.environ.get("PYTHONPATH")])])
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
