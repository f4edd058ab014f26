"""Each of FuMi's 167 APIs, on torch's own samples: seen under its name, rerun, right; a wrong kernel fails; and docs/apis.md says so."""
import ctypes
import os
import pathlib
import re

import api_table
import pytest
import torch
from operation_cases import CASES
from operation_samples import ALL, has_info, samples
from operations import Watch

CANONICAL = dict(re.findall(r'\{"([^"]+)", "([^"]+)"\}', pathlib.Path(os.environ["FUMI_API_NAMES"]).read_text()))
DEVICE = os.environ.get("FUMI_APIS_DEVICE", "cpu")
NARROW = (torch.float16, torch.bfloat16)

# What torch itself gets wrong: reported, and right to be.
WRONG_IN_TORCH = {("torch.Tensor.matrix_exp", dtype): "NaN on the CPU where fp64 is finite" for dtype in NARROW}
# Calls that do not reach an operation of their API's name.
ANOTHER_API = {
    "torch.nn.functional.local_response_norm": "an empty input is returned as it is",
    "torch.nn.functional.smooth_l1_loss": "beta = 0 is l1_loss",
}
# Samples whose result is x / 0: no bound, but a measured error.
NO_BOUND = {"torch.Tensor.cov": "no degrees of freedom"}
NOT_RERUN = {
    "it draws random numbers, in fp64 others than in its own type",
    "its choice of elements is computed in fp16 or bf16, in fp64 it is another one",
    "fp64 operands: torch has no wider type to rerun them in",
}

# On a GPU, where a software device has the CPU's kernels.
ON_GPU = os.environ.get("FUMI_APIS_ON_GPU") == "1"
NO_CUDA_KERNEL = {"torch.Tensor.smm", "torch.Tensor.sspaddmm"} if ON_GPU else set()

# A convolution may take its inputs as TF32 on a GPU: a thousandth may be rounding.
MOVED = 1.001 if DEVICE == "cpu" else 1.05

watch = Watch()
fault = ctypes.CDLL(os.environ["FUMI_OPERATION_FAULT"])
fault.fault_plant.argtypes = [ctypes.c_char_p, ctypes.c_double]
passed, failed_on_fault, functions, largest = set(), set(), {}, {}


@pytest.fixture(autouse=True)
def nothing_left_entered():
    yield
    fault.fault_clear()
    watch.on = False
    assert watch.entered == watch.opened == 0


def told(api, call):
    """What was told of a call under the name of `api`; None where torch has no kernel for it."""
    torch.manual_seed(1)
    try:
        with watch:
            call()
    except (RuntimeError, NotImplementedError, TypeError):
        return None
    return [seen for seen in watch.seen if seen.api == CANONICAL[api]]


def look(api, dtype):
    """The sample calls of one type: all that is told, and how many samples torch could run."""
    everything, ran = [], 0
    for call in samples(api, dtype, DEVICE):
        own = told(api, call)
        if own is None:
            continue
        ran += 1
        assert own or api in ANOTHER_API, (dtype, watch.seen)
        wrong = [seen for seen in watch.seen if seen.verdict == "fail"]
        assert wrong == [] or (api, dtype) in WRONG_IN_TORCH, wrong
        everything += own
    return everything, ran


@pytest.mark.parametrize("api", CASES)
def test_api_is_seen_rerun_and_right(api):
    rerun = set()
    for dtype in (torch.float32, *NARROW, torch.int64):
        everything, ran = look(api, dtype)
        reasons = {seen.not_checked for seen in everything} - {""}
        assert reasons <= NOT_RERUN, reasons
        checked = [seen for seen in everything if seen.not_checked == ""]
        verdicts = {"pass", "fail", *(("none",) if ALL and api in NO_BOUND else ())}
        assert {seen.verdict for seen in checked} <= verdicts, checked
        rerun |= {seen.function.split(".")[0] for seen in checked}
        shares = [float(s[1]) for s in (re.match(r"within (\S+) of", seen.reason) for seen in checked) if s]
        if api in NO_CUDA_KERNEL:
            assert ran == 0
            pytest.skip("torch has no CUDA kernel for it")
        if dtype == torch.float32:
            assert ran and (checked or api == "torch.nn.functional.one_hot")
            largest[api] = max(shares, default=0)
    assert rerun
    functions[api] = rerun
    passed.add(api)


@pytest.mark.parametrize("api", CASES)
def test_planted_error_fails(api):
    dtype = torch.int64 if api == "torch.nn.functional.one_hot" else torch.float32
    for call in samples(api, dtype, DEVICE):
        own = [seen for seen in told(api, call) or () if seen.not_checked == "" and seen.elements > 0]
        if not own:
            continue
        fault.fault_plant(own[0].function.split(".")[0].encode(), MOVED)
        own = told(api, call)
        fault.fault_clear()
        if "fail" in {seen.verdict for seen in own}:
            failed_on_fault.add(api)
            return
    if api in NO_CUDA_KERNEL:
        pytest.skip("torch has no CUDA kernel for it")
    pytest.fail(f"no planted error was found: {own}")


def test_count(capsys):
    both = passed & failed_on_fault
    with capsys.disabled():
        print(f"\n{len(both)} of 167 APIs seen, rerun and right on {DEVICE}, and a planted error found in them; "
              f"{sum(map(has_info, both))} by OpInfo's samples, {len(CASES)} by written ones; largest use of a bound in fp32 "
              f"{max(largest.values(), default=0):.2g}")
        for api, share in sorted(largest.items(), key=lambda item: -item[1])[:8 if not ALL else 30]:
            print(f"    {api} {share:.2g}")
        for api in sorted(NO_CUDA_KERNEL):
            print(f"    torch has no CUDA kernel: {api}")
        for (api, dtype), why in WRONG_IN_TORCH.items():
            print(f"    reported, torch's own: {api} {str(dtype)[6:]}: {why}")
    assert len(CASES) == 167


@pytest.mark.skipif(ON_GPU, reason="the page is of the software device")
def test_documented_table():
    api_table.check(DEVICE, passed & failed_on_fault, functions)
