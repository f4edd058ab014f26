"""Convolutions of every kind and dtype, forward and both gradients: named, checked, within their bound."""
import pytest

from support import PROGRAMS, Session, run

CASES = 17  # of programs/convolutions.py, of one dtype
APIS = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


@pytest.fixture(scope="module", params=["ieee", "tensorcore"])
def session(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("convolutions") / "convolutions.fumi"
    run(path, PROGRAMS / "convolutions.py", "float32", "float16", "bfloat16", "float64", SOFTCUDA_NUMERICS=request.param)
    return Session(path)


def test_every_case_has_three_calls(session):
    shape = "select count(*) from calls where function = 'cudnnBackendExecute' and dtypes like ? and epilogue = ''"
    for dtype in ["fp32", "fp16", "bf16", "fp64"]:
        assert session.one(shape, f"{dtype},%") == 3 * CASES


def test_every_call_is_checked_within_its_bound(session):
    assert session.unexplained() == []
    assert session.rows("select function, shape, dtypes, not_checked from calls where not_checked <> ''") == []
    assert session.rows("select reason from checks where verdict <> 'pass'") == []


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_api_is_named(session, api, phase):
    assert session.one("select count(*) from calls where api = ? and phase = ?", f"torch.nn.functional.{api}", phase) > 0


def test_shapes_say_stride_padding_dilation_groups_and_layout(session):
    shapes = {row[0] for row in session.rows("select distinct shape from calls")}
    assert "convolution_forward x=2x3x9x11 w=4x3x3x3 s=2x1 p=1x2 d=1 g=1 NCHW k=27" in shapes
    assert "convolution_backward_filter x=2x4x12x12 w=6x4x3x2 s=1 p=0 d=2x3 g=1 NHWC k=144" in shapes
    assert any(shape.startswith("convolution_forward x=2x3x5x6x7 ") and shape.endswith("g=1 NDHWC k=54") for shape in shapes)


def test_the_contract_names_the_algorithm(session):
    reasons = [row[0] for row in session.rows("select reason from checks join calls using (call_id) where library = 'cudnn'")]
    assert all("implicit GEMM" in reason for reason in reasons)


def test_fused_tails_are_decoded_and_checked(session):
    rows = session.rows("select epilogue, verdict from calls join checks using (call_id) where epilogue <> '' and library = 'cudnn'")
    assert {(row["epilogue"], row["verdict"]) for row in rows} == {("BIAS_RELU", "pass"), ("ADD_BIAS_RELU", "pass")}


def test_tf32_is_said_and_allowed_where_the_engine_uses_it(session):
    rows = session.rows("select compute_type, reason, algorithm from calls join checks using (call_id) "
                        "where dtypes like 'fp32%' and library = 'cudnn'")
    assert {(row["compute_type"], "tensor_core" in row["algorithm"]) for row in rows} == {("32F_FAST_TF32", True)}
