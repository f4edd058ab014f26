"""What torch computes with cuDNN besides convolutions: decoded, named, traced, and checked or with its reason."""
import pytest

from support import PROGRAMS, Session, run

RNN = ["rnn_forward", "rnn_backward_data", "rnn_backward_weights"]
# operation, torch API, phase
EXPECTED = [
    ("batch_norm_forward", "torch.nn.functional.batch_norm", "forward"),
    ("batch_norm_backward", "torch.nn.functional.batch_norm", "backward"),
    ("batch_norm_inference", "torch.nn.functional.batch_norm", "forward"),
    *[(operation, f"torch.{cell}", "forward" if operation == "rnn_forward" else "backward")
      for cell in ("lstm", "gru", "rnn_tanh", "rnn_relu") for operation in RNN],
    ("attention_forward", "torch.nn.functional.scaled_dot_product_attention", "forward"),
    ("attention_backward", "torch.nn.functional.scaled_dot_product_attention", "backward"),
    ("ctc_loss", "torch.nn.functional.ctc_loss", "forward"),
    ("grid_sample_forward", "torch.nn.functional.grid_sample", "forward"),
    ("grid_sample_backward", "torch.nn.functional.grid_sample", "backward"),
]
CHECKED = ["batch_norm", "rnn_forward", "attention", "ctc_loss", "grid_sample"]
DROPOUT = "dropout: which elements it dropped is not visible"  # the reason of recurrent nets in training with dropout


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    path = tmp_path_factory.mktemp("layers") / "layers.fumi"
    run(path, PROGRAMS / "layers.py")
    return Session(path)


@pytest.mark.parametrize("operation, api, phase", EXPECTED)
def test_operation_is_traced(session, operation, api, phase):
    rows = session.rows("select location, dtypes, kernel from calls where shape like ? and api = ? and phase = ?",
                        f"{operation} %", api, phase)
    assert rows
    lines = (PROGRAMS / "layers.py").read_text().splitlines()
    for row in rows:
        path, _, line = row["location"].rpartition(":")
        assert path == str(PROGRAMS / "layers.py") and "(" in lines[int(line) - 1]
        assert row["dtypes"] != "" and row["kernel"] != ""


def test_modules_are_named(session):
    for operation, module in [("batch_norm", "BatchNorm"), ("rnn_forward lstm", "LSTM"), ("rnn_forward gru", "GRU")]:
        assert session.one("select count(*) from calls where shape like ? and module not like ?", f"{operation}%", f"%{module}%") == 0


def test_no_graph_is_unknown(session):
    assert session.rows("select shape from calls where shape like 'graph:%' and library = 'cudnn'") == []


def test_every_call_is_checked_or_says_why_not(session):
    assert session.unexplained() == []
    assert session.not_clean() == []


@pytest.mark.parametrize("operation", CHECKED)
def test_operation_is_checked(session, operation):
    rows = session.rows("select distinct shape, not_checked from calls where shape like ? and not_checked not in ('', ?)",
                        f"{operation}%", DROPOUT)
    assert [tuple(row) for row in rows] == []


def test_recurrent_networks_are_checked_in_all_three_calls(session):
    for operation in RNN:
        rows = session.rows("select shape, not_checked from calls where shape like ? and not_checked <> ''", f"{operation} %")
        assert [row["not_checked"] for row in rows] == [DROPOUT], operation
        shapes = {row[0].split(" ", 1)[1] for row in session.rows(
            "select distinct shape from calls natural join checks where verdict = 'pass' and elements > 0 and shape like ?", f"{operation} %")}
        for word in ["lstm", "gru", "tanh", "relu", "bidirectional", "layers=2", "packed", "projection"]:
            assert any(word in shape for shape in shapes), (operation, word)


def test_masks_states_and_lengths_are_said(session):
    shapes = " ".join(row[0] for row in session.rows("select distinct shape from calls"))
    for word in [" causal", " mask", " bidirectional", " packed", " projection=3", " layers=2"]:
        assert word in shapes, word
