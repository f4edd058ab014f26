"""mapping/compare.h by ctypes: libfumi_torch.so measures, judges and records; here tensors and results change hands."""
import ctypes
import functools
import os
import pathlib
import sys
from dataclasses import dataclass, field

FIRST, SECOND, FIRST_FP64, SECOND_FP64 = range(4)  # FUMI_OUTPUT_*
_NONE, _TENSOR, _BOOL, _INT, _DOUBLE, _INTS, _STRING = range(7)  # FUMI_ARGUMENT_*
_MEASURED = ("max_abs_err", "max_rel_err", "rms_rel_err", "eta", "bound", "kappa", "ratio", "symmetric", "sum_value",
             "sum_reference", "max_value", "max_reference")
_TOLD = ("name", "location", "module", "shape", "dtypes", "verdict", "reason", "not_checked")


class _Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("sizes", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("dimensions", ctypes.c_int64), ("dtype", ctypes.c_char_p),
                ("device", ctypes.c_char_p)]


class _Argument(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("kind", ctypes.c_int32), ("integer", ctypes.c_int64), ("number", ctypes.c_double),
                ("integers", ctypes.POINTER(ctypes.c_int64)), ("count", ctypes.c_int64), ("text", ctypes.c_char_p),
                ("tensor", ctypes.POINTER(_Tensor))]


class _Measure(ctypes.Structure):
    _fields_ = ([(name, ctypes.c_char_p) for name in ("what", "verdict", "reason")]
                + [(name, ctypes.c_int64) for name in ("elements", "mismatches", "nonfinite")]
                + [(name, ctypes.c_double) for name in _MEASURED])


class _Result(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in _TOLD] + [("count", ctypes.c_int64), ("measures", ctypes.POINTER(_Measure))]


@dataclass(frozen=True)
class Measure:
    """e = value - reference over all elements; units of u = 2^-24 (2^-53 of fp64 operands), nan where there is no bound."""
    what: str  # "first against second", "first against fp64", "second against fp64", ...
    verdict: str  # pass, warn, fail; "" where nothing says what the error may be
    reason: str
    elements: int
    mismatches: int  # over their bound
    nonfinite: int
    max_abs_err: float
    max_rel_err: float
    rms_rel_err: float
    eta: float  # |e| / (u G) at the element nearest to its bound, or furthest over it
    bound: float  # B / (u G) there
    kappa: float  # G / |R|, the largest

    def __str__(self):
        eta = "" if self.eta != self.eta else f"  eta {self.eta:.3g} u, bound {self.bound:.3g} u  kappa {self.kappa:.3g}"
        return (f"{self.verdict or 'no bound':8}  {self.what}: largest error {self.max_abs_err:.3g}, relative "
                f"{self.max_rel_err:.3g}, rms {self.rms_rel_err:.3g}{eta}\n            {self.reason}")


@dataclass(frozen=True)
class Comparison:
    """One call of two functions. eta, max_rel_err and the other measures are those of the first against the second."""
    name: str
    location: str
    module: str
    shape: str
    dtypes: str
    verdict: str  # the worst of `measures`
    reason: str
    not_checked: str  # why nothing was compared, "" where it was
    measures: tuple = ()
    result: object = field(default=None, repr=False)  # of fumi.compare: what the first function returned

    def __getattr__(self, name):
        if name not in Measure.__dataclass_fields__ or not self.measures:
            raise AttributeError(f"a comparison has no {name}" + (f": {self.not_checked}" if self.not_checked else ""))
        return getattr(self.measures[0], name)

    def __str__(self):
        head = "  ".join(text for text in (self.name, self.shape, self.dtypes, self.location) if text)
        said = [f"not compared: {self.not_checked}"] if self.not_checked else map(str, self.measures)
        return "\n  ".join([head, *said])


def _directories():
    hook = pathlib.Path(os.environ.get("CUDA_INJECTION64_PATH", ""))
    if hook.name == "libfumi_cupti.so":
        yield hook.parent
    if os.environ.get("FUMI_LIB_DIR"):
        yield pathlib.Path(os.environ["FUMI_LIB_DIR"])
    yield pathlib.Path(__file__).parent / "lib"


