"""Every option of conf/ composes, YAML and dataclasses agree, axes mean what they say, and wrong input is explained."""

from __future__ import annotations

import dataclasses
import importlib.resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from grokstudy.spec import plugins
from grokstudy.spec.axes import Axis
from grokstudy.spec.compose import compose_study, options
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import path_name
from grokstudy.spec.grammar import parse
from grokstudy.spec.identity import leaves, trial_id
from grokstudy.spec.rooms import GROUPS
from grokstudy.spec.settings import (
    CheckpointSettings,
    ClusterSettings,
    EngineSettings,
    StorageSettings,
    TrackingSettings,
)
from grokstudy.spec.study import MeasureSettings, StudySpec
from grokstudy.spec.trial import Init, Noise, Numerics

CONF = Path(str(importlib.resources.files("grokstudy.conf")))
FILES = sorted(path.relative_to(CONF) for path in CONF.glob("*/*.yaml"))


def every_trial(study: StudySpec) -> None:
    """Decodes the trial at every value of every axis (of several axes, one away from the first point at a time)."""
    first = {axis.path: axis.values[0] for axis in study.axes if axis.values}
    study.trial(first)
    for axis in study.axes:
        for value in axis.values:
            study.trial({**first, axis.path: value})


# ---- options and defaults


def test_there_are_options_in_every_group() -> None:
    assert {path.parent.name for path in FILES} >= {*GROUPS, "regularization", "init", "engine", "cluster", "tracking"}


PARTNERS = {
    "task/image": ["model=mlp"],
    "task/sparse_parity": ["model=mlp"],
    "task/sums": ["model=embed_decoder"],
    "task/teacher_student": ["model=mlp", "loss=mse"],
    "task/tms": ["model=tms", "loss=mse"],
    "model/mlp": ["task=image"],
    "model/tms": ["task=tms", "loss=mse"],
    "loss/mse": ["task=teacher_student", "model=mlp"],
    "optimizer/adam": ["regularization=none"],
    "sampler/boundary": ["optimizer.lr=log(0.001,0.1)"],
    "sampler/tpe": ["optimizer.lr=log(0.001,0.1)"],
}
"""What an option needs beside it, where it does not fit the defaults (a transformer on modular addition with decay)."""


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_option_composes_and_decodes(path: Path) -> None:
    option = f"{path.parent.name}/{path.stem}"
    study = compose_study([option.replace("/", "="), *PARTNERS.get(option, [])])
    every_trial(study)
    assert study.name


@pytest.mark.parametrize("group", GROUPS)
def test_every_plugin_is_an_option_with_or_without_a_file(group: str) -> None:
    assert set(plugins.names(GROUPS[group])) <= set(options(group))


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name in GROUPS], ids=str)
def test_yaml_defaults_of_plugins_equal_dataclass_defaults(path: Path) -> None:
    written = yaml.safe_load((CONF / path).read_text())
    cls = plugins.load(GROUPS[path.parent.name], written.pop("name"))
    assert written == {field.name: plain(field.default) for field in dataclasses.fields(cls)}


@pytest.mark.parametrize(
    ("file", "records"),
    [
        ("engine/cpu.yaml", [EngineSettings, Numerics]),
        ("cluster/local.yaml", [ClusterSettings]),
        ("tracking/mlflow.yaml", [TrackingSettings]),
        ("init/standard.yaml", [Init]),
        ("noise/none.yaml", [Noise]),
    ],
)
def test_yaml_defaults_of_records_equal_dataclass_defaults(file: str, records: list[Any]) -> None:
    written = yaml.safe_load((CONF / file).read_text())
    assert written == {path_name(f.name): plain(f.default) for record in records for f in dataclasses.fields(record)}


def test_the_roots_defaults_equal_dataclass_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROKSTUDY_STORAGE", raising=False)
    study = compose_study([])
    assert study.checkpoint == CheckpointSettings()
    assert study.measures == MeasureSettings()
    assert study.storage == StorageSettings()
    assert study.engine == EngineSettings()
    assert (study.axes, study.trial({}).seed, study.trial({}).batch_size) == ((), 0, None)


