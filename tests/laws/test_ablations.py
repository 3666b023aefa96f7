"""Ablations and causal scrubbing: planted networks with exact answers, changed weights as oracles, and one training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor

from grokstudy.circuits import _interventions
from grokstudy.circuits._fourier import project
from grokstudy.circuits._interventions import Intact, Mode, ablated, along, of_frequencies, principal_components, score
from grokstudy.circuits._keys import keys_of
from grokstudy.circuits._network import cross_entropy
from grokstudy.circuits._scrub import Component, Hypothesis, answer_clusters, answer_waves, loss_recovered, token_waves
from grokstudy.circuits.ablations import Ablations
from grokstudy.circuits.component_ablations import NO_HEADS, NOT_LINEAR, ComponentAblations
from grokstudy.circuits.scrubbing import NOTHING_TO_RECOVER, Scrubbing
from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Model
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks.modular import Modular, Operation
from tests.packs import run
from tests.trials import trial

torch.set_num_threads(1)

P, KEYS, OTHERS = 11, (1, 3), (2, 5)
# Logits are sums of at most 100 products of float64 numbers below 10: they err by less than 100 * 100 * 1.1e-16.
EXACT = 1e-11
MODES: tuple[Mode, ...] = ("zero", "mean", "resample")


def subject(model: Model, params: Mapping[str, Tensor] | None = None, **task: float) -> Subject:
    spec = TrialSpec(task=Modular(p=P, **task), model=model, optimizer=AdamW(), loss=CrossEntropy64())
    weights = model.init(spec.task.shape(), 0) if params is None else params
    return Subject(spec=spec, data=spec.task.data(spec.seeds), params=weights, key_freqs=KEYS)


def planted(op: Operation = "add") -> Subject:
    """Gromov's solution: logits are a multiple of sum_k cos(w_k (answer - c)), and every unwanted term cancels.

    Per key k and phases f, g on a 3 x 3 lattice the neuron (cos(k a + f) + cos(k b + g))^2 = 1 + cos(2 k a + 2 f) / 2 +
    cos(2 k b + 2 g) / 2 + cos(k (a + b) + f + g) + cos(k (a - b) + f - g) is read by cos(k c + f + g).
    """
    t, sign = 2 * math.pi / P * torch.arange(P).double(), 1 if op == "add" else -1
    lattice = 2 * math.pi / 3 * torch.arange(3).double()
    columns = [
        (torch.cos(k * t + f), torch.cos(sign * k * t + g), torch.cos(k * t + f + g))
        for k in KEYS
        for f in lattice
        for g in lattice
    ]
    u, v, w = (torch.stack(parts) for parts in zip(*columns, strict=True))
    model = QuadMLP(width=len(columns))
    spec = TrialSpec(task=Modular(op=op, p=P), model=model, optimizer=AdamW(), loss=CrossEntropy64())
    return Subject(
        spec=spec,
        data=spec.task.data(spec.seeds),
        params={"U": u.T.contiguous(), "V": v.T.contiguous(), "W": w},
        key_freqs=KEYS,
    )


def measured(measure: Measure, of: Subject) -> dict[str, MeasureValue]:
    return {value.measure: value for value in measure.measure(of)}


def number(values: Mapping[str, MeasureValue], name: str) -> float:
    value = values[name].value
    assert value is not None, values[name]
    return value


# --- frequencies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["add", "sub"])
@pytest.mark.parametrize("site", ["logits", "neurons", "embed"])
def test_a_planted_network_needs_its_keys_and_nothing_else(op: Operation, site: str) -> None:
    of = planted(op)
    values, intact = measured(Ablations(), of), Intact.of(of)
    full = cross_entropy(intact.net.logits, intact.net.test)
    swapped = cross_entropy(intact.net.logits[intact.order], intact.net.test)
    for mode in ("zero", "resample"):
        assert number(values, f"ablate.{site}.non_keys.{mode}.ce_test") == pytest.approx(full, abs=EXACT)
        assert number(values, f"ablate.{site}.non_keys.{mode}.acc_test") == 1
    # Without the keys all classes are equal: ln p. With another input's keys the answer is the other input's.
    assert number(values, f"ablate.{site}.keys.zero.ce_test") == pytest.approx(math.log(P), abs=EXACT)
    assert number(values, f"ablate.{site}.keys.resample.ce_test") == pytest.approx(swapped, abs=EXACT)


def test_one_key_alone_leaves_the_waves_of_the_others() -> None:
    """Nine neurons per key, read by nine cosines, give 9 / 2 cos(w_k (answer - c))."""
    of = planted()
    values, net = measured(Ablations(), of), Intact.of(of).net
    left = [4.5 * torch.cos(2 * math.pi / P * k * (net.answer[:, None] - torch.arange(P)).double()) for k in (3, 1)]
    expected = [cross_entropy(logits, net.test) for logits in left]
    assert values["ablate.logits.keys.zero.ce_test"].values == pytest.approx(expected, abs=EXACT)
    assert values["ablate.neurons_by_freq.zero.ce_test"].values == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("p", [11, 12])
def test_the_part_of_some_frequencies_is_that_of_a_and_b_and_their_sum_and_difference(p: int) -> None:
    """All frequencies together leave the products of two different ones; one key's eight waves are orthonormal."""
    spec = dataclasses.replace(planted().spec, task=Modular(p=p), model=QuadMLP(width=5))
    params = spec.model.init(spec.task.shape(), 0)
    net = Intact.of(Subject(spec=spec, data=spec.task.data(spec.seeds), params=params, key_freqs=None)).net
    x = torch.randn(p * p, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for keys in ((2,), (1, 3, p // 2)):
        indices = (net.a, net.b, (net.a + net.b) % p)
        expected = torch.stack([project(x, index, keys, p) for index in indices]).sum(0)
        expected += project(x, (net.a - net.b) % p, [k for k in keys if 2 * k != p], p)
        part = of_frequencies(x, net, keys)
        assert torch.allclose(part, expected, atol=EXACT)
        assert torch.allclose(of_frequencies(part, net, keys), part, atol=EXACT)


def test_random_keys_are_as_good_as_their_number_of_true_keys() -> None:
    values = measured(Ablations(), planted())
    control = values["ablate.neurons.random_keys.zero.ce_test"]
    assert control.values is not None
    assert len(control.values) == 8
    assert number(values, "ablate.neurons.random_keys.zero.ce_test") == pytest.approx(sum(control.values) / 8)
    assert min(control.values) < 0.9 * math.log(P)


def test_the_mean_of_a_neuron_tells_the_network_nothing() -> None:
    """Every cluster at its mean, or at zero: W takes away what all phases share."""
    values = measured(Ablations(), planted())
    for mode in ("zero", "mean"):
        assert number(values, f"ablate.neurons_by_freq.{mode}.ce_test") == pytest.approx(math.log(P), abs=EXACT)


def test_ablated_embeddings_are_changed_weights() -> None:
    """Without the keys of U and V, or without the mean and the rest: the oracle projects the weights."""
    of = subject(QuadMLP(width=16))
    values = measured(Ablations(), of)
    t = 2 * math.pi / P * torch.arange(P).double()
    waves = torch.stack([f(k * t) for k in KEYS for f in (torch.cos, torch.sin)], 1)
    inside = waves @ torch.linalg.pinv(waves)
    for part, keep in (("keys", torch.eye(P).double() - inside), ("non_keys", inside + 1 / P)):
        params = {"U": keep @ of.params["U"], "V": keep @ of.params["V"], "W": of.params["W"]}
        expected = Intact.of(dataclasses.replace(of, params=params)).net
        assert number(values, f"ablate.embed.{part}.zero.ce_test") == pytest.approx(
            cross_entropy(expected.logits, expected.test), abs=EXACT
        )


@pytest.mark.parametrize("model", [QuadMLP(width=16), Transformer(d_model=12, n_heads=2, d_mlp=20)])
def test_what_neurons_send_to_the_logits_stands_for_them(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where logits are linear in the neurons: the oracle is a pass from the changed neurons."""
    of = subject(model, {name: 3 * x for name, x in model.init(Modular(p=P).shape(), 2).items()})
    assert Intact.of(of).is_linear
    quick = [*Ablations().measure(of), *Scrubbing().measure(of)]
    monkeypatch.setattr(_interventions, "ROUNDING", -1.0)
    assert not Intact.of(of).is_linear
    slow = [*Ablations().measure(of), *Scrubbing().measure(of)]
    for one, other in zip(quick, slow, strict=True):
        assert one.value is not None
        assert one.value == pytest.approx(other.value, abs=EXACT), one.measure
        assert one.values == (other.values and pytest.approx(other.values, abs=EXACT)), one.measure


# --- components ------------------------------------------------------------------------------------------------------


DEEP = Transformer(n_layers=2, n_heads=3, d_model=12, d_mlp=20, norm_site="pre")


def test_a_head_at_zero_is_one_whose_output_weights_are_zero() -> None:
    of = subject(DEEP)
    values = measured(ComponentAblations(), of)
    losses = []
    for layer in range(2):
        for head in range(3):
            name = f"blocks.{layer}.attn.W_O"
            W_O = of.params[name].clone()
            W_O[head] = 0
            net = Intact.of(dataclasses.replace(of, params={**of.params, name: W_O})).net
            losses.append(cross_entropy(net.logits, net.test))
    assert values["ablate.heads.zero.ce_test"].values == pytest.approx(losses, abs=EXACT)
    silent = {f"blocks.{layer}.attn.W_O": torch.zeros(3, 4, 12).double() for layer in range(2)}
    net = Intact.of(dataclasses.replace(of, params={**of.params, **silent})).net
    expected = cross_entropy(net.logits, net.test)
    assert number(values, "ablate.heads.zero.ce_test") == pytest.approx(expected, abs=EXACT)


def test_single_neurons_are_those_of_a_patched_pass() -> None:
    of = subject(Transformer(d_model=12, n_heads=2, d_mlp=9))
    intact, values = Intact.of(of), measured(ComponentAblations(), of)
    neurons = intact.activations["neurons"]
    expected = [intact.test_score({"neurons": neurons * (torch.arange(9) == i)}, "mean") for i in range(9)]
    assert values["ablate.single_neurons.mean.ce_test"].values == pytest.approx([s.ce for s in expected], abs=EXACT)
    assert values["ablate.single_neurons.mean.acc_test"].values == pytest.approx([s.acc for s in expected])


def test_neurons_that_a_norm_reads_are_not_ablated_by_a_product() -> None:
    values = measured(ComponentAblations(), subject(DEEP))
    assert values["ablate.single_neurons.mean.ce_test"].reason == NOT_LINEAR


def test_a_network_without_heads_says_so() -> None:
    values = measured(ComponentAblations(), planted())
    assert values["ablate.heads.zero.acc_test"].reason == NO_HEADS
    assert values["ablate.embed_pcs.mean.ce_test"].reason is None


def test_the_principal_components_of_the_planted_embeddings_are_its_circles() -> None:
    """Two keys are two circles: U has rank four, and each component has the variance of a wave."""
    intact = Intact.of(planted())
    x = intact.activations["hook_embed"]
    directions = principal_components(x)
    assert torch.allclose(along(x, directions[:, :, :4]), x - x.mean(0), atol=EXACT)
    powers = [along(x, directions[:, :, i : i + 1]).square().sum((0, 2)) for i in range(6)]
    # Nine neurons, p^2 rows, waves of mean square 1/2: in all 2 keys * 9 * p^2 / 2, shared by four directions.
    assert torch.allclose(torch.stack(powers[:4]), torch.full((4, 2), 9 * P**2 / 4).double())
    assert torch.stack(powers[4:]).max() < EXACT
    values = measured(ComponentAblations(), intact.subject)
    assert number(values, "ablate.embed_pcs.mean.ce_test") == pytest.approx(math.log(P), abs=EXACT)


def test_an_ablated_part_is_nothing_its_mean_or_anothers() -> None:
    intact = Intact.of(subject(QuadMLP(width=4)))
    x = intact.activations["neurons"]
    logits = {mode: intact.logits({"neurons": ablated(x, x, mode, intact.order)}) for mode in MODES}
    W = intact.subject.params["W"]
    assert torch.allclose(logits["zero"], torch.zeros(P**2, P).double(), atol=EXACT)
    assert torch.allclose(logits["mean"], (x.mean(0) @ W).expand(P**2, P), atol=EXACT)
    assert torch.allclose(logits["resample"], intact.net.logits[intact.order], atol=EXACT)


# --- causal scrubbing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [QuadMLP(width=16), DEEP], ids=["quad_mlp", "transformer"])
def test_claiming_nothing_recovers_nothing_and_claiming_all_logits_recovers_all(model: Model) -> None:
    params = {name: 2 * x for name, x in model.init(Modular(p=P).shape(), 0).items()}
    intact = Intact.of(subject(model, params))
    for site in ("neurons", "hook_embed", "logits"):
        assert loss_recovered(intact, Hypothesis(site=site, components=())) == pytest.approx(0, abs=1e-9)
    everything = Component(part=intact.activations["logits"], label=torch.arange(P**2))
    assert loss_recovered(intact, Hypothesis(site="logits", components=(everything,))) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("declare", [answer_waves, token_waves, answer_clusters])
@pytest.mark.parametrize("op", ["add", "sub"])
def test_the_true_fourier_hypothesis_recovers_all_and_one_of_other_frequencies_nothing(
    op: Operation, declare: Callable[[Intact, Sequence[int]], Hypothesis]
) -> None:
    intact = Intact.of(planted(op))
    assert loss_recovered(intact, declare(intact, KEYS)) == pytest.approx(1, abs=EXACT)
    assert loss_recovered(intact, declare(intact, OTHERS)) == pytest.approx(0, abs=EXACT)


def test_half_of_the_keys_recover_a_part() -> None:
    intact = Intact.of(planted())
    assert 0.05 < loss_recovered(intact, answer_waves(intact, KEYS[:1])) < 0.95


def test_neurons_carry_the_answer_together_and_not_one_by_one() -> None:
    """A neuron also varies with a - b; only the sum over its key's phases does not."""
    intact = Intact.of(planted())
    x, answer = intact.activations["neurons"], intact.net.answer
    alone = tuple(Component(part=x * (torch.arange(18) == i), label=answer) for i in range(18))
    assert loss_recovered(intact, answer_clusters(intact, KEYS)) == pytest.approx(1, abs=EXACT)
    assert loss_recovered(intact, Hypothesis(site="neurons", components=alone)) < 0.99


def test_a_hypothesis_of_ones_own() -> None:
    """Neurons that matter through a + b matter neither through a - b nor through a."""
    intact = Intact.of(planted())
    net, neurons = intact.net, intact.activations["neurons"]

    def recovered(label: Tensor) -> float:
        return loss_recovered(
            intact, Hypothesis(site="neurons", components=(Component(part=neurons, label=label % P),))
        )

    assert recovered(net.a + net.b) == pytest.approx(1, abs=EXACT)
    # Chance: a permutation hits an equal answer once in p = 11 times, give or take sqrt(11) / 11 of that.
    assert abs(recovered(net.a - net.b)) < 0.2
    assert abs(recovered(net.a)) < 0.2


def test_a_network_whose_inputs_are_worth_nothing_has_nothing_to_recover() -> None:
    of = planted()
    flat = dataclasses.replace(of, params={name: torch.zeros_like(x) for name, x in of.params.items()})
    assert {value.reason for value in Scrubbing().measure(flat)} == {NOTHING_TO_RECOVER}


def test_without_test_rows_ablations_are_undefined_and_scrubbing_is_not() -> None:
    of = planted()
    whole = subject(of.spec.model, of.params, frac_train=1.0)
    assert {value.reason for value in Ablations().measure(whole)} == {"no_rows"}
    assert measured(Scrubbing(), whole)["scrub.loss_recovered"].value == pytest.approx(1, abs=EXACT)


# --- a trained network -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_transformer_that_grokked_needs_its_keys_and_nothing_else() -> None:
    """Non-keys cost less than 1 point of test accuracy, keys leave less than 5 %; wrong frequencies recover nothing."""
    spec = trial("small31")
    (trained,) = run([spec], 2000).trials
    assert trained.gen is not None
    params = {name: x.double() for name, x in trained.checkpoints[max(trained.checkpoints)].items()}
    of = Subject(spec=spec, data=spec.task.data(spec.seeds), params=params, key_freqs=None)
    keys, reason = keys_of(of)
    assert keys, reason
    of = dataclasses.replace(of, key_freqs=keys)
    intact, values = Intact.of(of), measured(Ablations(), of)
    full = score(intact.net.logits, intact.net.test).acc
    for site in ("logits", "neurons", "embed"):
        assert number(values, f"ablate.{site}.non_keys.zero.acc_test") > full - 0.01
        assert number(values, f"ablate.{site}.keys.resample.acc_test") < 0.05
    assert number(values, "ablate.logits.keys.zero.acc_test") < 0.05
    wrong = [k for k in range(1, 16) if k not in keys][: len(keys)]
    for declare in (answer_waves, token_waves):
        assert loss_recovered(intact, declare(intact, keys)) >= 0.95
        assert loss_recovered(intact, declare(intact, wrong)) <= 0.1
    heads = measured(ComponentAblations(), of)["ablate.heads.zero.ce_test"]
    assert heads.value is not None
    assert heads.value > math.log(31)


def test_variances_that_are_no_numbers_have_no_principal_components() -> None:
    """Entries of 1e200 are finite, their squares are not."""
    assert bool(principal_components(1e200 * torch.randn(9, 2, 4).double()).isnan().all())
