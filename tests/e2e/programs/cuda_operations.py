"""A small network trained on the GPU, in fp32, under autocast and compiled; prints each loss and random number to the last bit."""
import torch
import torch.nn.functional as F

torch.manual_seed(0)
cuda = torch.device("cuda")
model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.LayerNorm(32), torch.nn.GELU(), torch.nn.Dropout(0.1),
                            torch.nn.Linear(32, 4)).to(cuda)
weight = torch.randn(4, 4, device=cuda, requires_grad=True)
optimizer = torch.optim.SGD([*model.parameters(), weight], lr=0.1)


def forward(x):
    return torch.softmax(model(x) @ weight, 1)


for step, function in enumerate([forward, forward, torch.compile(forward, backend="aot_eager")]):
    x, target = torch.randn(8, 16, device=cuda), torch.randint(0, 4, (8,), device=cuda)
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=step == 1):
        loss = F.nll_loss(function(x).log(), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item().hex())
print(torch.rand(2, device=cuda).tolist(), torch.rand(2).tolist())