def test_storage_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROKSTUDY_STORAGE", "s3://bucket/place")
    assert compose_study([]).storage.root == "s3://bucket/place"
    assert compose_study(["storage.root=/mine"]).storage.root == "/mine"


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# ---- presets and groups


@pytest.mark.parametrize("kind", ["preset", "study"])
def test_presets_and_studies_name_their_source(kind: str) -> None:
    assert options(kind)
    for name in options(kind):
        study = compose_study([f"{kind}={name}"])
        assert "arXiv" in study.source
        assert study.name == name


def test_nanda2023_has_exactly_the_papers_number_of_parameters() -> None:
    spec = compose_study(["preset=nanda2023"]).trial({})
    assert sum(tensor.numel() for tensor in spec.model.init(spec.task.shape(), 0).values()) == 226_816
    assert spec.task.train_rows() == 3830


def test_a_preset_is_what_its_file_says() -> None:
    spec = compose_study(["preset=quad23"]).trial({})
    found = {path: leaf.value for path, leaf in leaves(spec).items()}
    assert found["model.name"] == "quad_mlp"
    assert (found["task.p"], found["optimizer.lr"], found["regularization.weight_decay"]) == (23, 0.01, 1.0)
    assert found["loss.name"] == "mse_onehot"


def test_a_setting_on_the_command_line_changes_only_itself() -> None:
    study = compose_study(["preset=quad23", "optimizer.lr=0.02"])
    expected = compose_study(["preset=quad23"]).trial({"optimizer.lr": 0.02})
    assert study.trial({}) == expected


@pytest.mark.parametrize(
    ("words", "group", "expected"),
    [
        (["preset=quad23", "optimizer=adamw"], "optimizer", {"optimizer.lr": 0.001}),
        (["preset=quad23", "task=modular"], "task", {"task.p": 113}),
        (["preset=quad23", "model=transformer"], "model", {"model.d_model": 128, "model.n_heads": 4}),
        (["preset=small31", "model=transformer", "model.d_mlp=99"], "model", {"model.d_mlp": 99, "model.d_model": 128}),
        (["preset=small31", "loss=mse_onehot"], "loss", {"loss.reduction": "mean"}),
        (["preset=quad23", "regularization=l2"], "regularization", {"regularization.weight_decay": 0.0}),
        (["study=demo", "optimizer=adamw"], "optimizer", {"optimizer.lr": 0.001}),
        (["optimizer=adamw", "preset=quad23"], "optimizer", {"optimizer.lr": 0.001}),
    ],
)
def test_a_group_on_the_command_line_drops_the_presets_values_for_that_group_alone(
    words: list[str], group: str, expected: dict[str, Any]
) -> None:
    preset = next(word for word in words if word.startswith(("preset=", "study=")))
    with_preset = {path: leaf.value for path, leaf in leaves(compose_study([preset]).trial({})).items()}
    found = {path: leaf.value for path, leaf in leaves(compose_study(words).trial({})).items()}
    assert {path: found[path] for path in expected} == expected
    others = [path for path in with_preset if not path.startswith(f"{group}.")]
    assert {path: found[path] for path in others} == {path: with_preset[path] for path in others}


def test_regularization_terms_combine_and_always_exist() -> None:
    both = compose_study(["regularization.l2=0.1", "regularization.weight_decay=2"]).trial({}).regularization
    assert (both["l2"], both["weight_decay"]) == (0.1, 2.0)
    none = compose_study(["regularization=none"]).trial({}).regularization
    assert dict(none) == dict.fromkeys(plugins.names("regularizers"), 0.0)


def test_users_bring_groups_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "preset").mkdir()
    (tmp_path / "preset" / "mine.yaml").write_text("# @package _global_\nsource: me\ntask: {p: 29}\nbudget: 77\n")
    study = compose_study(["preset=mine"], config_dir=tmp_path)
    assert (study.name, study.budget, study.trial({}).task.shape().vocab) == ("mine", 77, 29)
    assert "mine" in options("preset", tmp_path)


