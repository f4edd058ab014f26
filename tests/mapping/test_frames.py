"""Raw frames are the frames that Python itself tells of. Needs no torch: python test_frames.py SHIM, any version."""
import ctypes
import os
import sys
import threading

SHIM = sys.argv[1] if __name__ == "__main__" else os.environ["FUMI_FRAMES_SHIM"]
KNOWN = sys.version_info[:2] in ((3, 11), (3, 12))
shim = ctypes.CDLL(SHIM)  # CDLL: called without the GIL, as an op calls


def compare():
    codes, locals_ = (ctypes.c_size_t * 500)(), (ctypes.c_size_t * 500)()
    count = shim.shim_frames(codes, locals_, 500)
    if not KNOWN:
        assert count == 0
        return
    frame, expected = sys._getframe(), []
    while frame:
        expected.append(frame)
        frame = frame.f_back
    assert list(codes[:count]) == [id(f.f_code) for f in expected]
    for address, f in zip(locals_, expected):
        names = f.f_code.co_varnames
        if names and names[0] == "self" and "self" not in f.f_code.co_cellvars:
            assert address == id(f.f_locals["self"])


class Deep:
    def __call__(self, depth):
        return self(depth - 1) if depth else compare()

    def generator(self):
        yield compare()
        yield list(map(self, [3]))

    def __lt__(self, other):
        compare()
        return True


def test_plain_and_deep():
    compare()
    Deep()(20)


def test_generators_comprehensions_and_calls_from_c():
    list(Deep().generator())
    [compare() for _ in range(2)]
    sorted([Deep(), Deep()])
    eval("compare()")
    exec("class C:\n compare()", globals())


def test_coroutines():
    import asyncio

    async def inner():
        await asyncio.sleep(0)
        compare()

    asyncio.run(inner())


def test_threads_and_exceptions():
    failures = []

    def work():
        try:
            for _ in range(200):
                Deep()(5)
                try:
                    raise ValueError
                except ValueError:
                    compare()
        except AssertionError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
    print(sys.version.split()[0], "layout known" if KNOWN else "layout not known, nothing read")
