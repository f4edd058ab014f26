"""Whole training runs on the software device against CPU torch, and against themselves."""
import hashlib
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in self.qkv(x).split(width, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Gpt(nn.Module):
    def __init__(self, vocabulary=31, width=32, heads=4, layers=2, length=16):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids, targets):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(31, 24)
        self.net = nn.Sequential(nn.Linear(24, 48), nn.ReLU(), nn.BatchNorm1d(48), nn.Linear(48, 31))

    def forward(self, ids, targets):
        return F.cross_entropy(self.net(self.embed(ids.flatten())), targets.flatten())


def train(make, device, dtype, steps=5, **options):
    torch.manual_seed(1)
    model = make().to(dtype).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, **options)
    generator = torch.Generator().manual_seed(2)
    losses = []
    for _ in range(steps):
        data = torch.randint(0, 31, (4, 17), generator=generator).to(device)
        loss = model(data[:, :-1], data[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses).double().cpu(), model


def digest(model, losses):
    sha = hashlib.sha256(losses.numpy().tobytes())
    for parameter in model.parameters():
        sha.update(parameter.detach().cpu().numpy().tobytes())
    return sha.hexdigest()


@pytest.mark.parametrize("make", [Mlp, Gpt])
@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_losses_equal_those_of_the_cpu(make, dtype, tolerance):
    expected, _ = train(make, "cpu", dtype)
    losses, _ = train(make, "cuda", dtype)
    torch.testing.assert_close(losses, expected, rtol=tolerance, atol=tolerance)
    assert losses[-1] != losses[0] and math.isfinite(losses[-1])


@pytest.mark.parametrize("make", [Mlp, Gpt])
def test_two_runs_are_equal_bit_by_bit(make):
    first = train(make, "cuda", torch.float32, fused=True)
    second = train(make, "cuda", torch.float32, fused=True)
    assert digest(first[1], first[0]) == digest(second[1], second[0])


def test_mixed_precision_follows_single_precision():
    def run(enabled):
        torch.manual_seed(1)
        model = Gpt().to("cuda")
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        scaler = torch.amp.GradScaler("cuda", enabled=enabled)
        data = torch.randint(0, 31, (4, 17), generator=torch.Generator().manual_seed(2)).to("cuda")
        losses = []
        for _ in range(5):
            with torch.autocast("cuda", dtype=torch.float16, enabled=enabled):
                loss = model(data[:, :-1], data[:, 1:])
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            losses.append(loss.item())
        return losses
    assert run(True) == pytest.approx(run(False), rel=2e-2)


def test_a_step_does_not_wait_for_the_device():
    """The host runs ahead: with the stream kept busy, a step seen before is enqueued without one synchronisation."""
    _, model = train(Gpt, "cuda", torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    data = torch.randint(0, 31, (4, 17), device="cuda")
    busy = torch.ones(4_000_000, device="cuda")
    for attempt in range(3):
        torch.cuda.synchronize()
        marker = torch.cuda.Event()
        if attempt == 2:
            for _ in range(40):
                busy.sin_()
        marker.record()
        loss = model(data[:, :-1], data[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    assert not marker.query()
    assert math.isfinite(loss.item())
