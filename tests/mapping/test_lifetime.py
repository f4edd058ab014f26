"""Long runs, fork, cost."""
import itertools
import os
import resource
import subprocess
import sys
import threading
import time

import torch
from torch import nn
from torch.nn import functional as F


def resident_kib():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() // 1024


def test_memory_stays_bounded(probe):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    x = torch.randn(2, 4)

    def steps(count):
        for _ in range(count):
            model(x).sum().backward()

    steps(20000)  # by now every page of the ring that this run touches is near its final number
    before = resident_kib()
    steps(80000 if not os.environ.get("ASAN_OPTIONS") else 2000)
    grown = resident_kib() - before
    print(f"grew by {grown} KiB")
    assert grown < 24 * 1024  # the ring of nodes is 16 MiB


def test_code_without_end_is_bounded(probe):
    # A program that compiles new code for every call: code objects die, memory does not grow with them for ever.
    with probe:
        for i in range(3000):
            exec(compile(f"import torch\ntorch.ones(1, 1).mm(torch.ones(1, 1))  # {i}", "<made>", "exec"), {})
    assert {o.location for o in probe.answers} == {"<made>:2"}


def test_fork(probe):
    R = torch.randn(3, 3, requires_grad=True)
    # torch locks a tensor's autograd state for a moment: the child would wait for ever for the lock of one that the
    # thread was at, with FuMi or without.
    own = torch.randn(3, 3, requires_grad=True)
    stop = threading.Event()

    def busy():
        # New places all the time, or the tables of texts and origins would be left alone once they know the old ones.
        for i in itertools.count():
            if stop.is_set():
                return
            exec(compile("F.linear(torch.randn(3, 3), R).sum()", f"<busy {i}>", "exec"), {"F": F, "torch": torch, "R": R})

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(20 if os.environ.get("ASAN_OPTIONS") else 100):
            child = os.fork()
            if child == 0:
                import signal

                signal.alarm(30)
                with probe:
                    torch.mm(own, own)
                os._exit(0 if [o.api for o in probe.answers] == ["torch.mm"] else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()


def test_exit_status_and_output_are_the_programs_own(tmp_path):
    script = tmp_path / "exits.py"
    script.write_text(
        "import ctypes, os, sys, threading, torch\n"
        "if len(sys.argv) > 1:\n"
        "    fumi = ctypes.CDLL(os.environ['FUMI_TORCH'], mode=ctypes.RTLD_GLOBAL)\n"
        "    assert fumi.fumi_torch_start(1, None, None) == 0\n"
        "class AtExit:\n"
        "    def __del__(self):\n"
        "        (w @ w).sum().backward()\n"
        "        print('ran an op while Python ended')\n"
        "w = torch.ones(3, 3, requires_grad=True)\n"
        "def work():\n"
        "    for _ in range(100): (w @ w).sum().backward()\n"
        "threads = [threading.Thread(target=work) for _ in range(3)]\n"
        "[thread.start() for thread in threads]\n"
        "sys.modules['torch'].fumi_test_keep = AtExit()\n"
        "sys.exit(7)\n"
    )

    def run(*args):
        done = subprocess.run([sys.executable, script, *args], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout

    assert run("fumi") == run()
    assert run()[0] == 7


def test_cost(probe):
    """Prints what an op costs with and without observers; asserts nothing about time."""
    model = nn.Sequential(*[nn.Linear(4, 4) for _ in range(8)])
    x = torch.randn(2, 4)

    def seconds(function, count):
        start = time.thread_time()
        for _ in range(count):
            function()
        return (time.thread_time() - start) / count

    a, w = torch.randn(4), torch.randn(3, 3, requires_grad=True)

    def without(function, count):
        torch.autograd._enable_record_function(False)
        try:
            return seconds(function, count)
        finally:
            torch.autograd._enable_record_function(True)

    for name, function in {
        "neg (one op, no autograd)": lambda: torch.neg(a),
        "linear with autograd": lambda: F.linear(w, w),
        "8 nn.Linear in a Sequential, forward": lambda: model(x),
    }.items():
        on = min(seconds(function, 3000) for _ in range(5))
        off = min(without(function, 3000) for _ in range(5))
        print(f"{name}: {off * 1e6:.2f} us, observed {on * 1e6:.2f} us")
