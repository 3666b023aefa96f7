"""Random strings with random labels: nothing to generalise."""

from __future__ import annotations

import dataclasses

from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._finite import check_shares, finite_data, train_rows
from grokstudy.tasks._strings import check_samples, strings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RandomLabels(Task):
    """Distinct random strings with uniformly random labels: the control that can only be memorised.

    Strings and labels are drawn from the data seed; fewer samples are a prefix of more. Test accuracy stays at
    1 / classes.

    Source: Nanda 2022, 200 Concrete Open Problems, problem 3.24; Zhang et al. 2017 (arXiv 1611.03530), section 2.
    """

    positions: int = setting(3, help="tokens of a string")
    vocab: int = setting(64, help="different tokens")
    classes: int = setting(64, help="different labels")
    samples: int = setting(1024, help="strings drawn")
    frac_train: float = setting(0.5, per_member=True, help="share of the strings trained on, in (0, 1]")
    label_noise: float = setting(0.0, per_member=True, help="share of train labels redrawn once more")
    holdout: float = setting(0.0, per_member=True, help="share held out as a fixed test set; 0 = all else")

    def __post_init__(self) -> None:
        for name, least in (("positions", 1), ("vocab", 2), ("classes", 2)):
            if getattr(self, name) < least:
                raise BadInput(f"task.{name}: got {getattr(self, name)}, must be >= {least}.")
        check_samples(self.samples, self.vocab**self.positions)
        check_shares(self)

    def shape(self) -> Shape:
        return Shape(positions=self.positions, vocab=self.vocab, classes=self.classes)

    def rows(self) -> int:
        return self.samples

    def train_rows(self) -> int:
        return train_rows(self)

    def data(self, seeds: Seeds) -> TaskData:
        inputs = strings(self.vocab, self.positions, self.samples, seeds.data)
        labels = generator(seeds.data, "random_labels").integers(0, self.classes, self.samples)
        return finite_data(self, seeds, inputs, labels)
