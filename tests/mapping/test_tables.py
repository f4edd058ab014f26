"""The YAML tables: every name in them exists in torch, and no op that reaches cuBLAS is missing."""
import os
import pathlib
import re
from functools import reduce

import pytest
import torch
import torch.nn.quantized.functional  # noqa: F401
import yaml

TABLES = sorted((pathlib.Path(__file__).parents[2] / "mapping/tables").glob("*.yaml"))
APIS = {row["api"]: row for table in TABLES for row in yaml.safe_load(table.read_text())["apis"]}
OPS = {name.split(".")[0] for name in torch._C._dispatch_get_all_op_names()}

# The ops whose CUDA kernels call cuBLAS or cuBLASLt themselves (torch 2.11, aten/src/ATen/native/cuda/Blas.cpp and the
# linear algebra beside it), and the composite ops of torch's public API that are made of them.
REACH_CUBLAS = """mm addmm addmm_ bmm baddbmm baddbmm_ addmv addmv_ dot vdot _addmm_activation _int_mm _scaled_mm
    _scaled_mm_v2 _scaled_grouped_mm _grouped_mm linear matmul mv addbmm addbmm_ chain_matmul einsum tensordot inner
    bilinear cdist kron rnn_tanh_cell rnn_relu_cell lstm_cell gru_cell lstm gru rnn_tanh rnn_relu
    scaled_dot_product_attention _native_multi_head_attention linalg_matmul linalg_multi_dot linalg_vecdot
    linalg_solve linalg_solve_triangular linalg_lu_solve linalg_lu_factor linalg_inv linalg_lstsq linalg_matrix_power
    linalg_matrix_exp linalg_pinv triangular_solve affine_grid_generator matrix_power matrix_exp cov""".split()

# The same for cuDNN (aten/src/ATen/native/cudnn).
REACH_CUDNN = """conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution convolution_backward
    cudnn_convolution cudnn_convolution_transpose cudnn_convolution_relu cudnn_convolution_add_relu batch_norm
    instance_norm native_batch_norm native_batch_norm_backward cudnn_batch_norm cudnn_batch_norm_backward _cudnn_rnn
    _cudnn_rnn_backward lstm gru rnn_tanh rnn_relu ctc_loss _cudnn_ctc_loss grid_sampler cudnn_grid_sampler
    cudnn_grid_sampler_backward affine_grid_generator scaled_dot_product_attention
    _scaled_dot_product_cudnn_attention quantized::linear""".split()


def exists(name):
    try:
        reduce(getattr, name.split(".")[1:], torch)
        return True
    except AttributeError:
        return False


def full(op):
    return op if "::" in op else f"aten::{op}"


@pytest.mark.parametrize("api", APIS)
def test_names_exist(api):
    row = APIS[api]
    assert [name for name in [api, *row.get("aliases", [])] if not exists(name)] == []
    assert [op for op in row.get("ops", []) if full(op) not in OPS] == []


def test_every_op_that_reaches_cublas_is_there():
    mapped = {op for row in APIS.values() for op in row.get("ops", [])}
    assert sorted(set(REACH_CUBLAS) - mapped) == []


def test_every_op_that_reaches_cudnn_is_there():
    mapped = {op for row in APIS.values() for op in row.get("ops", [])}
    assert sorted(set(REACH_CUDNN) - mapped) == []


def test_the_generated_list_is_the_tables():
    rows = re.findall(r'\{"([^"]+)", "([^"]+)"\}', pathlib.Path(os.environ["FUMI_API_NAMES"]).read_text())
    expected = {name: api for api, row in APIS.items() for name in [api, *row.get("aliases", []), *map(full, row.get("ops", []))]}
    assert dict(rows) == expected
    assert rows == sorted(rows)
