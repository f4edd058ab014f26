"""What the hook does for libfumi_torch.so, by ctypes: chooses every operation and keeps what is reported."""
import ctypes
import os
from dataclasses import dataclass

import torch

torch.set_num_threads(1)


class _Origin(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("api", "op", "location", "module")] + [("phase", ctypes.c_int32)]


class _Operation(ctypes.Structure):
    _fields_ = ([("origin", _Origin)] + [(n, ctypes.c_char_p) for n in ("function", "shape", "dtypes", "not_checked", "reason")]
                + [(n, ctypes.c_int64) for n in ("start_ns", "check_ns", "run_ns")] + [("site", ctypes.c_uint64)]
                + [(n, ctypes.c_int64) for n in ("elements", "mismatches", "nonfinite")]
                + [(n, ctypes.c_double) for n in ("max_abs_err", "max_rel_err", "rms_rel_err", "backward_error", "bound",
                                                  "amplification")] + [("verdict", ctypes.c_int32), ("sampled", ctypes.c_int32)])


_WANTED = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p, ctypes.c_int32, ctypes.c_uint64)
_PLAIN = ctypes.CFUNCTYPE(None)
_RECORD = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Operation))
_CAPTURING = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)


class _Recorder(ctypes.Structure):
    _fields_ = [("wanted", _WANTED), ("enter", _PLAIN), ("leave", _PLAIN), ("record", _RECORD),
                ("scratch_bytes", ctypes.c_int64), ("capturing", _CAPTURING), ("open", _PLAIN), ("close", _PLAIN),
                ("sample_elements", ctypes.c_int64)]


@dataclass(frozen=True)
class Operation:
    api: str
    op: str
    location: str
    module: str
    phase: str
    function: str
    shape: str
    dtypes: str
    not_checked: str
    reason: str
    verdict: str
    elements: int
    backward_error: float
    bound: float
    max_rel_err: float
    sampled: int


class Watch:
    def __init__(self):
        self.seen = []
        self.on = False
        self.entered = self.opened = 0
        self.capturing = False
        self.library = ctypes.CDLL(os.environ["FUMI_TORCH"], mode=ctypes.RTLD_GLOBAL)
        error = ctypes.c_char_p()
        assert self.library.fumi_torch_start(1, None, ctypes.byref(error)) == 0, error.value
        self.recorder = _Recorder(_WANTED(lambda api, phase, site: self.on), _PLAIN(self._enter), _PLAIN(self._leave),
                                  _RECORD(self._record), 1 << 28, _CAPTURING(lambda stream: int(self.capturing)),
                                  _PLAIN(self._open), _PLAIN(self._close), 0)
        assert self.library.fumi_torch_watch_operations(ctypes.byref(self.recorder), ctypes.byref(error)) == 0, error.value

    def _enter(self):
        self.entered += 1

    def _leave(self):
        self.entered -= 1

    def _open(self):
        self.opened += 1

    def _close(self):
        self.opened -= 1

    def _record(self, pointer):
        told = pointer.contents
        origin = told.origin
        text = [t.decode() for t in (origin.api, origin.op, origin.location, origin.module)]
        self.seen.append(Operation(
            *text, ("none", "forward", "backward")[origin.phase], told.function.decode(), told.shape.decode(),
            told.dtypes.decode(), told.not_checked.decode(), told.reason.decode(),
            ("none", "pass", "warn", "fail")[told.verdict], told.elements, told.backward_error, told.bound,
            told.max_rel_err, told.sampled))

    def __enter__(self):
        self.seen = []
        self.on = True
        return self

    def __exit__(self, *exception):
        self.on = False
