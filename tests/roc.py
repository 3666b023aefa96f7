"""How well detectors tell their algorithm from all else in the zoo: `python -m tests.roc` prints the table."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence

import torch
from sklearn.metrics import roc_auc_score

from grokstudy.circuits._labels import LABELS
from grokstudy.circuits.detector_scores import DetectorScores
from grokstudy.circuits.detectors._detector import detectors
from tests.zoo import ENCLOSURES, State, zoo


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One network of the zoo, without its weights."""

    name: str
    state: State
    algorithm: str
    scores: Mapping[str, float]
    """0 where a detector does not apply."""
    label: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """One row of the table."""

    detector: str
    positives: int
    negatives: int
    auc: float
    lowest_positive: float
    highest_negative: float


@functools.cache
def judged(names: Collection[str] | None = None) -> tuple[Judged, ...]:
    """All networks of the enclosures (None for all of them), measured."""
    found = []
    for specimen in zoo(names):
        values = {value.measure: value.value for value in DetectorScores().measure(specimen.subject)}
        label = values["algorithm_label"]
        assert label is not None, specimen.name
        scores = {name: values[f"detector.{name}"] or 0.0 for name in detectors()}
        found.append(
            Judged(
                name=specimen.name,
                state=specimen.state,
                algorithm=specimen.algorithm,
                scores=scores,
                label=LABELS[int(label)],
            )
        )
    return tuple(found)


def is_positive(network: Judged, detector: str) -> bool:
    """Whether the network runs the detector's algorithm, or a kind of it."""
    if network.algorithm == LABELS[0]:
        return False
    return detector in (network.algorithm, detectors()[network.algorithm].refines)


def areas(networks: Sequence[Judged]) -> list[Area]:
    """Area under the ROC curve of every detector that has positives, against all other networks."""
    return [_area(networks, name) for name in detectors() if any(is_positive(one, name) for one in networks)]


def _area(networks: Sequence[Judged], name: str) -> Area:
    truth = [is_positive(one, name) for one in networks]
    scores = [one.scores[name] for one in networks]
    return Area(
        detector=name,
        positives=sum(truth),
        negatives=len(truth) - sum(truth),
        auc=float(roc_auc_score(truth, scores)),
        lowest_positive=min(score for score, yes in zip(scores, truth, strict=True) if yes),
        highest_negative=max(score for score, yes in zip(scores, truth, strict=True) if not yes),
    )


def table(networks: Sequence[Judged]) -> str:
    """The areas, and which labels each algorithm was given, in Markdown."""
    lines = [
        "| detector | positives | negatives | AUC | lowest positive | highest negative |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row.detector}` | {row.positives} | {row.negatives} | {row.auc:.3f} | {row.lowest_positive:.2f} | "
        f"{row.highest_negative:.2f} |"
        for row in areas(networks)
    ]
    lines += ["", "| algorithm | networks | labelled so | other labels |", "|---|---|---|---|"]
    for name in LABELS:
        given = [one.label for one in networks if one.algorithm == name]
        others = ", ".join(f"{given.count(other)} {other}" for other in LABELS if other != name and other in given)
        lines.append(f"| {name} | {len(given)} | {given.count(name)} | {others or 'none'} |")
    return "\n".join(lines)


def main() -> None:
    torch.set_num_threads(1)
    every = [one for enclosure in ENCLOSURES for one in judged((enclosure.name,))]
    print(table(every))
    wrong = [one for one in every if one.label != one.algorithm]
    print("", *(f"{one.name}: {one.algorithm}, labelled {one.label}, {one.scores}" for one in wrong), sep="\n")


if __name__ == "__main__":
    main()
