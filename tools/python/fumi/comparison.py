"""Two implementations of one function on the same inputs, compared by FuMi's verdicts (docs/modes.md, custom_function).

The second function runs on copies of the arguments, without autograd, from the random numbers that the first one got,
and what it raises is a reason in the result. torch's generators, autocast and observers are put back; those of Python and
NumPy are not looked after."""
import atexit
import collections
import dataclasses
import difflib
import functools
import importlib
import sys

from ._comparison import FIRST, FIRST_FP64, SECOND, SECOND_FP64, Call, Comparison, Measure, library, tensors

__all__ = ["Comparison", "Measure", "compare", "decorate_function"]

REMEMBERED = 1000  # comparisons of a decorated function
REFERENCES = (None, "second", "fp64")


def compare(first, second, args=(), kwargs=None, *, name=None, reference=None):
    """Calls first and second with args and kwargs; returns a Comparison, with what first returned as its `result`.

    name: torch's function that both stand for ("scaled_dot_product_attention"); then its fp64 run is the reference of both
    and its bound makes the verdict. reference: "second", to compare the two only; "fp64", to run both on fp64 copies of the
    inputs as well (first runs once more then, with what it does beside its result)."""
    if name is None:
        name = getattr(first, "__name__", type(first).__name__)
        known = (getattr(first, "__module__", None) or "torch").split(".")[0] == "torch"
    else:
        known = True
    result, comparison = _run_both(name, first, second, args, kwargs or {}, reference, known)
    if comparison is None:
        comparison = Comparison(name, "", "", "", "", "", "", "inside another comparison, a CUDA graph or torch.compile, "
                                "or left out by the configuration")
    return dataclasses.replace(comparison, result=result)


class decorate_function:  # noqa: N801  it stands for a function
    """attention = decorate_function("scaled_dot_product_attention", new)(old), also as a decorator of old: calls of it run both
    functions and return what old returns. `with decorate_function("torch.nn.functional.linear", new):` replaces that
    function of torch, or any other that can be imported, for the time of the block.

    name, reference: as in compare(). every: compare the first of so many calls. summary: print what was found, at the end of
    the block or of the program. comparisons: the last 1000 of them; counts: all of them, by verdict."""

    def __init__(self, name, new, *, reference=None, every=1, summary=False):
        _check_reference(reference)
        if not isinstance(name, str) or not callable(new):
            raise TypeError("decorate_function takes a name and a function, and then the function that it stands beside")
        library()  # says now what is not installed
        self.name, self.new, self.reference, self.every = name, new, reference, max(int(every), 1)
        self.comparisons = collections.deque(maxlen=REMEMBERED)
        self.counts = collections.Counter()
        self.worst = None
        self._calls = 0
        self._replaced = []
        self._print = summary

    def __call__(self, old):
        if self._print:
            atexit.register(self._print_summary)
        return self._wrapper(old)

    def __enter__(self):
        owner, attribute = _owner(self.name)
        old = getattr(owner, attribute)
        wrapper = self._wrapper(old)
        self._replaced.append((owner, attribute, vars(owner).get(attribute), wrapper))
        setattr(owner, attribute, wrapper)
        return self

    def __exit__(self, *exception):
        owner, attribute, before, wrapper = self._replaced.pop()
        wrapper.fumi_active = False
        if vars(owner).get(attribute) is wrapper:  # else somebody has replaced ours, which only passes calls on now
            delattr(owner, attribute) if before is None else setattr(owner, attribute, before)
        if self._print:
            self._print_summary()

    def summary(self):
        counts = "   ".join(f"{count} {verdict}" for verdict, count in sorted(self.counts.items()))
        return f"FuMi: {self.name}: {sum(self.counts.values())} compared   {counts}" + (f"\n{self.worst}" if self.worst else "")

    def _print_summary(self):
        print(self.summary(), file=sys.stderr)

    def _wrapper(self, old):
        @functools.wraps(old)
        def both(*args, **kwargs):
            number, self._calls = self._calls, self._calls + 1
            if not both.fumi_active or number % self.every:
                return old(*args, **kwargs)
            result, comparison = _run_both(self.name, old, self.new, args, kwargs, self.reference, True)
            if comparison is not None:
                self._keep(comparison)
            return result

        both.fumi_active = True
        both.fumi = self
        return both

    def _keep(self, comparison):
        self.comparisons.append(comparison)
        self.counts["not compared" if comparison.not_checked else comparison.verdict or "without bound"] += 1
        rank = ("", "pass", "warn", "fail").index
        if self.worst is None or rank(comparison.verdict) > rank(self.worst.verdict):
            self.worst = comparison


