"""Every operation that reaches cuBLAS or cuBLASLt is named, mapped, and checked or has its reason."""
import pytest

from support import PROGRAMS, Session, run


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    path = tmp_path_factory.mktemp("operations") / "operations.fumi"
    run(path, PROGRAMS / "operations.py")
    return Session(path)


def test_every_call_is_mapped(session):
    assert session.one("select count(*) from calls") > 100
    assert session.rows("select function, op, api from calls where api = '' or op = '' or location = ''") == []


def test_every_call_is_checked_or_says_why_not(session):
    assert session.unexplained() == []
    assert session.rows("select function, shape, dtypes, not_checked from calls where not_checked <> ''") == []
    assert session.not_clean() == []


@pytest.mark.parametrize("api", ["mm", "addmm", "bmm", "baddbmm", "matmul", "einsum", "mv", "addmv", "dot", "vdot", "_int_mm",
                                 "_scaled_mm", "_addmm_activation", "nn.functional.linear"])
def test_api_is_seen(session, api):
    assert session.one("select count(*) from calls where api = ?", f"torch.{api}") > 0


@pytest.mark.parametrize("function", [
    "cublasSgemm_v2", "cublasDgemm_v2", "cublasCgemm_v2", "cublasGemmEx", "cublasSgemmStridedBatched", "cublasDgemmStridedBatched",
    "cublasCgemmStridedBatched", "cublasGemmStridedBatchedEx", "cublasSgemv_v2", "cublasDgemv_v2", "cublasCgemv_v2",
    "cublasSdot_v2", "cublasDdot_v2", "cublasCdotu_v2", "cublasCdotc_v2", "cublasDotEx", "cublasLtMatmul"])
def test_library_function_is_seen_with_its_kernel(session, function):
    assert session.one("select count(*) from calls where function = ?", function) > 0
    assert session.rows("select call_id from calls where function = ? and kernel = ''", function) == []


def test_epilogues_are_decoded(session):
    seen = {row[0] for row in session.rows("select distinct epilogue from calls where function = 'cublasLtMatmul'")}
    assert {"BIAS", "RELU_BIAS", "GELU_BIAS", "DEFAULT"} <= seen


def test_integer_products_are_compared_exactly(session):
    (row,) = session.rows("select checks.* from checks join calls using (call_id) where api = 'torch._int_mm'")
    assert row["verdict"] == "pass" and row["max_abs_err"] == 0 and row["elements"] == 32 * 48
