"""Two implementations of attention in a small Llama, compared by FuMi: the textbook one, whose every step rounds to bf16, and
a flash-style one that goes through the keys in tiles with running maxima and sums in fp32.

    python tools/examples/llama_attention.py             prints each layer's comparison
    fumi run -- python tools/examples/llama_attention.py the same, in the session too
"""
import argparse
import math

import torch
import torch.nn.functional as F

from fumi import decorate_function


def flash_attention(query, key, value, is_causal=False, enable_gqa=False, tile=64):
    """Online softmax: the sum so far is scaled down whenever a tile brings a larger score. Scores and sums in fp32, the
    probabilities as the second product takes them, in the operands' type."""
    if enable_gqa:
        key, value = (t.repeat_interleave(query.size(1) // t.size(1), 1) for t in (key, value))
    length, width = key.size(-2), query.size(-1)
    largest = query.new_full(query.shape[:-1] + (1,), -math.inf, dtype=torch.float32)
    total, out = torch.zeros_like(largest), torch.zeros_like(query, dtype=torch.float32)
    row = torch.arange(query.size(-2)).unsqueeze(1).to(query.device)
    for begin in range(0, length, tile):
        k, v = key[..., begin:begin + tile, :], value[..., begin:begin + tile, :]
        scores = query.float() @ k.float().transpose(-2, -1) / math.sqrt(width)
        if is_causal:
            column = torch.arange(begin, begin + k.size(-2)).to(query.device)
            scores = scores.masked_fill(column > row, -math.inf)
        new = torch.maximum(largest, scores.amax(-1, keepdim=True))
        p, shrink = torch.exp(scores - new), torch.exp(largest - new)
        total = total * shrink + p.sum(-1, keepdim=True)
        out = out * shrink + p.to(query.dtype).float() @ v.float()
        largest = new
    return (out / total).to(query.dtype)


attention_pair = decorate_function("scaled_dot_product_attention", flash_attention)


@attention_pair
def attention(query, key, value, is_causal=False, enable_gqa=False):
    """The textbook: every product and the softmax round to the operands' type."""
    if enable_gqa:
        key, value = (t.repeat_interleave(query.size(1) // t.size(1), 1) for t in (key, value))
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.size(-1))
    if is_causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(hidden, -math.inf)
    return torch.softmax(scores, -1) @ value


def rotate(x, base=10000.0):
    """Rotary positions: each pair (x[i], x[i + D/2]) of a head turns by position / base^(2 i / D)."""
    half = x.size(-1) // 2
    speed = base ** (-torch.arange(half, device=x.device, dtype=torch.float32) / half)
    angle = torch.outer(torch.arange(x.size(-2), device=x.device, dtype=torch.float32), speed)
    cosine, sine = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], -1)


class Block(torch.nn.Module):
    def __init__(self, dim, heads, groups):
        super().__init__()
        self.heads, self.groups, self.width = heads, groups, dim // heads
        self.attention_norm, self.mlp_norm = torch.nn.RMSNorm(dim), torch.nn.RMSNorm(dim)
        self.q = torch.nn.Linear(dim, dim, bias=False)
        self.k, self.v = (torch.nn.Linear(dim, groups * self.width, bias=False) for _ in range(2))
        self.o = torch.nn.Linear(dim, dim, bias=False)
        hidden = dim * 8 // 3
        self.gate, self.up = (torch.nn.Linear(dim, hidden, bias=False) for _ in range(2))
        self.down = torch.nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        batch, length, dim = x.shape
        y = self.attention_norm(x)
        q, k, v = (part(y).view(batch, length, -1, self.width).transpose(1, 2) for part in (self.q, self.k, self.v))
        y = attention(rotate(q), rotate(k), v, is_causal=True, enable_gqa=self.groups < self.heads)
        x = x + self.o(y.transpose(1, 2).reshape(batch, length, dim))
        y = self.mlp_norm(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(torch.nn.Module):
    def __init__(self, vocabulary=512, dim=256, layers=4, heads=8, groups=2):
        super().__init__()
        self.embedding = torch.nn.Embedding(vocabulary, dim)
        self.blocks = torch.nn.ModuleList(Block(dim, heads, groups) for _ in range(layers))
        self.norm, self.head = torch.nn.RMSNorm(dim), torch.nn.Linear(dim, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--gain", type=float, default=2.0, help="of the query's and key's weights: 1 gives scores of about 1")
    options = parser.parse_args()
    torch.manual_seed(0)
    model = Llama()
    with torch.no_grad():
        for block in model.blocks:  # rows of norm 1, so that every projection keeps the size of what it is given
            for linear, gain in ((block.q, options.gain), (block.k, options.gain), (block.v, 1.0)):
                linear.weight.normal_(std=gain / math.sqrt(linear.in_features))
    model.to(options.device, torch.bfloat16)
    with torch.no_grad():
        logits = model(torch.randint(0, 512, (1, options.length)).to(options.device))
    print(f"logits {logits.float().abs().mean().item():.9g}")
    print(f"{'layer':5}  {'what':22}  {'max rel err':>11}  {'rms':>8}  {'eta / u':>9}  {'bound / u':>9}  {'share':>6}  verdict")
    for layer, comparison in enumerate(attention_pair.comparisons):
        for m in comparison.measures:
            print(f"{layer:5}  {m.what:22}  {m.max_rel_err:11.4g}  {m.rms_rel_err:8.3g}  {m.eta:9.3g}  {m.bound:9.3g}  "
                  f"{m.eta / m.bound:6.2f}  {m.verdict}")
    print(attention_pair.worst)


if __name__ == "__main__":
    main()
