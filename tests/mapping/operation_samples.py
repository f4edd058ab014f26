"""Inputs for each API of FuMi's torch_api.txt: torch's own samples (OpInfo) where it has some, and those of operation_cases.py."""
import os
from collections import defaultdict
from operator import attrgetter

import torch
from operation_cases import CASES
from torch.testing._internal.common_methods_invocations import op_db

# All samples, torch's reference inputs (extreme values, odd strides) among them: some minutes.
ALL = os.environ.get("FUMI_ALL_SAMPLES") == "1"
MOST = 8  # of each variant and type, else

_infos = defaultdict(list)
for _info in op_db:
    for _name in (_info.name, *(alias.name for alias in _info.aliases)):
        _infos[_name].append(_info)


def _name(api):
    return api.removeprefix("torch.").removeprefix("Tensor.")


def has_info(api):
    return bool(_infos[_name(api)])


def _call(api, info, sample):
    if api.startswith("torch.Tensor.") and isinstance(sample.input, torch.Tensor):
        return lambda: getattr(sample.input, _name(api))(*sample.args, **sample.kwargs)
    if any(_name(api) == alias.name for alias in info.aliases):
        return lambda: attrgetter(_name(api))(torch)(sample.input, *sample.args, **sample.kwargs)
    return lambda: info.op(sample.input, *sample.args, **sample.kwargs)


def _written(api, dtype, device):
    def call():
        with torch.device(device):
            CASES[api](dtype)
    return call


def samples(api, dtype, device="cpu"):
    """Calls without arguments. Those of a type or device that torch has no kernel for raise."""
    if dtype.is_floating_point:
        yield _written(api, dtype, device)
    for info in _infos[_name(api)]:
        if dtype not in (info.dtypes if device == "cpu" else info.dtypesIfCUDA):
            continue
        torch.manual_seed(0)
        known = list((info.reference_inputs if ALL else info.sample_inputs)(device, dtype))
        chosen = range(len(known)) if ALL else sorted({i * len(known) // MOST for i in range(MOST)} if known else ())
        for i in chosen:
            yield _call(api, info, known[i])
