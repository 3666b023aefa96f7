"""The benchmarks compare like with like: the plain loops train what the engine trains, and operations are counted
right."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from grokstudy.spec.compose import compose_study
from grokstudy.spec.trial import TrialSpec

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _beside_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are scripts, which import each other by name."""
    monkeypatch.syspath_prepend(str(FOLDER))


def script(name: str) -> ModuleType:
    __import__(name)
    return sys.modules[name]


def first_trial(*words: str) -> TrialSpec:
    return compose_study(words).trial({"seed": 0})


@pytest.mark.parametrize(
    "words",
    [
        ("preset=quad23", "task.p=11"),
        ("preset=kumar2024", "task.p=11", "model.output_scale=2"),
        ("preset=edge_orthograd59", "task.p=11"),
        ("preset=chughtai_s5", "task.group=S3", "engine.dtype=float32"),
        ("preset=digits",),
        ("preset=parity30",),
        ("preset=parity40", "model.width=50"),
        ("preset=tms5", "task.train=100"),
        ("preset=small31", "task.p=11"),
        ("preset=zhong2023", "task.p=11"),
        ("preset=power2022", "task.p=11", "batch_size=32", "model.d_model=32"),
        ("preset=grokfast", "task.p=11", "batch_size=32", "model.d_model=32"),
        ("preset=sort", "task.train=64", "task.test=10", "batch_size=null"),
        ("preset=integer5", "task.train=40", "task.test=10", "model.d_model=32", "model.d_mlp=64"),
    ],
    ids=lambda words: words[0],
)
def test_a_plain_loop_trains_what_the_engine_trains(words: tuple[str, ...]) -> None:
    spec = first_trial(*words)
    plain, pack = script("plain_loop").PlainLoop(spec), script("pack").Pack([spec])
    before = plain.train_loss()
    for _ in range(12):  # past the warm-up
        plain.step()
        pack.step()
    # Float32 rounds each of some 1e3 additions by 6e-8; the updates, which divide by the root of the second moment,
    # enlarge that where gradients are small.
    assert pack.evaluate() == pytest.approx(plain.train_loss(), rel=1e-3)
    assert abs(plain.train_loss() - before) > 5e-3 * before, "hardly anything was learned, so hardly anything compared"


def test_products_of_a_quadratic_mlp_are_three_of_its_rows() -> None:
    pack = script("pack").Pack([first_trial("preset=quad23", "task.p=11", "model.width=20")])
    assert script("products").product_flops(pack.step) == 6 * 60 * 20 * 11  # half of 121 pairs


def test_products_of_a_one_layer_transformer_grow_with_its_rows_as_the_formula_says() -> None:
    words = ("preset=small31", "task.p=11", "model.d_model=16", "model.n_heads=2", "model.d_mlp=24")
    counts = {}
    for share in (0.5, 1.0):
        spec = first_trial(*words, f"task.frac_train={share}")
        counts[spec.task.train_rows()] = script("products").product_flops(script("pack").Pack([spec]).step)
    (few, less), (many, more) = counts.items()
    width, d_mlp, outputs = 16, 24, 12
    assert more - less == 6 * (many - few) * (width * d_mlp + width * outputs + d_mlp * outputs)


def test_the_tables_of_the_page_are_those_of_the_results() -> None:
    page, results = (FOLDER / "README.md").read_text(), json.loads((FOLDER / "results.json").read_text())
    tables = script("tables")
    assert all(f"<!-- table: {name} -->" in page for name in tables.TABLES)
    assert tables.rendered(page, results) == page, "run `python benchmarks/tables.py`"


@pytest.mark.slow
def test_the_settings_of_a_benchmark_have_names_of_their_own_and_can_be_trained() -> None:
    settings = script("settings").SETTINGS
    assert len({setting.key for setting in settings}) == len(settings)
    for setting in settings:
        assert compose_study(setting.words).trial({"seed": 1}).engine.dtype == "float32"
