"""One call or more of each API of FuMi's torch_api.txt, on CPU tensors. `d` is the dtype of the operands."""
import torch
import torch.ao.nn.quantized.functional
import torch.nn.functional as F


def n(*size, d=torch.float32):
    return torch.randn(*size).to(d)


def positive(*size, d=torch.float32):
    return (torch.rand(*size) + 0.05).to(d)


def unit(*size, d=torch.float32):
    return (torch.rand(*size) * 1.9 - 0.95).to(d)


def sign(*size, d=torch.float32):
    return (torch.randint(0, 2, size) * 2 - 1).to(d)


def indices(pool, *arguments):
    return pool(*arguments, return_indices=True)


def spd(k, d):
    a = torch.randn(k, k)
    return (a @ a.T + k * torch.eye(k)).to(d)


def quantised_linear(_):
    weight = torch.randn(16, 33)
    if weight.is_cuda:  # cuDNN's: both int8, per tensor, without zero points
        x = torch.quantize_per_tensor(torch.randn(8, 33), 0.03, 0, torch.qint8)
        w = torch.quantize_per_tensor(weight, 0.04, 0, torch.qint8)
        for bias in (None, torch.randn(16)):
            torch.ao.nn.quantized.functional.linear(x, w, bias, scale=0.2, zero_point=0)
        return
    x = torch.quantize_per_tensor(torch.randn(8, 33), 0.03, 120, torch.quint8)
    by_channel = torch.quantize_per_channel(weight, torch.rand(16) * 0.02 + 0.03, torch.zeros(16, dtype=torch.int64), 0,
                                             torch.qint8)
    for w in (torch.quantize_per_tensor(weight, 0.04, 0, torch.qint8), by_channel):
        for bias in (None, torch.randn(16)):
            torch.ao.nn.quantized.functional.linear(x, w, bias, scale=0.2, zero_point=110)


