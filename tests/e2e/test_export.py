"""`grokstudy export`: what is written can be read by others, and reads back as the same network."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from grokstudy.circuits._network import network
from grokstudy.cli.app import app
from grokstudy.measure_jobs.hooked_transformer import unless_hooked
from grokstudy.measure_jobs.weights import weights_subject
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.spec.errors import BadInput, DamagedFile
from grokstudy.spec.measure import Subject
from grokstudy.study.api import open as open_study
from grokstudy.study.export import export_trial
from grokstudy.study.lookup import checkpoint_at, find_trial
from tests.e2e.conftest import SMALL, Cli
from tests.e2e.stored import weights

torch.set_num_threads(1)

TRANSFORMER = [
    "preset=small31", "task.p=11", "model.d_model=16", "model.n_heads=2", "model.d_mlp=24", "tracking=none",
    "cluster=none", "--steps", "60",
]  # fmt: skip
NORMED = ["model.n_layers=2", "model.norm_site=pre", "model.norm_affine=true", "model.mlp_bias=false", "task.op=div"]
STUDIES = {
    "transformer": TRANSFORMER,
    "noisy": [*TRANSFORMER, "task.label_noise=0.3", "task.holdout=0.2"],
    "normed": [*TRANSFORMER, *NORMED],
    "tied": [*TRANSFORMER, "model.tied=true", "model.positions=none"],
    "sinusoidal": [*TRANSFORMER, "model.positions=sinusoidal"],
    "quad": [*SMALL, "--steps", "60"],
}
ONLY = ["--only", "cross_entropy", "--only", "gini", "--only", "fourier_losses", "--only", "key_freqs"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    cli = Cli(tmp_path_factory.mktemp("export"))
    for name, words in STUDIES.items():
        invoke(cli, "run", *words, "--name", name)
    return cli


def invoke(cli: Cli, *words: str) -> str:
    """What a command prints, run in this process."""
    result = CliRunner().invoke(app, words, env=dict(cli.env))
    assert result.exit_code == 0, (result.exception, result.output)
    return result.stdout


def trial_of(cli: Cli, study: str) -> str:
    return str(open_study(study, str(cli.root)).trials()["trial_id"].item())


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_an_export_reads_back_as_the_same_network(trained: Cli, study: str, tmp_path: Path) -> None:
    identity = trial_of(trained, study)
    export_trial(identity[:8], str(trained.root), 30, tmp_path / "net")
    back = weights_subject(tmp_path / "net/model.safetensors", None, None, None, "neuron")
    stored = weights(trained.root, study)[identity, 30]
    own = Subject(
        spec=back.spec,
        data=back.spec.task.data(back.spec.seeds),
        params={name: tensor.double() for name, tensor in stored.items()},
        key_freqs=None,
    )
    assert set(back.params) == set(stored)
    assert torch.equal(network(back).logits, network(own).logits)
    for field in ("train", "test", "train_labels"):
        assert (getattr(back.data, field) == getattr(own.data, field)).all()


@pytest.mark.slow
@pytest.mark.parametrize("study", ["transformer", "quad"])
def test_its_measures_equal_those_of_the_study(trained: Cli, study: str, tmp_path: Path) -> None:
    identity = trial_of(trained, study)
    invoke(trained, "export", identity, "--to", str(tmp_path / "net"))
    invoke(trained, "measure", study, *ONLY)
    document = json.loads(
        invoke(trained, "measure", "--weights", str(tmp_path / "net/model.safetensors"), *ONLY, "--format", "json")
    )
    frame = open_study(study, str(trained.root)).measures("step = 60")
    names = ["ce_train", "ce_test", "acc_train", "acc_test", "gini_W_E", "gini_W_L"]
    rows = {(row["measure"], row["protocol"]): row["value"] for row in document["measures"]}
    assert rows["gini_W_E.merged", "components=K;dc=no"] == frame.iloc[0]["gini_W_E.merged"]
    assert {name: document[name] for name in names} == frame.iloc[0][names].to_dict()
    assert pd.notna(document["ce_test"])


@pytest.mark.slow
def test_other_words_for_the_same_network_give_the_same_numbers(trained: Cli, tmp_path: Path) -> None:
    """The files alone, as another code base has them: no config.json of ours beside."""
    net, alone = tmp_path / "net", tmp_path / "alone"
    invoke(trained, "export", trial_of(trained, "transformer"), "--to", str(net))
    alone.mkdir()
    for name in ("model.safetensors", "split.json"):
        (alone / name).write_bytes((net / name).read_bytes())
    measure = ["measure", *ONLY, "--format", "json", "--weights"]
    ours = invoke(trained, *measure, str(net / "model.safetensors"))
    words = ["task=modular", "task.op=add", "task.p=11", "--split", str(alone / "split.json")]
    theirs = invoke(trained, *measure, str(alone / "model.safetensors"), *words)
    assert json.loads(ours) == json.loads(theirs)


@pytest.mark.slow
def test_the_files_say_what_others_need(trained: Cli, tmp_path: Path) -> None:
    identity = trial_of(trained, "transformer")
    printed = invoke(trained, "export", identity[:6], "--step", "0", "--to", str(tmp_path / "net"), "--format", "json")
    assert json.loads(printed) == {
        "trial_id": identity,
        "study": "transformer",
        "step": 0,
        "to": str(tmp_path / "net"),
        "layout": "transformer_lens",
        "reason": None,
        "tensors": 16,
    }
    config = json.loads((tmp_path / "net/config.json").read_text())
    expected = {
        "n_layers": 1, "n_heads": 2, "d_model": 16, "d_head": 8, "d_mlp": 24, "n_ctx": 3, "d_vocab": 12,
        "d_vocab_out": 12, "act_fn": "relu", "normalization_type": None,
    }  # fmt: skip
    assert {key: config[key] for key in expected} == expected
    assert config["grokstudy"]["trial"]["task"]["p"] == 11
    tensors = load_file(tmp_path / "net/model.safetensors")
    assert tensors["blocks.0.attn.W_O"].shape == (2, 8, 16)
    assert tensors["blocks.0.attn.b_Q"].shape == (2, 8)
    assert not tensors["unembed.b_U"].any()
    split = json.loads((tmp_path / "net/split.json").read_text())
    assert sorted(split["train"] + split["test"]) == list(range(121))


@pytest.mark.slow
def test_an_earlier_export_is_only_replaced_when_asked(trained: Cli, tmp_path: Path) -> None:
    net, start = tmp_path / "net", ["export", trial_of(trained, "quad"), "--step", "0", "--to", str(tmp_path / "net")]
    invoke(trained, "export", trial_of(trained, "quad"), "--to", str(net))
    before = (net / "model.safetensors").read_bytes()
    assert "--force" in trained.run(*start, code=2).stderr
    assert (net / "model.safetensors").read_bytes() == before
    invoke(trained, *start, "--force")
    assert (net / "model.safetensors").read_bytes() != before
    assert sorted(path.name for path in net.iterdir()) == ["config.json", "model.safetensors", "split.json"]


@pytest.mark.slow
def test_what_is_not_there_is_named_with_what_is(trained: Cli, tmp_path: Path) -> None:
    root, identity = str(trained.root), trial_of(trained, "quad")
    with pytest.raises(BadInput, match=r"got 'nothing'.*studies here: noisy"):
        find_trial("nothing", root)
    with pytest.raises(BadInput, match="'noisy' is a study"):
        export_trial("noisy", root, None, tmp_path / "net")
    with pytest.raises(BadInput, match="6 trials start like this"):
        find_trial("", root)
    with pytest.raises(BadInput, match=r"--step: got 31, .* nearest: .*30.*checkpoint.steps=\[31\]"):
        checkpoint_at(find_trial(identity, root), 31)
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="must be a folder"):
        export_trial(identity, root, None, tmp_path / "file")


@pytest.mark.slow
def test_a_changed_config_is_noticed(trained: Cli, tmp_path: Path) -> None:
    net = tmp_path / "net"
    invoke(trained, "export", trial_of(trained, "transformer"), "--to", str(net))
    document = json.loads((net / "config.json").read_text())
    document["grokstudy"]["layout"] = "other"
    (net / "config.json").write_text(json.dumps(document))
    with pytest.raises(DamagedFile, match=r"config.json.*export the trial again"):
        weights_subject(net / "model.safetensors", None, None, None, "neuron")
    document["grokstudy"].pop("layout")
    (net / "config.json").write_text(json.dumps(document))
    with pytest.raises(DamagedFile, match=r"config.json.*layout"):
        weights_subject(net / "model.safetensors", None, None, None, "neuron")


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (Transformer(), None),
        (Transformer(norm_site="pre", norm_kind="rmsnorm"), None),
        (Transformer(gated=True, mlp_bias=False), None),
        (Transformer(n_layers=2, attn_only=True), None),
        (Transformer(gated=True), "gate"),
        (Transformer(attn_rate=0.5), "attn_rate"),
        (Transformer(activation="quad"), "x^2"),
        (Transformer(positions="rotary"), "rotary"),
        (Transformer(norm_site="post"), "norm_site=post"),
        (QuadMLP(), "quad_mlp"),
    ],
)
def test_only_what_computes_the_same_is_called_a_hooked_transformer(
    model: Transformer | QuadMLP, word: str | None
) -> None:
    reason = unless_hooked(model)
    assert reason is None if word is None else word in str(reason)
