"""What a detector is, and how all of them are found."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec

PACKAGE = __name__.rpartition(".")[0]


class Detector(ABC):
    """One algorithm and the evidence for it. Has no state; the name is the file's."""

    evidence: ClassVar[str]
    """What the score is the least of, in a few words; stored as the protocol of the score."""
    refines: ClassVar[str | None] = None
    """The detector whose algorithm this one is a kind of."""

    @abstractmethod
    def applies(self, spec: TrialSpec) -> str | None:
        """None if such trials could run the algorithm, else the reason why not."""

    @abstractmethod
    def score(self, subject: Subject) -> float:
        """How well the network fits the algorithm, from 0 (not at all) to 1; NaN if its weights are not finite.

        The trial is one that the detector applies to, and has test rows.
        """


@functools.cache
def detectors() -> Mapping[str, Detector]:
    """All detectors by name, in the order of their names."""
    package = importlib.import_module(PACKAGE)
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))
    return {name: _only_detector(name) for name in names}


def _only_detector(name: str) -> Detector:
    module = importlib.import_module(f"{PACKAGE}.{name}")
    kinds = [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Detector) and kind.__module__ == module.__name__
    ]
    if len(kinds) != 1:
        raise TypeError(f"detectors/{name}.py: holds exactly one Detector, found {len(kinds)}.")
    detector: Detector = kinds[0]()
    return detector