_CALLS = {
    "linear": lambda d: F.linear(n(8, 33, d=d), n(16, 33, d=d), n(16, d=d)),
    "conv1d": lambda d: F.conv1d(n(2, 3, 20, d=d), n(4, 3, 5, d=d), n(4, d=d), padding=2),
    "conv2d": lambda d: F.conv2d(n(2, 3, 10, 10, d=d), n(4, 3, 3, 3, d=d), n(4, d=d), padding=1),
    "conv3d": lambda d: F.conv3d(n(1, 2, 6, 6, 6, d=d), n(3, 2, 3, 3, 3, d=d), n(3, d=d)),
    "conv_transpose1d": lambda d: F.conv_transpose1d(n(2, 3, 10, d=d), n(3, 4, 5, d=d), stride=2),
    "conv_transpose2d": lambda d: F.conv_transpose2d(n(2, 3, 6, 6, d=d), n(3, 4, 3, 3, d=d), stride=2),
    "conv_transpose3d": lambda d: F.conv_transpose3d(n(1, 2, 4, 4, 4, d=d), n(2, 3, 3, 3, 3, d=d)),
    "unfold": lambda d: F.unfold(n(2, 3, 6, 6, d=d), 3),
    "fold": lambda d: F.fold(n(2, 27, 16, d=d), (6, 6), 3),
    "avg_pool1d": lambda d: F.avg_pool1d(n(2, 3, 20, d=d), 5, 2),
    "avg_pool2d": lambda d: F.avg_pool2d(n(2, 3, 9, 9, d=d), 3, 1),
    "avg_pool3d": lambda d: F.avg_pool3d(n(1, 2, 6, 6, 6, d=d), 3, 1),
    "max_pool1d": lambda d: F.max_pool1d(n(2, 3, 20, d=d), 4),
    "max_pool2d": lambda d: F.max_pool2d(n(2, 3, 9, 9, d=d), 3),
    "max_pool3d": lambda d: F.max_pool3d(n(1, 2, 6, 6, 6, d=d), 2),
    "max_unpool1d": lambda d: F.max_unpool1d(*indices(F.max_pool1d, n(2, 3, 20, d=d), 2), 2),
    "max_unpool2d": lambda d: F.max_unpool2d(*indices(F.max_pool2d, n(2, 3, 8, 8, d=d), 2), 2),
    "max_unpool3d": lambda d: F.max_unpool3d(*indices(F.max_pool3d, n(1, 2, 6, 6, 6, d=d), 2), 2),
    "lp_pool1d": lambda d: F.lp_pool1d(positive(2, 3, 20, d=d), 2.0, 4),
    "lp_pool2d": lambda d: F.lp_pool2d(positive(2, 3, 8, 8, d=d), 2.0, 3),
    "adaptive_max_pool1d": lambda d: F.adaptive_max_pool1d(n(2, 3, 20, d=d), 5),
    "adaptive_max_pool2d": lambda d: F.adaptive_max_pool2d(n(2, 3, 9, 9, d=d), 4),
    "adaptive_max_pool3d": lambda d: F.adaptive_max_pool3d(n(1, 2, 6, 6, 6, d=d), 3),
    "adaptive_avg_pool1d": lambda d: F.adaptive_avg_pool1d(n(2, 3, 20, d=d), 5),
    "adaptive_avg_pool2d": lambda d: F.adaptive_avg_pool2d(n(2, 3, 9, 9, d=d), 4),
    "adaptive_avg_pool3d": lambda d: F.adaptive_avg_pool3d(n(1, 2, 6, 6, 6, d=d), 3),
    "fractional_max_pool2d": lambda d: F.fractional_max_pool2d(n(2, 3, 9, 9, d=d), 2, output_size=4),
    "fractional_max_pool3d": lambda d: F.fractional_max_pool3d(n(1, 2, 7, 7, 7, d=d), 2, output_size=3),
    "scaled_dot_product_attention": lambda d: F.scaled_dot_product_attention(*(n(2, 4, 16, 8, d=d) for _ in range(3))),
    "threshold": lambda d: F.threshold(n(100, d=d), 0.1, 0.3),
    "relu": lambda d: F.relu(n(100, d=d)),
    "hardtanh": lambda d: F.hardtanh(n(100, d=d), -0.7, 0.7),
    "hardswish": lambda d: F.hardswish(n(400, d=d) * 3),
    "relu6": lambda d: F.relu6(n(100, d=d) * 5),
    "elu": lambda d: F.elu(n(400, d=d) * 3, 1.3),
    "selu": lambda d: F.selu(n(400, d=d) * 3),
    "celu": lambda d: F.celu(n(400, d=d) * 3, 1.3),
    "leaky_relu": lambda d: F.leaky_relu(n(100, d=d), 0.1),
    "prelu": lambda d: F.prelu(n(2, 5, 10, d=d), n(5, d=d)),
    "rrelu": lambda d: F.rrelu(n(100, d=d)),
    "glu": lambda d: F.glu(n(10, 40, d=d)),
    "gelu": lambda d: (F.gelu(n(400, d=d) * 3), F.gelu(n(400, d=d) * 3, approximate="tanh")),
    "logsigmoid": lambda d: F.logsigmoid(n(400, d=d) * 3),
    "hardshrink": lambda d: F.hardshrink(n(100, d=d)),
    "tanhshrink": lambda d: F.tanhshrink(n(100, d=d)),
    "softsign": lambda d: F.softsign(n(100, d=d)),
    "softplus": lambda d: F.softplus(n(400, d=d) * 3, 1.5),
    "softmin": lambda d: F.softmin(n(10, 40, d=d) * 3, 1),
    "softmax": lambda d: F.softmax(n(10, 40, d=d) * 3, 1),
    "softshrink": lambda d: F.softshrink(n(100, d=d)),
    "gumbel_softmax": lambda d: F.gumbel_softmax(n(10, 40, d=d)),
    "log_softmax": lambda d: F.log_softmax(n(10, 40, d=d) * 3, 1),
    "tanh": lambda d: F.tanh(n(400, d=d)),
    "sigmoid": lambda d: F.sigmoid(n(400, d=d) * 3),
    "hardsigmoid": lambda d: F.hardsigmoid(n(400, d=d) * 3),
    "silu": lambda d: F.silu(n(400, d=d) * 3),
    "mish": lambda d: F.mish(n(400, d=d) * 3),
    "batch_norm": lambda d: (F.batch_norm(n(8, 5, 6, d=d) + 3, torch.zeros(5), torch.ones(5), n(5), n(5), training=True),
                             F.batch_norm(n(8, 5, 6, d=d), n(5), positive(5), n(5), n(5))),
    "group_norm": lambda d: F.group_norm(n(4, 6, 8, d=d) + 1, 3, n(6, d=d), n(6, d=d)),
    "instance_norm": lambda d: F.instance_norm(n(4, 6, 8, d=d) + 1, weight=n(6, d=d), bias=n(6, d=d)),
    "layer_norm": lambda d: F.layer_norm(n(8, 40, d=d) + 2, (40,), n(40, d=d), n(40, d=d)),
    "local_response_norm": lambda d: F.local_response_norm(n(2, 6, 8, 8, d=d), 3),
    "normalize": lambda d: F.normalize(n(8, 40, d=d)),
    "bilinear": lambda d: F.bilinear(n(8, 5, d=d), n(8, 6, d=d), n(4, 5, 6, d=d), n(4, d=d)),
    "embedding": lambda d: F.embedding(torch.randint(0, 10, (4, 5)), n(10, 8, d=d)),
    "embedding_bag": lambda d: F.embedding_bag(torch.randint(0, 10, (4, 5)), n(10, 8, d=d), mode="sum"),
    "one_hot": lambda d: F.one_hot(torch.randint(0, 5, (10,)), 5),
    "pairwise_distance": lambda d: F.pairwise_distance(n(8, 20, d=d), n(8, 20, d=d)),
    "cosine_similarity": lambda d: F.cosine_similarity(n(8, 20, d=d), n(8, 20, d=d)),
    "pdist": lambda d: F.pdist(n(8, 20, d=d)),
    "binary_cross_entropy": lambda d: F.binary_cross_entropy(positive(8, 9, d=d) / 1.1, positive(8, 9, d=d) / 1.1),
    "binary_cross_entropy_with_logits": lambda d: F.binary_cross_entropy_with_logits(n(8, 9, d=d), positive(8, 9, d=d)),
    "poisson_nll_loss": lambda d: F.poisson_nll_loss(n(8, 9, d=d), positive(8, 9, d=d)),
    "cross_entropy": lambda d: F.cross_entropy(n(16, 10, d=d), torch.randint(0, 10, (16,))),
    "cosine_embedding_loss": lambda d: F.cosine_embedding_loss(n(8, 9, d=d), n(8, 9, d=d), sign(8)),
    "ctc_loss": lambda d: F.ctc_loss(F.log_softmax(n(12, 2, 6, d=d), 2), torch.randint(1, 6, (2, 4)),
                                     torch.tensor([12, 12]), torch.tensor([4, 4])),
    "gaussian_nll_loss": lambda d: F.gaussian_nll_loss(n(8, 9, d=d), n(8, 9, d=d), positive(8, 9, d=d)),
    "hinge_embedding_loss": lambda d: F.hinge_embedding_loss(n(8, 9, d=d), sign(8, 9)),
    "kl_div": lambda d: F.kl_div(F.log_softmax(n(8, 9, d=d), 1), F.softmax(n(8, 9, d=d), 1), reduction="sum"),
    "l1_loss": lambda d: F.l1_loss(n(8, 9, d=d), n(8, 9, d=d)),
    "mse_loss": lambda d: F.mse_loss(n(8, 9, d=d), n(8, 9, d=d)),
    "margin_ranking_loss": lambda d: F.margin_ranking_loss(n(20, d=d), n(20, d=d), sign(20), 0.5),
    "multilabel_margin_loss": lambda d: F.multilabel_margin_loss(n(4, 5, d=d), torch.tensor([[1, 3, -1, 0, 0]] * 4)),
    "multilabel_soft_margin_loss": lambda d: F.multilabel_soft_margin_loss(n(8, 9, d=d), (sign(8, 9) + 1) / 2),
    "multi_margin_loss": lambda d: F.multi_margin_loss(n(8, 9, d=d), torch.randint(0, 9, (8,))),
    "nll_loss": lambda d: F.nll_loss(F.log_softmax(n(16, 10, d=d), 1), torch.randint(0, 10, (16,)), positive(10, d=d)),
    "huber_loss": lambda d: F.huber_loss(n(8, 9, d=d), n(8, 9, d=d), delta=0.7),
    "smooth_l1_loss": lambda d: F.smooth_l1_loss(n(8, 9, d=d), n(8, 9, d=d), beta=0.7),
    "soft_margin_loss": lambda d: F.soft_margin_loss(n(8, 9, d=d), sign(8, 9)),
    "triplet_margin_loss": lambda d: F.triplet_margin_loss(*(n(8, 9, d=d) for _ in range(3))),
    "triplet_margin_with_distance_loss": lambda d: F.triplet_margin_with_distance_loss(*(n(8, 9, d=d) for _ in range(3))),
}