def test_the_name_is_the_given_one_else_the_studys_else_the_presets() -> None:
    assert compose_study([]).name == "study"
    assert compose_study(["preset=small31"]).name == "small31"
    assert compose_study(["preset=small31", "study=demo"]).name == "demo"
    assert compose_study(["study=demo", "name=word"]).name == "word"
    assert compose_study(["study=demo", "name=word"], name="option").name == "option"


# ---- axes


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("optimizer.lr=0.1,0.2", (0.1, 0.2)),
        ("task.p=5,7,5", (5, 7)),
        ("task.op=add,mul", ("add", "mul")),
        ("task.op='add','mul'", ("add", "mul")),
        ("seed=seeds(3)", (0, 1, 2)),
        ("seed=range(2,5)", (2, 3, 4)),
        ("batch_size=null,16", (None, 16)),
        ("task.frac_train=lin(0.3,0.9,7)", (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)),
        ("optimizer.lr=log(0.001,1,4)", (0.001, 0.01, 0.1, 1.0)),
        ("regularization.weight_decay=0,log(0.1,10,3)", (0, 0.1, 1.0, 10.0)),
        ("regularization.weight_decay=log(0.1,1,2),lin(2,4,3)", (0.1, 1.0, 2.0, 3.0, 4.0)),
        ("init.scale=log(0.1,10,6)", (0.1, 0.251188643151, 0.63095734448, 1.58489319246, 3.98107170553, 10.0)),
    ],
)
def test_values_of_an_axis(word: str, values: tuple[Any, ...]) -> None:
    """Nested sweeps are flattened, doubles dropped, floats rounded to 12 significant digits."""
    assert parse([word]).axes == (Axis(path=word.partition("=")[0], values=values),)


def test_words_are_sorted_into_what_is_fixed_and_what_varies() -> None:
    words = parse(["task.p=7", "seed=0,1", "optimizer.betas=[0.9,0.98]", "optimizer.lr=log(0.1,1,3)"])
    assert [override.key_or_group for override in words.fixed] == ["task.p", "optimizer.betas"]
    assert [axis.path for axis in words.axes] == ["seed", "optimizer.lr"]
    study = compose_study(["task.p=7", "seed=0,1", "optimizer.lr=log(0.1,1,3)"])
    assert study.axes == words.axes
    every_trial(study)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("optimizer.lr=log(0.001,1)", {"low": 0.001, "high": 1.0, "log": True}),
        ("task.frac_train=lin(0.3,0.9)", {"low": 0.3, "high": 0.9}),
        ("task.frac_train=interval(0.3,0.9)", {"low": 0.3, "high": 0.9}),
        ("optimizer.lr=tag(log,interval(0.001,1))", {"low": 0.001, "high": 1.0, "log": True}),
        ("model.d_mlp=interval(8,64)", {"low": 8.0, "high": 64.0, "integer": True}),
        ("model.d_mlp=lin(8,64)", {"low": 8.0, "high": 64.0, "integer": True}),
        ("optimizer.lr=interval(1,2)", {"low": 1.0, "high": 2.0, "integer": False}),
    ],
)
def test_intervals_for_samplers_that_choose_their_points(word: str, expected: dict[str, Any]) -> None:
    study = compose_study([word, "sampler=random"])
    assert study.axes == (Axis(path=word.partition("=")[0], **expected),)
    for point in study.sampler.propose(study.axes, 0, []) or []:
        study.trial(point)


def test_an_interval_is_linear_or_logarithmic() -> None:
    log = Axis(path="optimizer.lr", low=0.01, high=100.0, log=True)
    assert [log.at(unit) for unit in (0.0, 0.25, 0.5)] == [0.01, 0.1, 1.0]
    assert [Axis(path="a", low=2.0, high=4.0).at(unit) for unit in (0.0, 0.5)] == [2.0, 3.0]
    assert [Axis(path="a", values=("x", "y", "z")).at(unit) for unit in (0.0, 0.34, 0.99)] == ["x", "y", "z"]


