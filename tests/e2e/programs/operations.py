"""Every torch operation of the issue's list that reaches cuBLAS or cuBLASLt, in every dtype that it takes."""
import torch
from torch.nn import functional as F

torch.manual_seed(7)
cuda = torch.device("cuda")


def tensor(*shape, dtype):
    return torch.randn(*shape, dtype=torch.float64 if not dtype.is_complex else torch.complex128).to(dtype).to(cuda)


def products(dtype):
    a, b = tensor(24, 32, dtype=dtype), tensor(32, 40, dtype=dtype)
    torch.mm(a, b)
    torch.mm(b.t(), a.t())
    torch.addmm(tensor(24, 40, dtype=dtype), a, b)
    torch.addmm(tensor(24, 40, dtype=dtype), a, b, beta=0.5, alpha=2)
    batch_a, batch_b = tensor(3, 24, 32, dtype=dtype), tensor(3, 32, 40, dtype=dtype)
    torch.bmm(batch_a, batch_b)
    torch.baddbmm(tensor(3, 24, 40, dtype=dtype), batch_a, batch_b, beta=0.5)
    torch.matmul(batch_a, batch_b)
    torch.matmul(tensor(2, 3, 24, 32, dtype=dtype), tensor(32, 40, dtype=dtype))
    torch.einsum("bij,bjk->bik", batch_a, batch_b)
    torch.einsum("ij,kj->ik", a, b.t())
    torch.mv(a, tensor(32, dtype=dtype))
    torch.addmv(tensor(24, dtype=dtype), a, tensor(32, dtype=dtype))
    torch.dot(tensor(50, dtype=dtype), tensor(50, dtype=dtype))
    torch.vdot(tensor(50, dtype=dtype), tensor(50, dtype=dtype))


def layers(dtype):
    x = tensor(24, 32, dtype=dtype).requires_grad_()
    weight, bias = tensor(40, 32, dtype=dtype).requires_grad_(), tensor(40, dtype=dtype).requires_grad_()
    F.linear(x, weight, bias).sum().backward()
    F.linear(x, weight).sum().backward()
    F.gelu(F.linear(x, weight, bias), approximate="tanh").sum().backward()
    torch._addmm_activation(bias.detach(), x.detach(), weight.detach().t(), use_gelu=True)
    torch._addmm_activation(bias.detach(), x.detach(), weight.detach().t())


def quantised():
    a = torch.randint(-128, 128, (32, 64), dtype=torch.int8, device=cuda)
    b = torch.randint(-128, 128, (48, 64), dtype=torch.int8, device=cuda)
    torch._int_mm(a, b.t())
    one = torch.tensor(0.5, device=cuda)
    x, y = tensor(32, 64, dtype=torch.float8_e4m3fn), tensor(48, 64, dtype=torch.float8_e4m3fn)
    torch._scaled_mm(x, y.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16)
    torch._scaled_mm(x, y.t(), scale_a=one, scale_b=one, bias=tensor(48, dtype=torch.bfloat16), out_dtype=torch.bfloat16)
    torch._scaled_mm(x, y.t(), scale_a=one, scale_b=one, out_dtype=torch.float8_e4m3fn)


for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.complex64):
    products(dtype)
    if not dtype.is_complex:
        layers(dtype)
quantised()
torch.cuda.synchronize()
print("done")