_UNARY = {name: unit for name in "acos arccos arcsin erfinv".split()}
_UNARY |= {name: positive for name in "log log10 log2 log1p sqrt".split()}
_UNARY |= {name: n for name in """abs angle atan arctan cos cosh exp expm1 lgamma negative sigmoid sin sinh square tan tanh
    adjoint amax amin aminmax max mean median min norm std sum logsumexp cummax cummin cumprod cumsum logcumsumexp""".split()}
_DIMENSIONS = {name: (1,) for name in "logsumexp cummax cummin cumprod cumsum logcumsumexp".split()}
_BINARY = "add sub subtract mul multiply minimum logaddexp logaddexp2 dist".split()

_METHODS = {
    "acosh": lambda d: (positive(40, d=d) + 1).acosh(),
    "arccosh": lambda d: (positive(40, d=d) + 1).arccosh(),
    "addbmm": lambda d: n(5, 6, d=d).addbmm(n(3, 5, 7, d=d), n(3, 7, 6, d=d), alpha=0.3),
    "addcdiv": lambda d: n(40, d=d).addcdiv(n(40, d=d), positive(40, d=d), value=0.3),
    "addcmul": lambda d: n(40, d=d).addcmul(n(40, d=d), n(40, d=d), value=0.3),
    "addmm": lambda d: n(5, 6, d=d).addmm(n(5, 7, d=d), n(7, 6, d=d), beta=0.3),
    "sspaddmm": lambda d: n(5, 6, d=d).to_sparse().sspaddmm(n(5, 7, d=d).to_sparse(), n(7, 6, d=d)),
    "addmv": lambda d: n(5, d=d).addmv(n(5, 7, d=d), n(7, d=d)),
    "addr": lambda d: n(5, 6, d=d).addr(n(5, d=d), n(6, d=d)),
    "allclose": lambda d: n(40, d=d).allclose(n(40, d=d)),
    "baddbmm": lambda d: n(3, 5, 6, d=d).baddbmm(n(3, 5, 7, d=d), n(3, 7, 6, d=d)),
    "bmm": lambda d: n(3, 5, 7, d=d).bmm(n(3, 7, 6, d=d)),
    "cholesky": lambda d: spd(6, d).cholesky(),
    "cov": lambda d: n(4, 20, d=d).cov(),
    "dot": lambda d: n(100, d=d).dot(n(100, d=d)),
    "igamma": lambda d: positive(40, d=d).igamma(positive(40, d=d)),
    "igammac": lambda d: positive(40, d=d).igammac(positive(40, d=d)),
    "logit": lambda d: (positive(40, d=d) / 1.2).logit(),
    "matmul": lambda d: n(3, 5, 7, d=d).matmul(n(7, 6, d=d)),
    "matrix_power": lambda d: n(6, 6, d=d).matrix_power(3),
    "matrix_exp": lambda d: n(6, 6, d=d).matrix_exp(),
    "mm": lambda d: n(5, 7, d=d).mm(n(7, 6, d=d)),
    "smm": lambda d: n(5, 7, d=d).to_sparse().smm(n(7, 6, d=d)),
    "vdot": lambda d: n(100, d=d).vdot(n(100, d=d)),
}
_METHODS |= {name: (lambda d, name=name, make=make: getattr(make(20, 30, d=d), name)(*_DIMENSIONS.get(name, ())))
             for name, make in _UNARY.items()}
_METHODS |= {name: (lambda d, name=name: getattr(n(20, 30, d=d), name)(n(20, 30, d=d))) for name in _BINARY}

CASES = {f"torch.nn.functional.{name}": call for name, call in _CALLS.items()}
CASES |= {f"torch.Tensor.{name}": call for name, call in _METHODS.items()}
CASES["torch.nn.quantized.functional.linear"] = quantised_linear