def test_axes_in_yaml_and_on_the_command_line_are_one(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [{override /preset: quad23}]\n"
        'axes: {task.frac_train: "lin(0.3, 0.9, 7)", seed: "seeds(3)", optimizer.lr: [0.1, 0.2], task.p: 23}\n'
    )
    words = ["task.frac_train=lin(0.3,0.9,7)", "seed=seeds(3)", "optimizer.lr=0.1,0.2"]
    study = compose_study(["study=mine"], config_dir=tmp_path)
    assert study.axes[:3] == compose_study(["preset=quad23", *words]).axes
    assert study.axes[3] == Axis(path="task.p", values=(23,))


def test_words_replace_an_axis_of_the_study_and_a_single_value_removes_it() -> None:
    paths = [axis.path for axis in compose_study(["study=demo"]).axes]
    wider = compose_study(["study=demo", "seed=seeds(9)"])
    assert [axis.path for axis in wider.axes] == paths
    assert next(axis for axis in wider.axes if axis.path == "seed").values == tuple(range(9))
    fixed = compose_study(["study=demo", "seed=4"])
    assert [axis.path for axis in fixed.axes] == [path for path in paths if path != "seed"]
    assert fixed.trial({}).seed == 4


def test_a_point_of_an_axis_is_the_trial_with_that_value_fixed() -> None:
    study = compose_study(["preset=quad23", "regularization.weight_decay=log(0.1,10,9)"])
    value = study.axes[0].values[3]
    fixed = compose_study(["preset=quad23", f"regularization.weight_decay={value!r}"])
    assert trial_id(study.trial({study.axes[0].path: value})) == trial_id(fixed.trial({}))


# ---- wrong input

