"""FuMi for CUDA: where its parts lie in this Python environment.

FuMi needs nothing from this package at run time: `fumi run -- CMD`, or CUDA_INJECTION64_PATH=fumi.injection_library(),
works on programs that never import it.
"""
import importlib.metadata
import os
import pathlib

try:
    __version__ = importlib.metadata.version("fumi-cuda")
except importlib.metadata.PackageNotFoundError:  # used from a source tree
    __version__ = "0"

__all__ = ["injection_library", "library_dir", "program"]


def library_dir() -> pathlib.Path:
    """The directory of libfumi_cupti.so and the libraries that it loads from beside itself."""
    return pathlib.Path(__file__).parent / "lib"


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
