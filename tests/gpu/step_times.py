"""What small pieces of a program take on this device: step_times.py [STEPS [SIZE...]]. Prints one JSON object: microseconds a call or
launch and milliseconds a training step, each the median of its repeats, and the last losses with all their bits."""
import json
import pathlib
import statistics
import sys
import time

started = time.perf_counter()
import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "examples"))
from train_gpt import GPT  # noqa: E402

STEPS = int(sys.argv[1]) if len(sys.argv) > 1 else 60
# Of GPT: one bound by launches, and one by the GPU's arithmetic (GPT-2's size).
SIZES = {
    "small": dict(batch=8, length=32, width=64, heads=4, layers=2),
    "gpt2": dict(batch=16, length=512, width=768, heads=12, layers=12),
}
WORDS = 96


def each(repeats, count, action):
    """Seconds of one of `count` actions, the GPU's time hidden behind the CPU's: the median of `repeats`."""
    times = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            action()
        times.append((time.perf_counter() - start) / count)
    return statistics.median(times[1:])


def train(batch, length, width, heads, layers):
    """Milliseconds of a step, and the last loss."""
    torch.manual_seed(1)
    model = GPT(WORDS, length, width, heads, layers).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    text = torch.randint(WORDS, (batch, length + 1), device="cuda")
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        with torch.autocast("cuda", torch.bfloat16):
            logits = model(text[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1).float(), text[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(time.perf_counter() - start)
    settled = times[len(times) // 5:]
    return {"median_ms": statistics.median(settled) * 1e3, "mean_ms": statistics.mean(settled) * 1e3, "first_ms": times[0] * 1e3,
            "loss": loss.item().hex()}


result = {"import_s": time.perf_counter() - started}
a, b, x = (torch.randn(64, 64, device="cuda") for _ in range(3))
a @ b
torch.cuda.synchronize()
result["cuda_and_first_call_s"] = time.perf_counter() - started - result["import_s"]
result["mm_us"] = each(5, 500, lambda: a @ b) * 1e6
result["launch_us"] = each(5, 500, lambda: x.add_(1)) * 1e6
for name in sys.argv[2:] or SIZES:
    result[name] = train(**SIZES[name])
print(json.dumps(result))
