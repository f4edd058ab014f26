"""An LSTM language model and a bf16 transformer on cuDNN's attention: each call checked, named, and not changed by a bit."""
import pytest
import torch

from support import PROGRAMS, Session, plain, run

PROGRAM = PROGRAMS / "train_models.py"
STEPS = 3
# model: (operation, torch API, phase, the module that the call must be in, calls of one step)
LAYERS = {
    "lstm": [("rnn_forward", "torch.lstm", "forward", "rnn (LSTM)", 1),
             ("rnn_backward_data", "torch.lstm", "backward", "rnn (LSTM)", 1),
             ("rnn_backward_weights", "torch.lstm", "backward", "rnn (LSTM)", 1)],
    "attention": [("attention_forward", "torch.nn.functional.scaled_dot_product_attention", "forward", "(Block)", 2),
                  ("attention_backward", "torch.nn.functional.scaled_dot_product_attention", "backward", "(Block)", 2)],
}


@pytest.fixture(scope="module", params=list(LAYERS))
def training(request, tmp_path_factory):
    """Trained once with and once without FuMi: (model, session, output with, output without, folder of the dumps)."""
    folder = tmp_path_factory.mktemp(request.param)
    bare = plain(PROGRAM, request.param, STEPS, folder / "plain.pt")
    checked = run(folder / "model.fumi", PROGRAM, request.param, STEPS, folder / "checked.pt")
    return request.param, Session(folder / "model.fumi"), checked, bare, folder


def test_every_layer_is_there_with_its_line_and_module(training):
    model, session = training[:2]
    lines = PROGRAM.read_text().splitlines()
    for operation, api, phase, module, calls in LAYERS[model]:
        rows = session.rows("select api, phase, location, module, kernel from calls where shape like ?", f"{operation} %")
        assert len(rows) == calls * STEPS, operation
        for row in rows:
            path, _, line = row["location"].rpartition(":")
            assert (row["api"], row["phase"], path) == (api, phase, str(PROGRAM))
            assert "self.rnn(" in lines[int(line) - 1] or "scaled_dot_product_attention(" in lines[int(line) - 1]
            assert row["module"].endswith(module) and row["kernel"] != ""


def test_every_call_is_checked_and_passes(training):
    session = training[1]
    assert session.unexplained() == []
    assert session.rows("select function, shape, not_checked from calls where not_checked <> ''") == []
    assert session.rows("select reason from checks where verdict <> 'pass'") == []
    assert session.one("select count(*) from checks where elements = 0 or coverage <> 'full'") == 0


def test_losses_and_parameters_are_identical_bit_for_bit(training):
    _, _, checked, bare, folder = training
    losses = [line for line in bare.stdout.splitlines() if line.startswith("step")]
    assert len(losses) == STEPS
    assert [line for line in checked.stdout.splitlines() if line.startswith("step")] == losses
    with_fumi, without = torch.load(folder / "checked.pt"), torch.load(folder / "plain.pt")
    assert with_fumi.keys() == without.keys()
    for name, value in without.items():
        assert torch.equal(with_fumi[name].flatten().view(torch.uint8), value.flatten().view(torch.uint8)), name
