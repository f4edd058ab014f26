"""FuMi for CUDA: where its parts lie in this Python environment.

FuMi needs nothing from this package to see library calls: `fumi run -- CMD`, or
CUDA_INJECTION64_PATH=fumi.injection_library(), works on programs that never import it. torch's own operations
(`operations: on`) are seen without CUDA too: torch calls start_with_torch() at the end of `import torch`, by its
entry points "torch.backends".

decorate_function and compare run two implementations of one function side by side (docs/modes.md, custom_function).
"""
import ctypes
import importlib.metadata
import os
import pathlib

try:
    __version__ = importlib.metadata.version("fumi-cuda")
except importlib.metadata.PackageNotFoundError:  # used from a source tree
    __version__ = "0"

__all__ = ["Comparison", "compare", "decorate_function", "include_dir", "injection_library", "library_dir", "program", "start_with_torch"]


def __getattr__(name):
    # Read when asked for: torch imports this package at the end of its own import.
    if name in ("Comparison", "compare", "decorate_function", "decorate_functuion"):
        from . import comparison
        return getattr(comparison, name.replace("functuion", "function"))  # the Python FuMi's old spelling
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def library_dir() -> pathlib.Path:
    """The directory of libfumi_cupti.so and the libraries that it loads from beside itself."""
    return pathlib.Path(__file__).parent / "lib"


def include_dir() -> pathlib.Path:
    """Where C++ programs find fumi/compare.h."""
    return pathlib.Path(__file__).parent / "include"


def injection_library() -> str:
    """What to set CUDA_INJECTION64_PATH to."""
    path = library_dir() / "libfumi_cupti.so"
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: the package was not installed with its libraries")
    return str(path)


def program() -> str:
    """The fumi command that was installed with this package."""
    for name in importlib.metadata.files("fumi-cuda") or ():
        if name.name == "fumi" and name.parent.name == "bin":
            return os.path.realpath(name.locate())
    raise FileNotFoundError("the fumi command was not installed with this package")


def start_with_torch() -> None:
    """Starts FuMi where this process is under it and its configuration has `operations: on`. Never raises: an import of
    torch must not fail for FuMi's sake."""
    path = os.environ.get("CUDA_INJECTION64_PATH", "")
    if os.path.basename(path) != "libfumi_cupti.so":
        return
    try:
        ctypes.CDLL(path).fumi_start_with_torch()
    except (OSError, AttributeError):
        pass
