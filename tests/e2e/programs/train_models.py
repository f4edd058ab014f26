"""Small models of the kinds that cuDNN serves, trained for a few steps: train_models.py MODEL STEPS [DUMP]."""
import sys

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

WORDS, WIDTH = 50, 32


class LanguageModel(nn.Module):
    """An LSTM over words, as a first language model is written."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(WORDS, WIDTH)
        self.rnn = nn.LSTM(WIDTH, WIDTH, 2)
        self.decoder = nn.Linear(WIDTH, WORDS)

    def forward(self, words):
        y, _ = self.rnn(self.encoder(words))
        return F.log_softmax(self.decoder(y).view(-1, WORDS), dim=1)


class Block(nn.Module):
    """Attention on cuDNN's path."""

    def __init__(self, heads=2):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        batch, steps, width = x.shape
        q, k, v = self.qkv(self.norm(x)).view(batch, steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.out(y.transpose(1, 2).reshape(batch, steps, width))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Embedding(WORDS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.decoder = nn.Linear(WIDTH, WORDS)

    def forward(self, words):
        x = self.encoder(words.t())
        for block in self.blocks:
            x = block(x)
        return F.log_softmax(self.decoder(x).transpose(0, 1).reshape(-1, WORDS).float(), dim=1)


torch.manual_seed(7)
name, steps = sys.argv[1], int(sys.argv[2])
model = LanguageModel().cuda() if name == "lstm" else Transformer().to("cuda", torch.bfloat16)
text = torch.randint(WORDS, (steps * 16 + 1, 4)).cuda()
for step in range(steps):
    words, targets = text[step * 16:step * 16 + 16], text[step * 16 + 1:step * 16 + 17].reshape(-1)
    loss = F.nll_loss(model(words), targets)
    model.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(p.grad, alpha=-1.0)
    print(f"step {step} loss {loss.item().hex()}")
if len(sys.argv) > 3:
    torch.save({key: value.cpu() for key, value in model.state_dict().items()}, sys.argv[3])