WRONG = {
    # words: what the message must contain
    "task=moduler": ("task", "moduler", "'modular'"),
    "model=transfomer": ("model", "transfomer", "'transformer'", "quad_mlp"),
    "optimizer=adammw": ("optimizer", "'adammw'", "'adamw'"),
    "loss=ce": ("loss", "'ce'", "'ce64'"),
    "sampler=gird": ("sampler", "gird", "'grid'", "random"),
    "preset=quad32": ("preset", "quad32", "'quad23'", "nanda2023"),
    "study=dem": ("study", "dem", "'demo'"),
    "cluster=ray3": ("cluster", "ray3", "local", "none"),
    "optimizer=3": ("optimizer", "'3'", "adamw"),
    "optimizer.lrr=1": ("optimizer.lrr", "'optimizer.lr'", "optimizer.betas"),
    "modle.width=3": ("modle.width", "'model'"),
    "bugdet=3": ("bugdet", "'budget'"),
    "+foo=3": ("foo", "budget"),
    "+optimizer.lrr=3": ("optimizer.lrr", "'lr'", "betas"),
    "regularization.weight_deacy=1": ("regularization.weight_deacy", "'regularization.weight_decay'"),
    "model.width=64": ("model.width", "transformer", "model.d_mlp"),
    "preset=quad23 model.n_heads=2": ("model.n_heads", "quad_mlp", "model.width"),
    "sampler.n_trials=5": ("sampler.n_trials", "grid"),
    "engine.thread=2": ("engine.thread", "'engine.threads'"),
    "optimizer.lr=fast": ("optimizer.lr", "'fast'", "float"),
    "optimizer.lr=true": ("optimizer.lr", "True", "float"),
    "optimizer.lr=0": ("optimizer.lr", "0.0", "> 0"),
    "optimizer.lr=nan": ("optimizer.lr", "nan", "finite"),
    "optimizer.lr=null": ("optimizer.lr", "None", "float"),
    "optimizer.betas=[0.9]": ("optimizer.betas", "1", "2 values"),
    "optimizer.betas=[0.9,1]": ("optimizer.betas", "1.0", "[0, 1)"),
    "optimizer.eps=0": ("optimizer.eps", "0.0", "> 0"),
    "optimizer.warmup=1.5": ("optimizer.warmup", "1.5", "int"),
    "task.op=ad": ("task.op", "'ad'", "'add'", "mul"),
    "task.p=1": ("task.p", "1", ">= 2"),
    "task.op=div task.p=10": ("task.p", "10", "prime", "11"),
    "task.op=mix_div_sub task.p=100": ("task.p", "100", "prime", "101"),
    "task.frac_train=0": ("task.frac_train", "0.0", "(0, 1]"),
    "task.frac_train=1.5": ("task.frac_train", "1.5", "(0, 1]"),
    "task.frac_train=1e-5 task.p=5": ("task.frac_train", "1e-05", "no row"),
    "task.label_noise=1.1": ("task.label_noise", "1.1", "[0, 1]"),
    "task.holdout=-0.1": ("task.holdout", "-0.1", "[0, 1)"),
    "model.n_heads=3": ("model.n_heads", "3", "128", "nearest: 2"),
    "model.n_layers=0": ("model.n_layers", "0", ">= 1"),
    "preset=quad23 loss.reduction=meen": ("loss.reduction", "meen", "'mean'", "half_sum"),
    "regularization.weight_decay=-1": ("regularization.weight_decay", "-1.0", ">= 0"),
    "init.scale=0": ("init.scale", "0.0", "> 0"),
    "seed=-1": ("seed", "-1", ">= 0"),
    "preset=quad23 batch_size=1000": ("batch_size", "1000", "1..264"),
    "engine.dtype=float16": ("engine.dtype", "float16", "'float64'", "float32"),
    "engine.threads=0": ("engine.threads", "0", ">= 1"),
    "budget=0": ("budget", "0", ">= 1"),
    "budget=1.5": ("budget", "1.5", "whole number"),
    "name=a/b": ("name", "a/b", "letters"),
    "measures.checkpoints=some": ("measures.checkpoints", "some", "all", "final"),
    "checkpoint.steps=[-1]": ("checkpoint.steps", "-1", ">= 0"),
    "cluster.pack_size=0": ("cluster.pack_size", "0", ">= 1"),
    "tracking.granularity=trail": ("tracking.granularity", "trail", "'trial'", "cell"),
    # what belongs to another option of the group
    "model=mlp task=image model.norm_site=pre": ("model.norm_site", "model=transformer", "model.width"),
    "preset=quad23 model.n_heads=4": ("model.n_heads", "model=transformer", "model.width"),
    "optimizer.momentum=0.9": ("optimizer.momentum", "optimizer=muon", "optimizer=sgd", "optimizer.betas"),
    "task=group task.p=7": ("task.p", "task=modular", "task.group"),
    "preset=quad23 loss=hinge loss.reduction=mean": ("loss.reduction", "loss=mse_onehot", "no settings"),
    # task and model, task and loss
    "task=image": ("model", "transformer", "real", "mlp"),
    "model=mlp": ("model", "tokens", "model=onehot_mlp"),
    "task=integer model=quad_mlp": ("model", "17 tokens", "model=transformer"),
    "task=integer model=embed_mlp": ("model", "answers (6)", "model=transformer"),
    "task=recurrence task.length=3 model=quad_mlp loss=mse_onehot": ("model", "answers: 1", "model=transformer"),
    "task=tms model=quad_mlp loss=mse": ("model", "answers: 5", "model=tms"),
    "task=tms model=mlp loss=mse": ("model", "5 answers", "model=tms"),
    "loss=mse": ("loss", "classes", "loss=mse_onehot"),
    "task=teacher_student model=mlp loss=ce64": ("loss", "real targets", "loss=mse"),
    # tasks
    "task=group task.group=S7": ("task.group", "S7", "3..6"),
    "task=group task.group=D2": ("task.group", "D2", "3..360", "C2xC2"),
    "task=group task.group=Q8": ("task.group", "'Q8'", "A4..A6", "task.table"),
    "task=group task.group=null": ("task.group", "null", "task.table"),
    "task=group task.table=mine.csv": ("task.table", "task.group=S5", "task.group=null"),
    "task=image model=mlp task.source=mnits": ("task.source", "'mnits'", "'mnist5k'", "digits"),
    "task=image model=mlp task.train=1798": ("task.train", "1798", "1..1797"),
    "task=image model=mlp task.label_noise=1.2": ("task.label_noise", "1.2", "[0, 1]"),
    "task=integer task.label_noise=0.1": ("task.label_noise", "task=modular", "task.digits"),
    "task=multi_op task.ops=add": ("task.ops", "'add'", "[add]"),
    "task=multi_op task.ops=[add]": ("task.ops", "['add']", "two or more"),
    "task=sparse_parity model=mlp task.n=4": ("task.train", "750", "16"),
    "task=recurrence task.coefficients=[1,0]": ("task.coefficients", "[1, 0]", "leave it out"),
    # models
    "model.output_scale=0": ("model.output_scale", "0.0", "> 0"),
    "model.output_scale=-1": ("model.output_scale", "-1.0", "> 0"),
    "model.output_scale=nan": ("model.output_scale", "nan", "finite"),
    "preset=quad23 model.output_scale=0,1": ("model.output_scale", "0.0", "> 0"),
    "model.subtract_start=1": ("model.subtract_start", "1", "bool"),
    # optimizers, filters, noise, regularization
    "preset=quad23 optimizer=muon": ("optimizer", "muon", "quad_mlp", "optimizer=adamw"),
    "optimizer=adam": ("regularization.weight_decay", "1.0", "optimizer=adamw"),
    "optimizer=adam regularization=none optimizer.fix_lr_wd=0.001": ("optimizer.fix_lr_wd", "0.001", "optimizer=adamw"),
    "optimizer.fix_lr_wd=0.1": ("optimizer.fix_lr_wd", "regularization.weight_decay=0"),
    "optimizer.fix_lr_wd=-1 regularization=none": ("optimizer.fix_lr_wd", "-1.0", "> 0"),
    "optimizer.filter=ortho": ("optimizer.filter", "'ortho'", "'orthograd'", "grokfast_ema"),
    "optimizer.filter=none,ortho": ("optimizer.filter", "'ortho'", "'orthograd'"),
    "optimizer.filter_alpha=0.5": ("optimizer.filter_alpha", "optimizer.filter=none"),
    "optimizer=metropolis optimizer.filter=orthograd": ("optimizer.filter", "orthograd", "gradient"),
    "optimizer=langevin regularization.norm=1": ("regularization.norm", "optimizer=sgd"),
    "optimizer=metropolis batch_size=32 regularization=none": ("batch_size", "32", "null"),
    "optimizer=sgd optimizer.nesterov=true": ("optimizer.nesterov", "optimizer.momentum=0"),
    "noise=liner": ("noise", "'liner'", "'linear'", "cosine"),
    "noise.temperature=-1": ("noise.temperature", "-1.0", ">= 0"),
    "noise.end=0.1": ("noise.end", "noise.schedule=const"),
    "noise.schedule=const,linear": ("noise.horizon", "None", "noise.schedule=linear"),
    "noise.temperature=0.1 optimizer=metropolis regularization=none": ("noise.temperature", "learning rate"),
    "regularization.dropout=1": ("regularization.dropout", "1.0", "< 1"),
    "task=tms model=tms loss=mse regularization.dropout=0.1": ("regularization.dropout", "0.1", "model=tms"),
    # forks and the rest
    "init.from=grokked": ("init.from", "'grokked'", "TRIAL@STEP", "t_gen"),
    "init.from=a@30,a": ("init.from", "'a'", "STUDY@STEP"),
    "init.optimizer_state=keep": ("init.optimizer_state", "keep", "init.from"),
    "init.optimizer_state=resett": ("init.optimizer_state", "resett", "'reset'", "keep"),
    "batch_size=0": ("batch_size", "0", "1..6384"),
    "preset=quad23 batch_size=0.5": ("batch_size", "0.5", "int"),
    "early_end.after=3": ("early_end.after", "3.0", ">= 5"),
    "measures.names=gini": ("measures.names", "'gini'", "[gini]"),
    # axes
    "optimizer.lr=log(-1,1,3)": ("optimizer.lr", "-1", "> 0"),
    "seed=seeds(0)": ("seed", "seeds(0)", "at least one"),
    "optimizer.lr=lin(0.1,1,1)": ("optimizer.lr", "lin(0.1,1,1)", "at least 2"),
    "optimizer.lr=logg(0.1,1,3)": ("optimizer.lr", "logg"),
    "optimizer.lr=log(0.1,1)": ("optimizer.lr", "interval", "sampler=random"),
    "optimizer.lr=interval(1,0)": ("optimizer.lr", "1.0", "0.0", "rise"),
    "optimizer.lr=1,abc": ("optimizer.lr", "'abc'", "float"),
    "task.frac_train=0.5,1.5": ("task.frac_train", "1.5", "(0, 1]"),
    "model.width=1,2": ("model.width", "transformer"),
    "preset=quad23 model.d_mlp=1,2": ("model.d_mlp", "quad_mlp", "model.width"),
    "engine.threads=1,2": ("engine.threads", "engine.dtype"),
    "budget=1,2": ("budget", "optimizer.lr"),
    "model=quad_mlp,transformer": ("model", "group"),
    "model.name=quad_mlp,transformer": ("model.name", "group"),
    "optimizer.betas=[0.9,0.98],[0.9,0.99]": ("optimizer.betas", "[0.9, 0.98]", "numbers"),
    "optimizer.lr=3,interval(1,2)": ("optimizer.lr", "mix"),
    "seeds.batch=1,2": ("seeds.batch", "full batch"),
    "seeds.batch=1": ("seeds.batch", "full batch"),
    "seeds.noise=1": ("seeds.noise", "noise"),
    "axes={optimizer.lr:1}": ("axes", "word of its own"),
    "optimizer.lr": ("optimizer.lr", "="),
    "=3": ("=3", "names no setting"),
    "task.table=0;1": ("task.table=0;1", "';'", "quotes"),
    "optimizer.lr=${foo}": ("optimizer.lr", "foo"),
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_input_names_key_value_what_is_allowed_and_the_nearest(words: str) -> None:
    with pytest.raises(BadInput) as caught:
        every_trial(compose_study(words.split()))
    message = str(caught.value)
    for part in WRONG[words]:
        assert part in message
    assert "\n" not in message
    assert "Traceback" not in message
    assert message.endswith((".", "?", ")")), message


@pytest.mark.parametrize(
    "word",
    [
        "optimizer.filter=none,orthograd",
        "task.op=add,mul,random",
        "init.from=null,grokked@30,3f2a@end",
        "noise.temperature=0,0.1",
        "model.subtract_start=false,true",
        "batch_size=null,64",
        "engine.dtype=float32,float64",
    ],
)
def test_words_truth_values_and_null_make_axes_as_numbers_do(word: str) -> None:
    study = compose_study(["preset=quad23", word])
    assert len(study.axes[0].values) == word.count(",") + 1
    assert len({study.trial({study.axes[0].path: value}) for value in study.axes[0].values}) == word.count(",") + 1


def test_batches_may_vary_where_they_are_read() -> None:
    every_trial(compose_study(["batch_size=64", "seeds.batch=1,2"]))
    every_trial(compose_study(["batch_size=32,64", "seeds.batch=1"]))


def test_composing_leaves_no_state_behind() -> None:
    """A failed composition does not disturb the next, and equal words give equal studies."""
    first = compose_study(["preset=quad23"]).trial({})
    with pytest.raises(BadInput):
        compose_study(["preset=quad23", "model.widht=3"])
    assert compose_study(["preset=quad23"]).trial({}) == first


def test_no_option_names_a_class_or_code() -> None:
    assert not [path for path in FILES if "_target_" in (CONF / path).read_text()]
