"""The main job: an unmodified training script, checked, traced to its lines, and not changed by a bit."""
import pytest
import torch

from support import DEVICE, EVERY_MODE, HOOK, TRAIN_GPT, Session, plain, run

STEPS = 4
CALLS_PER_STEP = 39  # 2 blocks of 6 products and the head, each forward once and backward twice


@pytest.fixture(scope="module", params=["float32", "bfloat16", "autocast"])
def training(request, tmp_path_factory):
    """Trained once with all modes and once without FuMi: (session, output with, output without, dump with, dump without)."""
    folder = tmp_path_factory.mktemp(request.param)
    precision = ["--autocast", "bfloat16"] if request.param == "autocast" else ["--dtype", request.param]
    arguments = ["--steps", STEPS, *precision, "--dump"]
    bare = plain(TRAIN_GPT, *arguments, folder / "plain.pt")
    checked = run(folder / "gpt.fumi", TRAIN_GPT, *arguments, folder / "checked.pt", mode=EVERY_MODE)
    return Session(folder / "gpt.fumi"), checked, bare, folder / "checked.pt", folder / "plain.pt"


def test_every_call_is_checked_and_passes(training):
    session = training[0]
    assert session.one("select count(*) from calls") == CALLS_PER_STEP * STEPS
    assert session.unexplained() == []
    assert session.one("select count(*) from calls where not_checked <> ''") == 0
    found = {(row[0], row[1]): row[2] for row in session.rows("select mode, verdict, count(*) from checks group by 1, 2")}
    assert found == {(mode, "pass"): CALLS_PER_STEP * STEPS for mode in EVERY_MODE.split(",")[1:]}


def test_the_data_of_a_healthy_training_are_well_conditioned(training):
    session = training[0]
    least, most = session.rows("select min(amplification), max(amplification) from checks where mode = 'add_noise'")[0]
    assert 0.2 < least and most < 4


@pytest.mark.parametrize("phase", ["forward", "backward"])
def test_linear_is_named_with_its_line_and_module(training, phase):
    session = training[0]
    rows = session.rows("select distinct location, module from calls where api = 'torch.nn.functional.linear' and phase = ?", phase)
    places = {(row["location"], row["module"]) for row in rows}
    lines = TRAIN_GPT.read_text().splitlines()
    assert places
    for location, module in places:
        path, _, line = location.rpartition(":")
        assert path == str(TRAIN_GPT)
        assert "self." in lines[int(line) - 1] and "(" in lines[int(line) - 1], f"{location} is no call of a module"
        assert module.endswith("(Linear)"), module
    assert any(module.startswith("blocks.1.attention.qkv") for _, module in places), places


def test_no_call_is_unmapped(training):
    session = training[0]
    assert session.rows("select function, op from calls where api = '' or location = '' or phase = 'none'") == []


def test_losses_and_parameters_are_identical_bit_for_bit(training):
    _, checked, bare, checked_dump, plain_dump = training
    losses = [line for line in bare.stdout.splitlines() if line.startswith("step")]
    assert len(losses) == STEPS
    assert [line for line in checked.stdout.splitlines() if line.startswith("step")] == losses
    with_fumi, without = torch.load(checked_dump), torch.load(plain_dump)
    assert with_fumi.keys() == without.keys()
    for name, value in without.items():
        assert torch.equal(with_fumi[name].view(torch.uint8), value.view(torch.uint8)), name


def test_the_summary_says_what_was_checked(training):
    session, checked, *_ = training
    text = checked.stdout + checked.stderr
    assert str(session.one("select count(*) from calls")) in text
    rows = [line.split() for line in text.splitlines()]
    for api, phase, calls in map(tuple, session.rows("select api, phase, calls from apis")):
        assert any(row[:4] == [api, phase, str(calls), "100%"] for row in rows), (api, phase)


def test_injection_alone_writes_a_session(tmp_path):
    plain(TRAIN_GPT, "--steps", 1, inject=HOOK, cwd=tmp_path)
    (path,) = tmp_path.glob("*.fumi")
    session = Session(path)
    # Within 3% of the time: the first call of each line, function and size at least.
    checked = "select distinct location, function, shape from calls join checks using (call_id) where mode = 'checksum'"
    assert session.rows(checked + " order by 1, 2, 3") == session.rows("select distinct location, function, shape from calls order by 1, 2, 3")
    assert session.unexplained() == []
    assert session.one("select count(*) from calls where api = 'torch.nn.functional.linear' and phase = 'backward'") > 0


@pytest.mark.skipif(DEVICE != "soft", reason="a property of the software device's scheduler")
def test_an_adversarial_schedule_changes_nothing(tmp_path):
    arguments = ["--steps", 2]
    calm = plain(TRAIN_GPT, *arguments)
    wild = run(tmp_path / "wild.fumi", TRAIN_GPT, *arguments, SOFTCUDA_SCHEDULE="adversarial", SOFTCUDA_SEED="5")
    assert [l for l in wild.stdout.splitlines() if l.startswith("step")] == calm.stdout.splitlines()
    session = Session(tmp_path / "wild.fumi")
    assert session.one("select count(*) from checks where verdict <> 'pass'") == 0
    assert session.unexplained() == []