def _check_reference(reference):
    if reference not in REFERENCES:
        raise ValueError(f"reference: {reference!r} is none of {', '.join(map(repr, REFERENCES))}")


def _run_both(name, first, second, args, kwargs, reference, known):
    """What first returned, and the Comparison or None."""
    _check_reference(reference)
    call = Call.begin(name)
    if call is None:
        return first(*args, **kwargs), None
    try:
        before = _Copies(call, (args, kwargs), twice=reference == "fp64")  # first may write what it is given
        result = first(*args, **kwargs)
        known = known and reference != "second" and before.tell()
        if not call.failure and call.attempt("a result", lambda: call.outputs(FIRST, result)):
            call.attempt("the second function", lambda: call.run(second, before.arguments, SECOND))
            if reference == "fp64" and not call.failure:
                _run_in_fp64(call, first, second, before.spare)
        return result, call.finish(known and before.untouched())
    finally:
        call.free()


def _run_in_fp64(call, first, second, arguments):
    """Both once more; a function that cannot run in fp64 has no such row."""
    import torch
    for function, of in ((first, FIRST_FP64), (second, SECOND_FP64)):
        call.attempt("fp64", lambda f=function, o=of: call.run(f, _copied(arguments, torch.float64), o))
        call.failure = ""


class _Copies:
    """The arguments as they were before the first function ran."""

    def __init__(self, call, arguments, twice):
        self._call = call
        self.arguments = self.spare = self._versions = None
        call.attempt("its arguments cannot be copied", lambda: self._make(arguments, twice))

    def _make(self, arguments, twice):
        if not self._call.has_room(arguments):
            return
        self.arguments = _copied(arguments)
        self.spare = _copied(arguments) if twice else None
        self._versions = self._now()

    def _now(self):
        return [None if tensor.is_inference() else tensor._version for tensor in tensors(self.arguments)]

    def tell(self):
        """Whether torch's function of the name might take them."""
        if self._call.failure:
            return False
        args, kwargs = self.arguments
        for name, value in [(None, value) for value in args] + list(kwargs.items()):
            if not self._call.attempt("", lambda n=name, v=value: self._call.argument(n, v)):
                self._call.failure = ""
                return False
        return True

    def untouched(self):
        return self._now() == self._versions


def _copied(value, dtype=None, made=None):
    """With copies of the tensors in it, in dtype where they are floating; one tensor that stands there twice stays one."""
    import torch
    made = {} if made is None else made
    if isinstance(value, torch.Tensor):
        if id(value) not in made:
            plain = value.detach()
            made[id(value)] = plain.to(dtype, copy=True) if dtype and plain.is_floating_point() else plain.clone()
        return made[id(value)]
    if isinstance(value, dict):
        return {key: _copied(part, dtype, made) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_copied(part, dtype, made) for part in value))
    return type(value)(_copied(part, dtype, made) for part in value) if type(value) in (list, tuple) else value


def _owner(name):
    """The module or class whose attribute `name` is, and the attribute. A name without dots is looked for in torch."""
    import torch
    if "." not in name:
        for owner in (torch.nn.functional, torch, torch.Tensor):
            if callable(getattr(owner, name, None)):
                return owner, name
        close = difflib.get_close_matches(name, [*dir(torch.nn.functional), *dir(torch), *dir(torch.Tensor)], 1)
        raise AttributeError(f"torch has no function {name}" + (f"; did you mean {close[0]}?" if close else ""))
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:-1]:
            owner = getattr(owner, part)
        if callable(getattr(owner, parts[-1], None)):
            return owner, parts[-1]
        close = difflib.get_close_matches(parts[-1], dir(owner), 1)
        raise AttributeError(f"there is no function {name}" + (f"; did you mean {close[0]}?" if close else ""))
    raise AttributeError(f"there is no module {'.'.join(parts[:-1])}")
