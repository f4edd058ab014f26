"""Convolutions of every kind and dtype, forward and both gradients: they agree with CPU torch (programs/convolutions.py
compares them), and each of their calls is named, checked and within its bound."""
import re

import pytest

from support import DEVICE, PROGRAMS, Session, run

DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float64": "fp64"}
COMBINATIONS = {"fp32": 178, "fp16": 178, "bf16": 178, "fp64": 177}  # of programs/convolutions.py
APIS = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]


@pytest.fixture(scope="module", params=["ieee", "tensorcore"])
def session(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("convolutions") / "convolutions.fumi"
    result = run(path, PROGRAMS / "convolutions.py", *DTYPES, SOFTCUDA_NUMERICS=request.param)
    made = Session(path)
    made.combinations = int(re.search(r"(\d+) combinations agree with CPU torch", result.stdout).group(1))
    return made


def test_every_combination_has_three_calls(session):
    shape = "select count(*) from calls where function = 'cudnnBackendExecute' and dtypes like ? and epilogue = ''"
    assert {dtype: session.one(shape, f"{dtype},%") for dtype in COMBINATIONS} == {d: 3 * n for d, n in COMBINATIONS.items()}
    assert session.combinations == sum(COMBINATIONS.values())


def test_every_call_is_checked_within_its_bound(session):
    verdicts = [session.one("select count(distinct call_id) from checks where verdict like ?", v) for v in ("%", "warn", "fail")]
    print("{} combinations, {} library calls, {} checked, {} warn, {} fail".format(
        session.combinations, session.one("select count(*) from calls"), *verdicts))
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
    found = {(row["compute_type"], "tensor_core" in row["algorithm"]) for row in rows}
    # cuDNN may take an engine without tensor cores on a GPU.
    assert found == {("32F_FAST_TF32", True)} or (DEVICE == "cuda" and found == {("32F_FAST_TF32", True), ("32F", False)})
