"""Models as people train them, from torchvision and transformers (random weights, no downloads): train_zoo.py MODEL STEPS [DEVICE]."""
import os
import sys

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # two runs give the same numbers
import torch
from torch.nn import functional as F


def image_model(model, size, classes=100, batch=16):
    images, labels = torch.randn(batch, 3, size, size, device=device), torch.randint(classes, (batch,), device=device)
    return model.to(device), lambda: F.cross_entropy(model(images), labels)


def resnet50():
    """Mixed precision in fp16 and channels_last: cuDNN's tensor-core convolutions."""
    from torchvision.models import resnet50
    model = resnet50(num_classes=100).to(memory_format=torch.channels_last)
    return *image_model(model, 96 if device == "cuda" else 32), torch.float16


def vit():
    from torchvision.models import VisionTransformer
    model = VisionTransformer(image_size=64, patch_size=8, num_layers=4, num_heads=6, hidden_dim=192, mlp_dim=768, num_classes=100)
    return *image_model(model, 64), torch.bfloat16


def text_model(model, inputs):
    return model.to(device), lambda: model(**inputs, labels=inputs["input_ids"]).loss


def tokens(words, shape=(4, 64)):
    return {"input_ids": torch.randint(words, shape, device=device)}


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel
    model = GPT2LMHeadModel(GPT2Config(n_layer=4, n_embd=256, n_head=4, vocab_size=2000))
    return *text_model(model, tokens(2000)), torch.bfloat16


def llama():
    """Weights in bf16, not autocast; grouped-query attention."""
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(hidden_size=256, intermediate_size=688, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=2,
                         vocab_size=2000)
    return *text_model(LlamaForCausalLM(config).to(torch.bfloat16), tokens(2000)), None


def bert():
    """fp32 with TF32 allowed, as most training scripts have it."""
    from transformers import BertConfig, BertForMaskedLM
    torch.set_float32_matmul_precision("high")
    config = BertConfig(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024, vocab_size=2000)
    return *text_model(BertForMaskedLM(config), tokens(2000)), None


def compiled():
    """GPT-2 under torch.compile."""
    model, loss, dtype = gpt2()
    return model, torch.compile(loss), dtype


def speech():
    """Convolutions over time, an LSTM and CTC, in fp32."""
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.front = torch.nn.Sequential(torch.nn.Conv1d(40, 64, 5, stride=2), torch.nn.BatchNorm1d(64), torch.nn.ReLU())
            self.rnn, self.out = torch.nn.LSTM(64, 96, 2, bidirectional=True), torch.nn.Linear(192, 30)

        def forward(self, sound):
            return self.out(self.rnn(self.front(sound).permute(2, 0, 1))[0]).log_softmax(-1)

    model, sound = Net().to(device), torch.randn(8, 40, 100, device=device)
    targets = torch.randint(1, 30, (8, 12), device=device)
    lengths = torch.full((8,), 48), torch.full((8,), 12)
    return model, lambda: F.ctc_loss(model(sound), targets.cpu(), *lengths), None


MODELS = {f.__name__: f for f in (resnet50, vit, gpt2, llama, bert, compiled, speech)}

if __name__ == "__main__":
    name, steps, device = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or ["cuda"])[0]
    torch.manual_seed(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    model, loss_of, dtype = MODELS[name]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16)
    for step in range(steps):
        with torch.autocast(device, dtype or torch.bfloat16, enabled=dtype is not None):
            loss = loss_of()
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        print(f"step {step} loss {loss.item():.4f} {loss.item().hex()}")