@functools.cache
def library():
    """libfumi_torch.so twice: the first keeps the GIL, for what looks at Python's frames; the second lets it go."""
    import torch  # noqa: F401  its libraries must be there first
    path = next((d / "libfumi_torch.so" for d in _directories() if (d / "libfumi_torch.so").exists()), None)
    if path is None:
        raise FileNotFoundError("libfumi_torch.so is not found: install fumi-cuda, or name its directory in FUMI_LIB_DIR")
    try:
        held, free = ctypes.PyDLL(str(path)), ctypes.CDLL(str(path))
    except OSError as error:
        raise OSError(f"{error}: is it built for torch {torch.__version__}? cmake -DFUMI_PYTHON={sys.executable}") from None
    handle = ctypes.c_void_p
    for name, result, *arguments in (
            ("begin", handle, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_int32),
            ("refusal", ctypes.c_char_p, handle, ctypes.c_int64),
            ("argument", None, handle, ctypes.POINTER(_Argument)),
            ("output", None, handle, ctypes.c_int32, ctypes.POINTER(_Tensor)),
            ("enter", None, handle), ("leave", None, handle), ("free", None, handle),
            ("finish", ctypes.POINTER(_Result), handle, ctypes.c_int32, ctypes.c_char_p)):
        for function in (getattr(held, f"fumi_comparison_{name}"), getattr(free, f"fumi_comparison_{name}")):
            function.restype, function.argtypes = result, arguments
    return held, free


def tensors(value):
    """The tensors in a result or in arguments, in order: lists, tuples and dicts are looked into."""
    import torch
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from tensors(part)


class Call:
    """One comparison in the library, from before the first function runs to its end."""

    def __init__(self, handle):
        self._handle = handle
        self._held, self._free = library()
        self._kept = []  # memory that the library looks at until the end
        self.failure = ""

    @classmethod
    def begin(cls, name):
        """None where there is nothing to compare: inside another comparison, in a graph, where the configuration says so."""
        import torch
        if torch.compiler.is_compiling():
            return None
        cuda = torch.cuda.is_initialized()
        if cuda and torch.cuda.is_current_stream_capturing():
            return None
        handle = library()[0].fumi_comparison_begin(1, name.encode(), cuda)
        return cls(handle) if handle else None

    def free(self):
        self._held.fumi_comparison_free(self._handle)

    def attempt(self, what, step):
        """Whether `step` went well; what it raises is the failure, and never the program's."""
        try:
            step()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.failure = f"{what}: {type(error).__name__}: {error}".split("\n")[0]
        return not self.failure

    def has_room(self, arguments):
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors(arguments))
        self.failure = self._held.fumi_comparison_refusal(self._handle, size).decode()
        return not self.failure

    def argument(self, name, value):
        import torch
        told = _Argument(name.encode() if name else None, _NONE)
        if isinstance(value, torch.Tensor):
            told.kind, told.tensor = _TENSOR, ctypes.pointer(self._tensor(value))
        elif isinstance(value, bool):
            told.kind, told.integer = _BOOL, value
        elif isinstance(value, int):
            told.kind, told.integer = _INT, value
        elif isinstance(value, float):
            told.kind, told.number = _DOUBLE, value
        elif isinstance(value, str):
            told.kind, told.text = _STRING, value.encode()
        elif isinstance(value, (list, tuple)) and all(type(part) is int for part in value):
            told.kind, told.integers, told.count = _INTS, (ctypes.c_int64 * max(len(value), 1))(*value), len(value)
        elif value is not None:
            raise TypeError(f"no schema of torch takes a {type(value).__name__}")
        self._held.fumi_comparison_argument(self._handle, ctypes.byref(told))

    def outputs(self, of, result):
        for tensor in tensors(result):
            self._held.fumi_comparison_output(self._handle, of, ctypes.byref(self._tensor(tensor)))

    def run(self, function, arguments, of):
        """A run that is not the program's."""
        args, kwargs = arguments
        self._held.fumi_comparison_enter(self._handle)
        try:
            result = function(*args, **kwargs)
        finally:
            self._held.fumi_comparison_leave(self._handle)
        self.outputs(of, result)

    def finish(self, known):
        failure = self.failure.encode() if self.failure else None
        told = self._free.fumi_comparison_finish(self._handle, known, failure).contents
        measures = tuple(
            Measure(m.what.decode(), m.verdict.decode(), m.reason.decode(), m.elements, m.mismatches, m.nonfinite,
                    *(getattr(m, name) for name in _MEASURED[:6])) for m in told.measures[:told.count])
        return Comparison(*(getattr(told, name).decode() for name in _TOLD), measures=measures)

    def _tensor(self, tensor):
        import torch
        tensor = tensor.detach()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        elif tensor.layout != torch.strided:
            tensor = tensor.to_dense()
        tensor = tensor.resolve_conj().resolve_neg()
        sizes, strides = ((ctypes.c_int64 * max(tensor.dim(), 1))(*numbers) for numbers in (tensor.shape, tensor.stride()))
        told = _Tensor(tensor.data_ptr(), sizes, strides, tensor.dim(), str(tensor.dtype).removeprefix("torch.").encode(),
                       str(tensor.device).encode())
        self._kept += [tensor, told]
        return told
