"""The probe (probe.cpp) as a fixture: what libfumi_torch.so answered inside each product op."""
import ctypes
import os
import sys
from dataclasses import dataclass

import pytest
import torch

torch.set_num_threads(1)


class _Origin(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("api", "op", "location", "module")] + [("phase", ctypes.c_int32)]


@dataclass(frozen=True)
class Origin:
    api: str
    op: str
    location: str
    module: str
    phase: str


class Probe:
    def __init__(self):
        self.fumi = ctypes.CDLL(os.environ["FUMI_TORCH"], mode=ctypes.RTLD_GLOBAL)
        self.library = ctypes.CDLL(os.environ["FUMI_MAPPING_PROBE"])
        error = ctypes.c_char_p()
        assert self.fumi.fumi_torch_start(1, None, ctypes.byref(error)) == 0, error.value

    def __enter__(self):
        self.library.probe_record(1)
        self.answers = []
        return self

    def read(self):
        """The answers since the last reading."""
        origin = _Origin()
        answers = []
        for index in range(self.library.probe_count()):
            self.library.probe_get(index, ctypes.byref(origin))
            texts = [getattr(origin, name).decode() for name in ("api", "op", "location", "module")]
            answers.append(Origin(*texts, ("none", "forward", "backward")[origin.phase]))
        self.library.probe_record(1)
        return answers

    def __exit__(self, *exception):
        self.answers = self.read()
        self.library.probe_record(0)


_probe = Probe()


@pytest.fixture
def probe():
    return _probe


@pytest.fixture
def here():
    """here(offset): "file:line" of the line `offset` lines below the call (0: the same line)."""

    def line(offset=0):
        frame = sys._getframe(1)
        return f"{frame.f_code.co_filename}:{frame.f_lineno + offset}"

    return line
