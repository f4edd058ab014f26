"""A CNN in training: every convolution and batch norm checked, traced to its line, and not changed by a bit."""
import pytest
import torch

from support import PROGRAMS, Session, plain, run

PROGRAM = PROGRAMS / "train_cnn.py"
STEPS = 3
CONVOLUTIONS = 7  # of one forward pass; the first one's input wants no gradient
NORMS = 4


@pytest.fixture(scope="module", params=[("float32", False), ("float16", True)], ids=["float32", "float16 channels_last"])
def training(request, tmp_path_factory):
    dtype, channels_last = request.param
    folder = tmp_path_factory.mktemp("cnn")
    arguments = ["--steps", STEPS, "--dtype", dtype, *(["--channels-last"] if channels_last else []), "--dump"]
    bare = plain(PROGRAM, *arguments, folder / "plain.pt")
    checked = run(folder / "cnn.fumi", PROGRAM, *arguments, folder / "checked.pt")
    return Session(folder / "cnn.fumi"), checked, bare, folder


def count(session, operation):
    return session.one("select count(*) from calls where shape like ?", f"{operation} %")


def test_every_convolution_and_both_gradients_are_there(training):
    session = training[0]
    assert count(session, "convolution_forward") == CONVOLUTIONS * STEPS
    assert count(session, "convolution_backward_filter") == CONVOLUTIONS * STEPS
    assert count(session, "convolution_backward_data") == (CONVOLUTIONS - 1) * STEPS
    assert count(session, "batch_norm_forward") == NORMS * STEPS
    assert count(session, "batch_norm_backward") == NORMS * STEPS


def test_every_call_is_checked_and_passes(training):
    session = training[0]
    assert session.unexplained() == []
    assert session.rows("select function, shape, not_checked from calls where not_checked <> ''") == []
    assert session.rows("select reason from checks where verdict <> 'pass'") == []
    assert session.one("select count(*) from checks where elements = 0") == 0


@pytest.mark.parametrize("phase", ["forward", "backward"])
@pytest.mark.parametrize("api, kind", [("conv2d", "Conv2d"), ("batch_norm", "BatchNorm2d")])
def test_api_is_named_with_its_line_and_module(training, api, kind, phase):
    session = training[0]
    rows = session.rows("select distinct location, module from calls where api = ? and phase = ? and library = 'cudnn'",
                        f"torch.nn.functional.{api}", phase)
    lines = PROGRAM.read_text().splitlines()
    assert rows
    for location, module in rows:
        path, _, line = location.rpartition(":")
        assert path == str(PROGRAM)
        assert "self." in lines[int(line) - 1], f"{location} is no call of a module"
        assert module.endswith(f"({kind})"), module


def test_no_cudnn_call_is_unmapped(training):
    session = training[0]
    assert session.rows("select function, op from calls where library = 'cudnn' and "
                        "(api not like 'torch.nn.functional.%' or location = '' or phase = 'none' or kernel = '')") == []


def test_losses_and_parameters_are_identical_bit_for_bit(training):
    _, checked, bare, folder = training
    losses = [line for line in bare.stdout.splitlines() if line.startswith("step")]
    assert len(losses) == STEPS
    assert [line for line in checked.stdout.splitlines() if line.startswith("step")] == losses
    with_fumi, without = torch.load(folder / "checked.pt"), torch.load(folder / "plain.pt")
    assert with_fumi.keys() == without.keys()
    for name, value in without.items():
        assert torch.equal(with_fumi[name].flatten().view(torch.uint8), value.flatten().view(torch.uint8)), name


def test_the_summary_names_the_layers(training):
    text = training[1].stdout + training[1].stderr
    assert "torch.nn.functional.conv2d" in text and "torch.nn.functional.batch_norm" in text
