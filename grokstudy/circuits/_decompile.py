"""A network of modular arithmetic as a program that people can read: numpy, the frequencies and their coefficients."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Sequence
from string import Template

import numpy as np
from jaxtyping import Float, Int

from grokstudy.circuits._formula import FourierFormula, formula_of
from grokstudy.circuits._network import Network, network
from grokstudy.circuits._verification import Verification, term_sum
from grokstudy.circuits.reference.fourier import LOGARITHMIC, discrete_log
from grokstudy.spec.errors import BadInput
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import plugin_name

WIDTH = 112


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A standalone program and how well it does, counted over all inputs."""

    text: str
    same: int
    """Inputs on which its answer is the network's."""
    right: int
    """Inputs on which its answer is right."""
    inputs: int


def decompile(subject: Subject, found: Verification, origin: str) -> Program:
    """The fitted algorithm of a network as a program.

    The mean logit of every class is added where more of the network's answers come out with it.

    Args:
        subject: the network.
        found: its verification.
        origin: where the network comes from, e.g. "trial 3f2a of study demo at step 900".

    Raises:
        BadInput: the task is not modular arithmetic, or nothing was fitted.
    """
    formula, net = formula_of(subject.spec), network(subject)
    if not isinstance(formula, FourierFormula):
        raise BadInput(
            f"--emit: writes programs for task=modular, this trial has task={plugin_name(subject.spec.task)}."
        )
    if found.fit is None:
        raise BadInput(
            f"--emit: there is no fitted algorithm to write ({found.reason}). Choose another --step or trial."
        )
    scores = term_sum(formula.terms(found.frequencies), np.array(found.fit.coefficients))[formula.relation()]
    means = (net.logits.mean(dim=0) - net.logits.mean()).numpy()
    plain, biased = (_answers(net, table) for table in (scores, scores + means))
    given = net.logits.argmax(dim=1).numpy()
    with_means = bool((biased == given).sum() > (plain == given).sum())
    answers = biased if with_means else plain
    same, right = int((answers == given).sum()), int((answers == net.answer.numpy()).sum())
    text = TEMPLATE.substitute(
        P=formula.p,
        waves=len(found.frequencies),
        sign=SIGNS[formula.op],
        period=formula.p - 1 if formula.op in LOGARITHMIC else formula.p,
        what="a discrete logarithm" if formula.op in LOGARITHMIC else "a residue",
        origin=origin,
        model=plugin_name(subject.spec.model),
        inputs=len(given),
        same=f"{same} ({same / len(given):.2%})",
        right=right,
        right_share=f"{right} ({right / len(given):.2%})",
        fve=f"{found.fit.logit_fve:.4f}",
        certified=f"{found.fit.certified_share:.2%}",
        frequencies=_listed(found.frequencies),
        coefficients=_listed(found.fit.coefficients[: len(found.frequencies)]),
        means=f"\nCLASS_MEANS = np.array({_listed(means.tolist())})\n" if with_means else "",
        plus_means=" + CLASS_MEANS" if with_means else "",
        first=1 if formula.op == "div" else 0,
        truth=TRUTHS[formula.op],
        votes=_votes(formula, found.fit.coefficients),
    )
    return Program(text=text, same=same, right=right, inputs=len(given))


def _answers(net: Network, table: Float[np.ndarray, "answers p"]) -> Int[np.ndarray, " rows"]:
    answers: Int[np.ndarray, " rows"] = table.argmax(axis=1)[net.answer.numpy()]
    return answers


def _votes(formula: FourierFormula, coefficients: Sequence[float]) -> str:
    if formula.op not in LOGARITHMIC:
        return Template(VOTES).substitute(sign=SIGNS[formula.op])
    return Template(LOGARITHMIC_VOTES).substitute(
        sign="+" if formula.op == "mul" else "-",
        logs=_listed(discrete_log(formula.p).tolist()),
        zero=repr(coefficients[-1]),
        period=formula.p - 1,
    )


def _listed(numbers: Sequence[float]) -> str:
    """A list over several lines; every float in the digits that give exactly it."""
    body = textwrap.fill(", ".join(map(repr, numbers)), WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f"[\n{body},\n]" if numbers else "[]"


SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
TRUTHS = {
    "add": "(a + b) % P",
    "sub": "(a - b) % P",
    "mul": "a * b % P",
    "div": "a * np.array([pow(int(x), -1, P) for x in b]) % P",
}

TEMPLATE = Template('''"""a $sign b mod $P by adding up waves: what one network computes, written out.

Each of $waves frequencies k votes for every class c with COEFFICIENTS[k] * cos(2 pi k d / $period), where d is how far
c is from the answer as $what. The class with the most votes wins.

Decompiled by grokstudy from $origin (model $model).
Measured on all $inputs inputs when this was written:
    the network's answer on $same of them, the right answer on $right_share
    share of the variance of the network's logits that the votes explain: $fve
    share of the inputs on which the votes alone decide the network's answer: $certified

    python algorithm.py 5 9     prints the answer for a = 5, b = 9
    python algorithm.py         runs all inputs: how many are right, and by what margin

Needs Python 3 and numpy, and nothing else.
"""

import sys

import numpy as np

P = $P
FREQUENCIES = np.array($frequencies)
COEFFICIENTS = np.array($coefficients)
$means
CLASSES = np.arange(P)


def wave():
    """Sum of all waves 0, 1, 2 ... steps from the answer."""
    steps = FREQUENCIES[:, None] * np.arange($period) % $period
    steps = np.minimum(steps, $period - steps)
    return (COEFFICIENTS[:, None] * np.cos(2 * np.pi / $period * steps)).sum(axis=0)


WAVE = wave()


$votes

def answer(a, b):
    """The class with the most votes; a and b are residues or arrays of them."""
    return (votes(np.asarray(a), np.asarray(b))$plus_means).argmax(axis=-1)


def check():
    """Runs all inputs; returns how many are right and the smallest lead of a right answer over any other class."""
    a, b = (grid.ravel() for grid in np.meshgrid(np.arange(P), np.arange($first, P), indexing="ij"))
    right = $truth
    found = votes(a, b)$plus_means
    rows = np.arange(len(a))
    own = found[rows, right].copy()
    found[rows, right] = -np.inf
    return int((answer(a, b) == right).sum()), len(a), float((own - found.max(axis=1)).min())


def main(words):
    if not words:
        right, inputs, margin = check()
        print(f"right on {right} of {inputs} inputs, margin {margin:.6g}")
        return 0 if right == $right else 1
    if len(words) != 2 or not all(word.isdecimal() and int(word) < P for word in words):
        print(f"usage: python algorithm.py [A B], with A and B in 0..{P - 1}", file=sys.stderr)
        return 2
    print(answer(int(words[0]), int(words[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
''')

VOTES = '''def votes(a, b):
    """Votes for all classes."""
    return WAVE[(a[..., None] $sign b[..., None] - CLASSES) % P]
'''

LOGARITHMIC_VOTES = '''LOG = np.array($logs)
"""Discrete logarithms: LOG[g ** i % P] = i. Zero has none: it is a case of its own."""
ZERO = $zero
"""Votes for the class 0 where the answer is 0."""


def votes(a, b):
    """Votes for all classes."""
    found = WAVE[(LOG[a][..., None] $sign LOG[b][..., None] - LOG) % $period]
    zero_answer, zero_class = ((a == 0) | (b == 0))[..., None], CLASSES == 0
    return np.where(zero_answer, np.where(zero_class, ZERO, 0.0), np.where(zero_class, 0.0, found))
'''
