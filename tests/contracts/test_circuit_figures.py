"""Every picture of a network: planted circuits give known numbers, and both libraries draw the same ones."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch
from matplotlib.collections import PathCollection, QuadMesh

from grokstudy.circuits._network import network
from grokstudy.circuits._neurons import frequencies_of
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.phase import circuit_figures_inputs as over_inputs
from grokstudy.phase import circuit_figures_steps as over_steps
from grokstudy.phase import circuit_figures_weights as of_weights
from grokstudy.phase.circuit_figures_data import Bars, Dots, Heat, Line, Picture, cell_edges, zero_centred
from grokstudy.phase.circuit_figures_matplotlib import drawn
from grokstudy.phase.circuit_figures_plotly import CircuitFigure, figure
from grokstudy.phase.progress import TrialProgress
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Shape
from grokstudy.spec.measure import Subject
from tests.planted import gromov, noise, subject, table, waves

torch.set_num_threads(1)

P, KEYS = 11, (2, 3)
ROUNDING = 1e-10
"""Sums of about a hundred float64 terms of size 1 to 10: 100 * 10 * 2.2e-16 = 2e-13."""


def planted() -> Subject:
    return subject(QuadMLP(width=18), gromov(P, KEYS), P, KEYS)


def transformer() -> Subject:
    model = Transformer(d_model=16, n_heads=2, d_mlp=8)
    return subject(model, model.init(Shape(positions=2, vocab=P, classes=P), 0), P, None)


def matrices(of: Subject) -> of_weights.ResidueMatrices:
    return of_weights.residue_matrices(of.spec, of.params, of.data.shape)


def seen(**measures: list[float]) -> TrialProgress:
    steps = np.array([0.0, 1.0, 10.0, 100.0])
    falling = pd.DataFrame({"step": steps, "train_loss": 1 / (steps + 1), "test_loss": 2 / (steps + 1)})
    curves = falling.assign(train_acc=[0, 0.5, 1, 1], test_acc=[0, 0, 0.5, 1], sum_sq_weights=[1.0, 2, 3, 2])
    return TrialProgress(
        trial_id="0" * 16,
        t_mem=5.0,
        t_gen=math.nan,
        phases=(10.0, 50.0, math.nan),
        curves=curves,
        measures=pd.DataFrame({"step": steps[: len(next(iter(measures.values()), []))], **measures}),
    )


def coefficients() -> over_steps.CosineCoefficients:
    return over_steps.CosineCoefficients(steps=np.array([0.0, 10.0]), by_key={2: np.array([0.0, 1.5])})


def over_training() -> Picture:
    norms = [(torch.full((P,), step), torch.arange(float(P))) for step in (1.0, 2.0, math.inf)]
    return of_weights.fourier_norms_over_steps([0, 1, 10], norms, "mod 11", "t")


PICTURES: dict[str, Callable[[], Picture]] = {
    "curves": lambda: over_steps.curves(seen(), "t"),
    "progress": lambda: over_steps.progress(
        seen(gini_W_E=[0.1, math.nan, 0.4], key_freqs=[0, 1, 2]), coefficients(), "t"
    ),
    "fourier_norms": lambda: of_weights.fourier_norms(matrices(planted()), KEYS, "t"),
    "fourier_norms_over_steps": over_training,
    "embedding_circles": lambda: of_weights.embedding_circles(matrices(planted()), KEYS, "t"),
    "singular_values": lambda: of_weights.singular_values(matrices(planted()), "t"),
    "logit_spectrum": lambda: over_inputs.logit_spectrum(planted(), 0, "t"),
    "neuron_spectrum": lambda: over_inputs.neuron_spectrum(planted(), None, "t"),
    "neuron_clusters": lambda: over_inputs.neuron_clusters(planted(), "t"),
    "attention": lambda: over_inputs.attention(transformer(), "t"),
    "neurons": lambda: over_inputs.neurons(planted(), None, "t"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_both_libraries_draw_the_same_numbers(name: str) -> None:
    picture = PICTURES[name]()
    plotly, flat = figure(picture), drawn(picture).axes
    traces = list(plotly.data)
    assert len(traces) == sum(len(panel.marks) for panel in picture.panels)
    for panel, axes in zip(picture.panels, flat, strict=False):
        lines = [line for line in axes.lines if line.get_linestyle() == "-"]
        meshes = [mesh for mesh in axes.collections if isinstance(mesh, QuadMesh)]
        dots = [dots for dots in axes.collections if isinstance(dots, PathCollection)]
        bars = list(axes.containers)
        assert axes.get_xlabel() == panel.x.label != ""
        assert axes.get_ylabel() == panel.y.label != ""
        for mark in panel.marks:
            trace = traces.pop(0)
            match mark:
                case Line():
                    np.testing.assert_array_equal(lines.pop(0).get_xydata(), np.stack([mark.x, mark.y], axis=1))
                    np.testing.assert_array_equal(np.stack([trace.x, trace.y]), np.stack([mark.x, mark.y]))
                case Bars():
                    # A bar's height is kept as top minus bottom in some versions: one rounding.
                    heights = [bar.get_height() for bar in bars.pop(0)]
                    np.testing.assert_allclose(heights, mark.height, rtol=1e-12, atol=1e-12)
                    np.testing.assert_array_equal(trace.y, mark.height)
                case Heat():
                    np.testing.assert_array_equal(np.ma.filled(meshes.pop(0).get_array(), np.nan), mark.values)
                    np.testing.assert_array_equal(np.asarray(trace.z, dtype=float), mark.values)
                    assert (len(trace.x), len(trace.y)) == (mark.values.shape[1] + 1, mark.values.shape[0] + 1)
                case Dots():
                    np.testing.assert_array_equal(dots.pop(0).get_offsets(), np.stack([mark.x, mark.y], axis=1))
                    np.testing.assert_array_equal(np.stack([trace.x, trace.y]), np.stack([mark.x, mark.y]))
    assert plotly.layout.title.text == f"<b>{picture.title}</b>"


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".html"])
def test_a_figure_is_saved_in_every_format(suffix: str, tmp_path: Path) -> None:
    shown = figure(PICTURES["fourier_norms"]())
    assert isinstance(shown, go.Figure)
    path = shown.save(tmp_path / f"a{suffix}")
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".html": b"<!doctype html>"}
    assert path.read_bytes().startswith(starts[suffix])
    if suffix == ".svg":
        again = shown.save(tmp_path / "b.svg")
        assert again.read_bytes() == path.read_bytes()
        assert "embedding W_E" in path.read_text()


def test_a_figure_that_cannot_be_saved_says_why(tmp_path: Path) -> None:
    shown = figure(PICTURES["curves"]())
    with pytest.raises(BadInput, match=r"did you mean '\.svg'"):
        shown.save(tmp_path / "a.svgz")
    with pytest.raises(BadInput, match="does not exist"):
        shown.save(tmp_path / "no" / "a.svg")
    copied = copy.deepcopy(shown)
    assert isinstance(copied, CircuitFigure)
    assert copied.picture is None
    with pytest.raises(BadInput, match="copy"):
        copied.save(tmp_path / "a.svg")
    assert copied.save(tmp_path / "a.html").exists()


def test_planted_waves_have_norms_at_their_frequencies_alone() -> None:
    # Per key 9 columns of U and 9 of V, amplitude 1, phases on three thirds of a circle: sum cos^2 = 18 / 2 = 9, and an
    # orthonormal cosine of length sqrt(p / 2): norm = sqrt(9 p / 2), sine likewise.
    norms = of_weights.component_norms(matrices(planted()).W_E).numpy()
    expected = np.zeros(P)
    expected[[3, 4, 5, 6]] = math.sqrt(9 * P / 2)
    np.testing.assert_allclose(norms, expected, atol=ROUNDING)
    both = of_weights.frequency_norms(matrices(planted()).W_E).numpy()
    np.testing.assert_allclose(both, math.sqrt(9 * P) * np.isin(np.arange(1, P // 2 + 1), KEYS), atol=ROUNDING)


def test_a_planted_circle_is_round_and_its_residues_lie_in_order() -> None:
    (first, *_) = of_weights.embedding_circles(matrices(planted()), KEYS, "t").panels
    (dots,) = first.marks
    assert isinstance(dots, Dots)
    k = int(first.title.removeprefix("k = "))
    angle = np.arctan2(dots.y, dots.x)
    np.testing.assert_allclose(np.hypot(dots.x, dots.y), np.hypot(dots.x, dots.y)[0], rtol=ROUNDING)
    np.testing.assert_allclose(np.exp(1j * angle), np.exp(2j * np.pi * k * np.arange(P) / P), atol=ROUNDING)
    np.testing.assert_array_equal(dots.values, k * np.arange(P) % P)


def test_circles_without_keys_are_those_of_the_strongest_frequencies() -> None:
    picture = of_weights.embedding_circles(matrices(planted()), (), "t")
    assert {panel.title for panel in picture.panels[:2]} == {"k = 2", "k = 3"}
    assert "no keys" in picture.note


def test_a_wave_of_a_plus_b_has_two_opposite_coefficients() -> None:
    # cos(w (a + b)) = cos cos - sin sin, each factor p / 2 times a product of orthonormal functions.
    picture = over_inputs.logit_spectrum(table(waves(P, {2: 1.0}), KEYS), 0, "t")
    (heat,) = picture.panels[0].marks
    assert isinstance(heat, Heat)
    expected = np.zeros((P, P))
    expected[3, 3], expected[4, 4], expected[0, 0] = P / 2, -P / 2, np.nan
    np.testing.assert_allclose(heat.values, expected, atol=ROUNDING)
    assert heat.scale.colours == "diverging"
    assert heat.scale.low == -heat.scale.high


@pytest.mark.parametrize("p", [10, 11])
def test_the_largest_shares_are_those_of_the_neuron_rule(p: int) -> None:
    net = network(table(torch.zeros(p * p, p), None, neurons=noise(p * p, 7)))
    found, known = over_inputs.frequency_shares(net), frequencies_of(net.neurons, p)
    most, best = found.share.max(dim=0)
    torch.testing.assert_close(most, known.fraction)
    assert (best + 1).tolist() == known.frequency.tolist()
    assert found.dead == known.dead == 0
    # All of the variance of noise is not at pairs of equal frequencies: the shares leave some of it out.
    assert float(found.share.sum(dim=0).max()) < 1


def test_the_histogram_counts_every_live_neuron_once() -> None:
    picture = over_inputs.neuron_clusters(planted(), "t")
    yes, no = picture.panels[0].marks
    assert isinstance(yes, Bars)
    assert isinstance(no, Bars)
    np.testing.assert_array_equal(yes.height, [0, 9, 9, 0, 0])
    np.testing.assert_array_equal(no.height, np.zeros(5))
    (heat,) = picture.panels[1].marks
    assert isinstance(heat, Heat)
    assert heat.values.argmax(axis=0).tolist() == [1] * 9 + [2] * 9


def test_attention_maps_are_the_pattern_with_a_in_rows() -> None:
    of = transformer()
    net = network(of)
    assert net.pattern is not None
    for head, panel in enumerate(over_inputs.attention(of, "t").panels):
        (heat,) = panel.marks
        assert isinstance(heat, Heat)
        for a, b in ((0, 5), (7, 2)):
            assert heat.values[a, b] == float(net.pattern[a * P + b, 0, head])


def test_pairs_that_the_task_does_not_have_are_white() -> None:
    (heat, *_) = (
        over_inputs.neurons(subject(QuadMLP(width=18), gromov(P, KEYS), P, KEYS, "div"), [0], "t").panels[0].marks
    )
    assert isinstance(heat, Heat)
    assert np.isnan(heat.values[:, 0]).all()
    assert np.isfinite(heat.values[:, 1:]).all()


def test_for_products_columns_are_discrete_logarithms() -> None:
    found = matrices(subject(QuadMLP(width=18), gromov(P, KEYS), P, KEYS, "mul"))
    assert found.p == P - 1
    power = torch.tensor([pow(2, i, P) for i in range(P - 1)])  # 2 is the least primitive root of 11
    torch.testing.assert_close(found.W_E, torch.cat([gromov(P, KEYS)[name].T for name in "UV"])[:, power])
    assert "logarithm" in found.residues


def test_directions_of_singular_values_have_length_one() -> None:
    for panel in of_weights.singular_values(matrices(planted()), "t").panels[2:]:
        (heat,) = panel.marks
        assert isinstance(heat, Heat)
        np.testing.assert_allclose((heat.values**2).sum(axis=1), 1.0, rtol=ROUNDING)


def test_what_is_not_defined_is_refused_with_the_reason() -> None:
    with pytest.raises(BadInput, match="models with attention"):
        over_inputs.attention(planted(), "t")
    with pytest.raises(BadInput, match=r"neuron: got 18, must be in 0\.\.17"):
        over_inputs.neurons(planted(), [18], "t")
    with pytest.raises(BadInput, match=r"answer: got -1, must be in 0\.\.10"):
        over_inputs.logit_spectrum(planted(), -1, "t")
    with pytest.raises(BadInput, match="nothing was measured"):
        over_steps.progress(seen(), None, "t")


@pytest.mark.parametrize("p", [2, 3])
def test_the_smallest_moduli_have_pictures_too(p: int) -> None:
    of = subject(QuadMLP(width=4), {name: noise(p, 4) for name in "UV"} | {"W": noise(4, p)}, p, None)
    for picture in (
        of_weights.fourier_norms(matrices(of), (), "t"),
        of_weights.singular_values(matrices(of), "t"),
        over_inputs.neuron_clusters(of, "t"),
        over_inputs.logit_spectrum(of, 0, "t"),
    ):
        assert len(figure(picture).data) == sum(len(panel.marks) for panel in picture.panels)
        drawn(picture)
    if p == 2:
        with pytest.raises(BadInput, match="no circle"):
            of_weights.embedding_circles(matrices(of), (), "t")


def test_phases_are_shaded_as_far_as_they_are_known() -> None:
    bands = over_steps.curves(seen(), "t").panels[0].bands
    assert [(band.name, band.end) for band in bands] == [("memorization", 10.0), ("circuit formation", 50.0)]
    unknown = dataclasses.replace(seen(), phases=(math.nan, math.nan, math.nan))
    assert over_steps.curves(unknown, "t").panels[0].bands == ()


def test_cells_meet_half_way_and_zero_is_white() -> None:
    np.testing.assert_allclose(cell_edges(np.array([1.0, 100.0]), log=True), [0.1, 10, 1000])
    np.testing.assert_allclose(cell_edges(np.array([1.0, 2.0, 4.0])), [0.5, 1.5, 3, 5])
    scale = zero_centred(np.array([-1.0, 3.0, np.nan]), "x")
    assert (scale.low, scale.high) == (-3.0, 3.0)
    assert zero_centred(np.zeros(2), "x").high == 1.0
