"""What torch computes with cuDNN besides convolutions, each once, forward and backward."""
import sys

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.rnn import pack_padded_sequence

torch.manual_seed(23)
cuda = "cuda"


def tensor(*shape, dtype=torch.float32):
    return torch.randn(*shape).to(cuda, dtype).requires_grad_()


def finish(output):
    output.backward(torch.randn(output.shape).to(cuda, output.dtype))


def norms():
    for norm, shape in [(nn.BatchNorm1d(5), (6, 5)), (nn.BatchNorm1d(5), (4, 5, 7)), (nn.BatchNorm2d(4), (3, 4, 6, 5)),
                        (nn.BatchNorm3d(3), (2, 3, 4, 5, 3))]:
        norm.to(cuda)
        finish(norm(tensor(*shape)))
        norm.eval()
        norm(tensor(*shape).detach())
    finish(nn.BatchNorm2d(4).to(cuda)(tensor(3, 4, 6, 5, dtype=torch.float16)))
    finish(F.instance_norm(tensor(2, 3, 5, 5)))


def recurrent():
    for network in [nn.LSTM(5, 8), nn.LSTM(5, 8, 2, batch_first=True, bidirectional=True), nn.LSTM(5, 8, proj_size=3),
                    nn.LSTM(5, 8, bias=False), nn.GRU(5, 8, 2), nn.RNN(5, 8), nn.RNN(5, 8, nonlinearity="relu")]:
        network.to(cuda)
        finish(network(tensor(4, 6, 5))[0])
        with torch.no_grad():
            network.eval()(tensor(4, 6, 5))
    network = nn.LSTM(5, 8).to(cuda, torch.float16)
    finish(network(tensor(4, 6, 5, dtype=torch.float16))[0])


def packed():
    for network in [nn.LSTM(5, 8).to(cuda), nn.GRU(5, 8, bidirectional=True).to(cuda)]:
        sequences = pack_padded_sequence(tensor(6, 3, 5), torch.tensor([6, 4, 1]))
        finish(network(sequences)[0].data)


def dropped():
    network = nn.LSTM(5, 8, 2, dropout=0.5).to(cuda)
    finish(network(tensor(4, 6, 5))[0])


def attention():
    masks = {"none": {}, "causal": {"is_causal": True}, "mask": {"attn_mask": torch.randn(2, 1, 16, 24).to(cuda, torch.float16)}}
    for name, options in masks.items():
        keys = 16 if name == "causal" else 24
        for dtype in [torch.float16] + ([torch.bfloat16] if name != "mask" else []):
            query, key, value = tensor(2, 4, 16, 32, dtype=dtype), tensor(2, 4, keys, 32, dtype=dtype), tensor(2, 4, keys, 32, dtype=dtype)
            with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
                finish(F.scaled_dot_product_attention(query, key, value, **options))


def ctc():
    logits = tensor(12, 3, 7)
    targets, lengths = torch.randint(1, 7, (9,), dtype=torch.int32), torch.tensor([4, 3, 2], dtype=torch.int32)
    F.ctc_loss(logits.log_softmax(2), targets, torch.tensor([12, 12, 12], dtype=torch.int32), lengths,
               reduction="sum").backward()


def sampling():
    grid = (torch.rand(2, 5, 6, 2) * 2 - 1).to(cuda).requires_grad_()
    finish(F.grid_sample(tensor(2, 3, 7, 8), grid, align_corners=True))
    F.affine_grid(tensor(2, 2, 3), (2, 3, 5, 6), align_corners=True)


for name in sys.argv[1:] or ["norms", "recurrent", "packed", "dropped", "attention", "ctc", "sampling"]:
    globals()[name]()
torch.cuda.synchronize()
print("done")
