"""The product from Python: running, one trial with its weights and network, figures, and the page about it all."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import grokstudy as gs
from grokstudy.circuits._fourier import transform_1d
from grokstudy.spec.errors import BadInput
from grokstudy.store.checkpoints import checkpoints_of, load_lane
from grokstudy.study.figures import NAMES
from grokstudy.study.launch import as_word
from grokstudy.study.trial import Trial
from tests.e2e.conftest import SMALL, Cli
from tests.e2e.stored import assert_equal, tables

torch.set_num_threads(1)

PAGE = (Path(__file__).parents[2] / "docs/python.md").read_text()
P, WIDTH = 11, 32


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("python") / "data")


@pytest.fixture(scope="module")
def study(root: str) -> gs.Study:
    return gs.run(*SMALL, seed=[0, 1], name="s", steps=40, root=root, progress=False)


@pytest.fixture(scope="module")
def trial(root: str) -> Trial:
    """A small trial that generalises: seven tenths of the pairs are enough for p = 11."""
    words = [word for word in SMALL if word != "cluster=none"]
    study = gs.train(*words, "task.frac_train=0.8", "model.width=64", steps=1500, root=root, progress=False)
    return study.trial()


@pytest.fixture(scope="module")
def transformers(root: str) -> gs.Study:
    sizes = {"task.p": 7, "model.d_model": 8, "model.n_heads": 2, "model.d_mlp": 16}
    return gs.run(
        "tracking=none",
        "cluster=none",
        preset="small31",
        seed=[0, 1],
        name="t",
        steps=5,
        root=root,
        progress=False,
        **sizes,
    )


@pytest.mark.slow
def test_a_run_from_python_leaves_what_the_command_line_leaves(cli: Cli, study: gs.Study, root: str) -> None:
    cli.run("run", *SMALL, "seed=0,1", "--name", "s", "--steps", "40")
    assert_equal(tables(cli.root, "s"), tables(root, "s"))


def test_running_again_does_nothing_and_more_steps_extend(study: gs.Study, root: str) -> None:
    before = study.trials()
    threads = torch.get_num_threads()
    again = gs.run(*SMALL, "seed=0,1", name="s", steps=40, root=root, progress=False)
    assert again.trials().equals(before)
    assert torch.get_num_threads() == threads
    other = gs.run(*SMALL, name="more", steps=5, root=root, progress=False)
    gs.run(*SMALL, name="more", steps=9, root=root, progress=False)
    assert other.trials()["steps_run"].tolist() == [9]


def test_a_training_is_named_after_its_trial_and_is_found_by_its_prefix(trial: Trial, root: str) -> None:
    assert trial.study == f"train-{trial.trial_id[:8]}"
    assert trial.study in gs.studies(root)
    assert gs.trial(trial.trial_id[:10], root).trial_id == trial.trial_id
    assert trial.trial_id in repr(trial)
    assert trial.row["status"] == "done"
    assert trial.config["task"]["p"] == trial.spec.task.shape().classes == P
    assert trial.curves()["step"].tolist()[-1] == 1500


def test_weights_are_those_of_the_checkpoint(trial: Trial) -> None:
    folder = trial.stored.folder
    rows = checkpoints_of(folder, trial.trial_id)
    assert trial.steps == tuple(rows)
    for step in (0, 100, 1500):
        kept = load_lane(folder, rows[step])
        assert all(torch.equal(tensor, kept[name]) for name, tensor in trial.weights(step).items())
    assert torch.equal(trial.weights()["U"], trial.weights(1500)["U"])
    assert torch.equal(trial.weights("step:100")["U"], trial.weights(100)["U"])


def test_a_step_may_be_named_by_t_gen(trial: Trial) -> None:
    t_gen = trial.row["t_gen"]
    assert t_gen > 0
    at = trial.checkpoint("t_gen").step
    assert at == min(step for step in trial.steps if step >= t_gen)
    assert trial.model("t_gen").step == at
    with pytest.raises(BadInput, match=r"no checkpoint from step .*; its last one is at 1500"):
        trial.weights("1000*t_gen")
    with pytest.raises(BadInput, match="must be end, t_gen"):
        trial.weights("last")
    with pytest.raises(BadInput, match="no checkpoint there; nearest"):
        trial.weights(1234)


def test_the_model_gives_the_accuracy_that_was_evaluated(trial: Trial) -> None:
    model, data = trial.model(), trial.data
    right = (model().argmax(dim=-1).numpy() == data.labels)[data.test].mean()
    assert right == pytest.approx(trial.row["test_acc"])
    # Two sums of the same numbers, rows alone or among others: float32, 32 terms of size 1.
    torch.testing.assert_close(model([[3, 5]]), model()[[3 * P + 5]], rtol=1e-5, atol=1e-5)
    assert model(torch.tensor([[0, 0], [1, 2]])).shape == (2, P)


def test_the_cache_holds_what_the_logits_are_made_of(trial: Trial) -> None:
    model = trial.model()
    logits, cache = model.run_with_cache()
    torch.testing.assert_close(logits, model(), rtol=1e-5, atol=1e-5)
    assert cache["hook_embed"].shape[:2] == (P * P, 2)
    torch.testing.assert_close(cache["neurons"] @ model.params["W"], logits)
    patched, _ = model.run_with_patch({"neurons": torch.zeros_like(cache["neurons"])})
    assert torch.equal(patched, torch.zeros_like(logits))


@pytest.mark.parametrize(
    ("inputs", "word"),
    [([[0, P]], r"must be in 0\.\.10"), ([[1, 2, 3]], r"must be \[rows, 2\]"), ([[0.5, 1.0]], "must be whole numbers")],
)
def test_inputs_that_the_task_does_not_have_are_refused(trial: Trial, inputs: list[list[float]], word: str) -> None:
    with pytest.raises(BadInput, match=word):
        trial.model()(inputs)


def test_the_spectrum_holds_all_of_the_weights_but_their_mean(trial: Trial) -> None:
    frame, weights = trial.spectrum(), trial.weights()
    assert frame["frequency"].tolist() == list(range(1, P // 2 + 1))
    W_E = torch.cat([weights["U"].T, weights["V"].T]).double()
    without_mean = float((W_E - W_E.mean(dim=1, keepdim=True)).square().sum())
    assert float((frame["W_E"] ** 2).sum()) == pytest.approx(without_mean, rel=1e-10)
    of_w = float(transform_1d(weights["W"].double())[:, 1:].square().sum())
    assert float((frame["W_L"] ** 2).sum()) == pytest.approx(of_w, rel=1e-10)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("attention", "progress")])
def test_every_figure_is_a_plotly_figure_with_a_note(trial: Trial, name: str) -> None:
    shown = getattr(trial.figures, name)()
    assert isinstance(shown, go.Figure)
    assert shown.picture.note
    assert trial.trial_id[:8] in shown.picture.title
    for trace in shown.data:
        numbers = np.asarray(trace.z if isinstance(trace, go.Heatmap) else trace.y, dtype=float)
        assert np.isfinite(numbers).any()


def test_progress_needs_measures_and_then_shows_them(study: gs.Study) -> None:
    first = study.trial(study.trials()["trial_id"][0])
    with pytest.raises(BadInput, match="nothing was measured yet"):
        first.figures.progress()
    for name in ("gini", "cross_entropy"):
        study.measure(name)
    names = {trace.name for trace in first.figures.progress().data}
    assert {"train", "test", "Gini of W_E", "Gini of W_L"} <= names
    assert len(first.measures()) == len(first.steps)


def test_clock_or_pizza_needs_its_three_measures_and_has_a_dot_per_trial(transformers: gs.Study) -> None:
    with pytest.raises(BadInput, match="--only gradient_symmetricity"):
        transformers.clock_pizza()
    for name in ("circularity", "distance_irrelevance", "gradient_symmetricity"):
        transformers.measure(name, checkpoints="final")
    (dots,) = transformers.clock_pizza().data
    assert list(dots.text) == transformers.trials()["trial_id"].tolist()
    with pytest.raises(BadInput, match="at: nothing is stored at step 7"):
        transformers.clock_pizza("step:7")


def test_a_transformer_has_the_names_of_transformer_lens_and_its_attention(transformers: gs.Study) -> None:
    trial = transformers.trial(transformers.trials()["trial_id"][0])
    logits, cache = trial.model().run_with_cache([[0, 1], [2, 3], [4, 5]])
    assert logits.shape == (3, 8)  # "=" is scored too
    assert cache["blocks.0.mlp.hook_post"].shape == (3, 16)
    pattern = cache["blocks.0.attn.hook_pattern"]
    assert pattern.shape == (3, 3, 2)
    torch.testing.assert_close(pattern.sum(dim=1), torch.ones(3, 2))
    maps = trial.figures.attention().data
    assert [float(trace.z[2, 3]) for trace in maps] == pytest.approx(pattern[1, 0].tolist(), rel=1e-5)


def test_what_does_not_exist_is_refused_as_on_the_command_line(study: gs.Study, trial: Trial, root: str) -> None:
    before = gs.studies(root)
    with pytest.raises(BadInput, match="2 trials start like this"):
        study.trial()
    with pytest.raises(BadInput, match="no trial of s starts like this"):
        study.trial("zz")
    with pytest.raises(BadInput, match="TRIAL: got 'zz'"):
        gs.trial("zz", root)
    with pytest.raises(BadInput, match="models with attention"):
        trial.figures.attention()
    with pytest.raises(BadInput, match="did you mean 'small31'"):
        gs.run("preset=smal31", root=root)
    with pytest.raises(BadInput, match=r"`train` takes one value, got 2"):
        gs.train(*SMALL, seed=[0, 1], root=root)
    with pytest.raises(BadInput, match="config_dir: no folder"):
        gs.run(*SMALL, root=root, config_dir="nowhere")
    assert gs.studies(root) == before


def test_python_values_become_words() -> None:
    assert as_word("a", [0.01, 1, "x"]) == "0.01,1,x"
    assert as_word("a", (0.9, 0.98)) == "[0.9,0.98]"
    assert (as_word("a", True), as_word("a", None), as_word("a", 1e-5)) == ("true", "null", "1e-05")
    with pytest.raises(BadInput, match="a: got an empty list"):
        as_word("a", [])
    with pytest.raises(BadInput, match="a: got a dict"):
        as_word("a", {})  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_page_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROKSTUDY_STORAGE", str(tmp_path / "data"))
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks) + "\nassert len(trials) == 2 and logits.shape == (529, 23)\n")
    import runpy

    with contextlib.chdir(tmp_path):
        runpy.run_path(str(script))
    assert (tmp_path / "norms.svg").exists()


def test_every_figure_is_on_the_page() -> None:
    assert [name for name in NAMES if f"`{name}(" not in PAGE] == []
