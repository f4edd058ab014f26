"""docs/apis.md: one row per API, from mapping/tables and from what test_apis.py has seen."""
import os
import pathlib

import yaml
from operation_cases import CASES
from test_tables import REACH_CUBLAS, REACH_CUDNN

ROOT = pathlib.Path(__file__).parents[2]
PAGE = ROOT / "docs/apis.md"
HEAD = """# The 167 APIs

Written by `tests/mapping/test_apis.py` (with `FUMI_WRITE_APIS=1` in its environment), which fails where this page is not what it has seen.
CPU, CUDA (the software device): the operations that were rerun in fp64 under the API's name, passed on the samples of torch's OpInfo and of
`tests/mapping/operation_cases.py` in fp32, fp16, bf16 and int64 as far as torch has kernels, and failed with an error planted in their result;
"the same": those of the CPU. Bounds: docs/numerics.md section 11. Library calls: what may stand behind it on a GPU, recorded and checked as calls of their own.

| API | bound | CPU | CUDA | library calls |
|---|---|---|---|---|
"""


def tables():
    rows = {}
    for path in sorted((ROOT / "mapping/tables").glob("*.yaml")):
        for row in yaml.safe_load(path.read_text())["apis"]:
            for name in (row["api"], *row.get("aliases", ())):
                rows[name] = row
    return rows


def short(function):
    return function.removeprefix("aten::")


def written():
    """API -> cells of the page as it is."""
    cells = {}
    for line in PAGE.read_text().splitlines() if PAGE.exists() else ():
        parts = [part.strip() for part in line.strip("|").split("|")]
        if len(parts) == 5 and parts[0].startswith("torch."):
            cells[parts[0]] = parts
    return cells


def libraries(row):
    ops = row.get("ops", [])
    found = [name for name, known in (("cuBLAS", REACH_CUBLAS), ("cuDNN", REACH_CUDNN)) if set(ops) & set(known)]
    return ", ".join(found)


def page(device, right, functions):
    known, old, text = tables(), written(), HEAD
    for api in CASES:
        row = known[api]
        seen = ", ".join(sorted(map(short, functions[api]))) if api in right else "no"
        before = old.get(api, ["", "", "no", "no", ""])
        cpu, cuda = (seen, before[3]) if device == "cpu" else (before[2], "the same" if seen == before[2] else seen)
        bound = row.get("bound", "by operation").removesuffix(" own")
        text += f"| {api} | {bound} | {cpu} | {cuda} | {libraries(row)} |\n"
    return text


def check(device, right, functions):
    text = page(device, right, functions)
    if os.environ.get("FUMI_WRITE_APIS") == "1":
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "docs/apis.md is stale: run this test with FUMI_WRITE_APIS=1 and commit it"
