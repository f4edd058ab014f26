"""Correct calls are never reported. FUMI_CLEAN_CALLS=100000 runs more than the 10,000 of the suite."""
import os

import pytest

from support import DEVICE, PROGRAMS, Session, run

CALLS = int(os.environ.get("FUMI_CLEAN_CALLS", "10000"))


@pytest.mark.parametrize("numerics", ["ieee", "tensorcore"] if DEVICE == "soft" else ["hardware"])
def test_no_clean_call_is_reported(tmp_path, numerics):
    extra = {"SOFTCUDA_NUMERICS": numerics} if DEVICE == "soft" else {}
    run(tmp_path / "s.fumi", PROGRAMS / "clean_calls.py", CALLS, **extra)
    session = Session(tmp_path / "s.fumi")
    assert session.one("select count(*) from calls") == CALLS
    assert session.unexplained() == []
    assert session.not_clean() == []
    checked = session.one("select count(*) from checks")
    assert checked == CALLS
    print(f"{checked} clean calls, 0 reported: below {3.0 / checked:.1e} of calls with 95% confidence")
